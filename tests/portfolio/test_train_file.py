"""From a data file to a run: the stages, interruptions, and what is saved."""

import math
from contextlib import nullcontext

import pytest
import torch
from searching import BATCHES, FIT, SMALL, Killed, World, interrupt, kill, trainings, write_noise, write_reviews
from toy import columns, sentences

import ostinato
from ostinato.errors import ConfigError, DataError, OutOfTimeError, RunError, TrainingError
from ostinato.portfolio import run
from ostinato.portfolio.plan import CANDIDATES, ENSEMBLE, Plan, read_attempts
from ostinato.portfolio.run import SCORING_S
from ostinato.portfolio.search import Search
from ostinato.runs import finished_metrics, is_complete, resume_run
from ostinato.runs.leaderboard import Leaderboard
from ostinato.storage import load_tensors
from ostinato.tasks import TASKS
from ostinato.tasks.config import read_run_config
from ostinato.tasks.sequences import wide

TAGGER = ("model.embedding_size=8", "training.max_epochs=4", *BATCHES)


@pytest.fixture
def file(tmp_path):
    return write_reviews(tmp_path / "reviews.csv")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


def names_in(folder):
    return {each.name for each in Leaderboard.read(folder / "leaderboard.json").entries} - {ENSEMBLE}


def weights(folder):
    return load_tensors(folder / "model.safetensors").tensors


def assert_same_run(expected, found):
    assert trainings(found) == trainings(expected)
    ours, theirs = weights(found), weights(expected)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_all_are_tried_then_the_best_third_then_one_and_the_best_is_the_run(file, folder, monkeypatch):
    metrics = World(monkeypatch).train(file, folder, seconds=100)
    attempts = read_attempts(folder)
    names = [each.name for each in attempts if each.stage == 0]
    stages = [[each for each in attempts if each.stage == stage] for stage in range(3)]
    assert set(names) == names_in(folder) and len(names) == 4
    networks = [each for each in stages[0] if not each.complete]
    scores = sorted((each.score for each in networks), reverse=True)
    third = math.ceil(len(names) / 3)
    again = {each.name for each in stages[1]}
    assert 0 < len(again) <= third
    assert all(each.score >= scores[third - 1] for each in networks if each.name in again)
    for name in names:
        epochs = [each.epochs for each in attempts if each.name == name]
        assert epochs == sorted(epochs)

    found = Leaderboard.read(folder / "leaderboard.json")
    winner = next(each for each in found.entries if each.name == found.winner)
    assert found.finished
    assert metrics["validation"]["accuracy"] == winner.score
    assert metrics["model"]["parameters"] == winner.parameters
    assert metrics["training"]["epochs"] == winner.epochs
    assert is_complete(folder) and finished_metrics(folder) == metrics
    assert metrics["baselines"].keys() == {"linear", "nbsvm", "majority"}
    assert not (folder / CANDIDATES).exists()
    assert ostinato.load(folder / "model.safetensors").predict(["a great film"]).shape == (1,)


def test_the_test_split_is_scored_once_at_the_end(file, folder, monkeypatch):
    task, scored = type(TASKS["classification"]), []
    score = task.score

    def record(self, model, rows, *rest):
        scored.append(len(rows))
        return score(self, model, rows, *rest)

    monkeypatch.setattr(task, "score", record)
    World(monkeypatch).train(file, folder)
    rows = TASKS["classification"].prepare(read_run_config(folder / "config.toml").data).rows
    assert len(rows["test"]) != len(rows["validation"])
    assert scored.count(len(rows["test"])) == 1 and scored[-1] == len(rows["test"])


def test_epochs_are_those_that_fit_into_the_time(file, folder, monkeypatch):
    world = World(monkeypatch)
    world.train(file, folder, seconds=100)
    count = len(names_in(folder))
    linear, network = read_attempts(folder)[:2]
    assert linear.name == "linear" and linear.complete
    assert network.epochs == int(0.85 * 100 * 0.25 / (count - 1))  # an epoch takes a second, the linear model no time
    assert world.now <= 100


def test_a_tiny_budget_still_gives_a_run(file, folder, monkeypatch):
    World(monkeypatch).train(file, folder, seconds=0.5)
    assert [each.name for each in read_attempts(folder)] == ["linear"]
    assert is_complete(folder)
    (file.parent / "tags.conll").write_text(columns(*sentences(80)), encoding="utf-8")
    World(monkeypatch).train(file.parent / "tags.conll", folder.with_name("tagger"), seconds=0.5, settings=TAGGER)
    assert [(each.name, each.epochs) for each in read_attempts(folder.with_name("tagger"))] == [("linear", 0)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An uninterrupted search of 100 seconds on the same file as `file`."""
    place = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        World(patch).train(write_reviews(place / "reviews.csv"), place / "run", seconds=100)
    return place / "run"


@pytest.mark.parametrize("attempts", [1, 5])
def test_a_search_killed_between_attempts_resumes_to_the_same_ones_and_weights(
    file, folder, whole, monkeypatch, attempts
):
    with monkeypatch.context() as patch:
        world = World(patch)
        world.kill_after(attempts)
        with pytest.raises(Killed):
            world.train(file, folder, seconds=100)
    assert len(read_attempts(folder)) == attempts and not (folder / "config.toml").exists()
    World(monkeypatch).resume(folder)
    assert_same_run(whole, folder)


def test_a_training_that_was_killed_resumes_from_its_checkpoint(file, folder, whole, monkeypatch):
    with pytest.raises(Killed):
        World(monkeypatch, 2, kill).train(file, folder, seconds=100)
    world = World(monkeypatch)
    world.resume(folder)
    assert trainings(folder)[:2] == trainings(whole)[:2]
    assert read_attempts(folder)[1].seconds < read_attempts(whole)[1].seconds  # two epochs fewer
    assert is_complete(folder)


def test_a_search_killed_while_the_best_becomes_the_run_is_resumed(file, folder, whole, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("ostinato.portfolio.run.resume_run", lambda *args, **options: kill())
        with pytest.raises(Killed):
            World(patch).train(file, folder, seconds=100)
    (folder / "config.toml").unlink()  # as if it had been killed one step earlier
    World(monkeypatch).resume(folder)
    assert_same_run(whole, folder)


def test_ctrl_c_keeps_the_best_so_far_and_the_search_goes_on_from_there(file, folder, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        World(monkeypatch, 4, interrupt).train(file, folder, seconds=100)
    found = Leaderboard.read(folder / "leaderboard.json")
    assert is_complete(folder) and not found.finished
    assert finished_metrics(folder)["validation"]["accuracy"] == found.entries[0].score
    before = read_attempts(folder)
    World(monkeypatch).resume(folder)
    assert read_attempts(folder)[: len(before)] == before and len(read_attempts(folder)) > len(before)
    assert is_complete(folder) and Leaderboard.read(folder / "leaderboard.json").finished


@pytest.mark.parametrize("strike", [None, interrupt])
def test_the_baselines_get_what_is_left_and_after_ctrl_c_a_few_seconds(file, folder, monkeypatch, strike):
    left, score = [], type(TASKS["classification"]).score_baselines

    def record(task, data, say, time_left, trained):
        left.append(time_left())
        return score(task, data, say, time_left, trained)

    monkeypatch.setattr(type(TASKS["classification"]), "score_baselines", record)
    with pytest.raises(KeyboardInterrupt) if strike else nullcontext():
        World(monkeypatch, 2, strike).train(file, folder, seconds=1000)
    assert left == [SCORING_S] if strike else left[0] > SCORING_S


def test_the_baselines_get_as_much_time_as_the_chosen_model_took(file, folder, monkeypatch):
    left, score = [], type(TASKS["classification"]).score_baselines

    def record(task, data, say, time_left, trained):
        left.append(time_left())
        return score(task, data, say, time_left, trained)

    monkeypatch.setattr(type(TASKS["classification"]), "score_baselines", record)
    monkeypatch.setattr("ostinato.portfolio.run.SCORING_S", 0.0)
    world, adopt, best = World(monkeypatch), run._adopt, Search.best

    def adopt_late(search):
        adopt(search)
        world.now += 10_000  # the time is over
        monkeypatch.setattr(Search, "best", lambda search: best(search).model_copy(update={"seconds": 123.0}))

    monkeypatch.setattr(run, "_adopt", adopt_late)
    world.train(file, folder, seconds=100)
    assert left == [123.0]


def test_ctrl_c_before_the_first_result_can_be_resumed(file, folder, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        World(monkeypatch, 0, interrupt).train(file, folder)
    assert not (folder / "metrics.json").exists()
    World(monkeypatch).resume(folder)
    assert is_complete(folder)


def test_a_finished_search_is_left_alone_and_goes_on_with_more_time(file, folder, monkeypatch):
    world = World(monkeypatch)
    metrics = world.train(file, folder, seconds=60)
    before = read_attempts(folder)
    assert world.resume(folder) == metrics
    assert read_attempts(folder) == before
    world.resume(folder, seconds=250)
    after = read_attempts(folder)
    assert after[: len(before)] == before and len(after) > len(before)
    for each in after[len(before) :]:
        assert each.session == 2
        assert all(each.epochs > one.epochs for one in before if one.name == each.name)
    found = Leaderboard.read(folder / "leaderboard.json")
    assert finished_metrics(folder)["validation"]["accuracy"] == found.entries[0].score
    assert is_complete(folder)


def test_a_candidate_that_fails_is_named_and_the_others_go_on(file, folder, monkeypatch):
    world = World(monkeypatch)

    def fail(task, config, data, **options):
        if config.model.cell == "cnn":
            raise TrainingError("the loss is nan")
        return FIT(task, config, data, **options)

    world.train_for_real = fail
    world.train(file, folder)
    entries = {each.name: each for each in Leaderboard.read(folder / "leaderboard.json").entries}
    assert entries["cnn"].score is None and "nan" in entries["cnn"].problem
    assert entries["tiny-gru"].score is not None
    assert any("cnn: failed: the loss is nan" in line for line in world.lines)


def test_a_candidate_that_is_too_slow_is_named_and_tried_again_with_more_time(file, folder, monkeypatch):
    def world(limit_s):
        found = World(monkeypatch)

        def fit(task, config, data, **options):
            if config.model.cell != "none" and config.model.wide and "time_left" in options:
                found.now += 1
                if options["time_left"]() < limit_s:
                    raise OutOfTimeError(limit_s)
            return FIT(task, config, data, **options)

        found.train_for_real = fit
        return found

    first = world(500)
    first.train(file, folder, seconds=100)
    entries = {each.name: each for each in Leaderboard.read(folder / "leaderboard.json").entries}
    assert entries["wide-gru"].score is None and "500.0 s" in entries["wide-gru"].problem
    assert entries["tiny-gru"].score is not None and is_complete(folder)
    assert sum("wide-gru: left out" in line for line in first.lines) == 1  # not measured again without more time
    world(0).resume(folder, seconds=100)
    entries = {each.name: each for each in Leaderboard.read(folder / "leaderboard.json").entries}
    assert entries["wide-gru"].score is not None and entries["wide-gru"].problem is None


def test_the_wide_part_is_fitted_once_for_all_trainings(file, folder, monkeypatch):
    fitted, fit = [], wide._fit

    def record(network, *rest):
        fitted.append(network.is_linear)
        fit(network, *rest)

    monkeypatch.setattr(wide, "_fit", record)
    World(monkeypatch).train(file, folder, seconds=100)
    tried = [each.name for each in read_attempts(folder)]
    assert tried.count("wide-gru") + tried.count("linear") > 2  # and once more for the scores of the run
    assert fitted == [True, False]  # the second time for rows that the model has not seen
    (folder / "metrics.json").unlink()
    resume_run(folder)
    assert fitted == [True, False]  # a training that has finished needs no start


def test_if_every_candidate_fails_the_reason_is_given(file, folder, monkeypatch):
    world = World(monkeypatch)

    def fail(*arguments, **options):
        raise TrainingError("the loss is nan")

    world.train_for_real = fail
    with pytest.raises(RunError, match="nan"):
        world.train(file, folder)


def test_if_every_candidate_is_too_slow_more_time_is_asked_for(file, folder, monkeypatch):
    def fit(task, config, data, **options):
        raise OutOfTimeError(500)

    world = World(monkeypatch)
    world.train_for_real = fit
    with pytest.raises(RunError, match=r"--minutes .*about 500\.0 s"):
        world.train(file, folder)


def test_settings_apply_to_every_candidate_and_equal_ones_are_tried_once(file, folder, monkeypatch):
    World(monkeypatch).train(file, folder, settings=(*SMALL, "model.cell=rnn", "training.seed=3"), seconds=60)
    names = [each.name for each in read_attempts(folder) if each.stage == 0]
    World(monkeypatch).train(file, folder.with_name("other"), seconds=60)
    assert len(names) < len(names_in(folder.with_name("other")))
    config = read_run_config(folder / "config.toml")
    assert (config.model.cell, config.training.seed, config.model.hidden_size) == ("rnn", 3, 4)


def test_changed_data_are_not_mixed_with_earlier_scores(file, folder, monkeypatch):
    world = World(monkeypatch)
    world.train(file, folder, seconds=60)
    write_reviews(file, seed=5)
    with pytest.raises(RunError, match="changed"):
        world.resume(folder, seconds=60)


def test_a_tagged_file_becomes_a_tagger(tmp_path, folder, monkeypatch):
    path = tmp_path / "tags.conll"
    path.write_text(columns(*sentences(80)), encoding="utf-8")
    metrics = World(monkeypatch).train(path, folder, settings=TAGGER)
    assert metrics["task"] == "tagging" and metrics["baselines"].keys() == {"linear", "commonest"}
    found = Leaderboard.read(folder / "leaderboard.json")
    assert found.metric == "f1"
    assert metrics["validation"]["f1"] == next(each.score for each in found.entries if each.name == found.winner)


def test_numbers_become_a_regression_judged_by_the_lowest_error(tmp_path, folder, monkeypatch):
    path = tmp_path / "counts.csv"
    rows = ["".join("ab"[(n * k) % 3 == 0] for k in range(1, 3 + n % 30)) for n in range(120)]
    path.write_text("text,target\n" + "".join(f"{row},{row.count('a') + 0.5}\n" for row in rows), encoding="utf-8")
    metrics = World(monkeypatch).train(path, folder)
    found = Leaderboard.read(folder / "leaderboard.json")
    scores = [each.score for each in found.entries if each.score is not None]
    assert metrics["task"] == "regression" and found.metric == "rmse"
    assert scores == sorted(scores)


def test_what_cannot_be_used_is_refused_before_a_folder_is_made(file, tmp_path, folder, monkeypatch):
    world = World(monkeypatch)
    with pytest.raises(ConfigError, match="--minutes 0"):
        world.train(file, folder, seconds=0)
    with pytest.raises(ConfigError, match="model.cell"):
        world.train(file, folder, settings=("model.cell=nonsense",))
    with pytest.raises(DataError, match=r"missing\.csv"):
        world.train(tmp_path / "missing.csv", folder)
    with pytest.raises(DataError, match="validation split"):
        world.train(file, folder, settings=("data.validation_size=0",))
    assert not folder.exists()
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match="not empty"):
        world.train(file, folder)


def test_the_plan_is_the_one_that_was_given(file, folder, monkeypatch):
    World(monkeypatch).train(file, folder, seconds=90)
    plan = Plan.read(folder / "portfolio.json")
    assert (plan.seconds, plan.session, plan.finished, plan.settings) == (90, 1, True, list(SMALL))
    assert f"{plan.adopted}".rsplit("-", 2)[0] == Leaderboard.read(folder / "leaderboard.json").winner


def test_a_linear_winner_is_saved_and_predicts(tmp_path, folder, monkeypatch):
    path = write_reviews(tmp_path / "reviews.csv", rows=200)
    World(monkeypatch).train(path, folder, seconds=4)  # too short for the networks
    found = Leaderboard.read(folder / "leaderboard.json")
    assert found.winner == "linear" and "linear model won" in found.sentence
    assert read_run_config(folder / "config.toml").model.cell == "none"
    model = ostinato.load(folder / "model.safetensors")
    assert model.predict(["great film b c", "dull film a"]).tolist() == ["pos", "neg"]


def test_noise_gives_a_run_that_says_it_falls_short(tmp_path, folder, monkeypatch):
    metrics = World(monkeypatch).train(write_noise(tmp_path / "noise.csv"), folder, seconds=60)
    sentence = TASKS["classification"].shortfall(metrics)
    assert (sentence is None) == (metrics["test"]["accuracy"] > metrics["baselines"]["majority"]["accuracy"])
