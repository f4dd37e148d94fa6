"""`ostinato tune --on ray`: trials do not depend on which node is faster, and go on after losses and interruptions."""

import shutil

import pytest
from typer.testing import CliRunner

from ostinato.cli import app
from ostinato.cluster import connected
from ostinato.cluster.pool import Lost, Pool
from ostinato.errors import ConfigError
from ostinato.progress import Progress
from ostinato.tasks.config import PRESETS, override
from ostinato.tuning import make_search, tune
from ostinato.tuning.study import JOURNAL

pytest.importorskip("optuna", reason="needs the extra tune")

SMALL = ["data.train_size=100", "data.validation_size=40", "data.test_size=60", "training.max_epochs=5"]
MAJORITY = override(PRESETS["majority"](), [*SMALL, "training.device=cpu"])


def on_ray(search, folder, at_once):
    progress = Progress(quiet=True)
    with connected("ray", progress) as cluster:
        return tune(search, folder, progress=progress, cluster=cluster, at_once=at_once)


def facts(results):
    """The trials without their times."""
    return [trial.model_copy(update={"seconds": None}) for trial in results.trials]


def test_one_trial_at_once_gives_the_trials_of_a_local_search(ray, tmp_path):
    search = make_search(MAJORITY, trials=13)  # the first ten are random, the others depend on the scores
    local = tune(search, tmp_path / "local")
    found = on_ray(search, tmp_path / "ray", at_once=1)
    assert facts(found) == facts(local)
    assert {trial.state for trial in found.trials} == {"complete", "pruned"}
    assert found.config == local.config
    assert all(trial.seconds > 0 for trial in found.trials)


@pytest.mark.slow  # 14 seconds
def test_trials_at_once_depend_on_no_time_and_on_no_interruption(ray, tmp_path, monkeypatch):
    search = make_search(MAJORITY, trials=13)
    first = on_ray(search, tmp_path / "first", at_once=2)
    take = Pool.take

    returned = []

    def latest_first(pool):
        if not returned:
            returned.extend(sorted(take(pool) for _ in range(len(pool))))
        return returned.pop()

    monkeypatch.setattr(Pool, "take", latest_first)
    assert facts(on_ray(search, tmp_path / "reordered", at_once=2)) == facts(first)
    monkeypatch.undo()

    def interrupt(pool):
        if pool.taken == 5:
            raise KeyboardInterrupt
        pool.taken += 1
        return take(pool)

    with monkeypatch.context() as patch:
        patch.setattr(Pool, "taken", 0, raising=False)
        patch.setattr(Pool, "take", interrupt)
        with pytest.raises(KeyboardInterrupt):
            on_ray(search, tmp_path / "interrupted", at_once=2)
    assert not (tmp_path / "interrupted" / "best.toml").exists()
    shutil.copytree(tmp_path / "interrupted", tmp_path / "local")
    assert facts(on_ray(search, tmp_path / "interrupted", at_once=2)) == facts(first)
    assert len(tune(search, tmp_path / "local").trials) == 13  # a search can go on without a cluster


@pytest.mark.slow
def test_a_trial_that_is_lost_has_failed_and_the_search_goes_on(ray, tmp_path, monkeypatch):
    take = Pool.take

    def lose_the_second(pool):
        number, result = take(pool)
        return number, Lost("its node is gone") if number == 1 else result

    monkeypatch.setattr(Pool, "take", lose_the_second)
    found = on_ray(make_search(MAJORITY, trials=3), tmp_path / "search", at_once=2)
    assert [(trial.state, trial.reason) for trial in found.trials] == [
        ("complete", None),
        ("fail", "its node is gone"),
        ("complete", None),
    ]
    assert (tmp_path / "search" / JOURNAL).exists()


@pytest.mark.parametrize("arguments", [["--jobs", "2"], ["--jobs", "0", "--on", "ray"], ["--on", "spark"]])
def test_bad_arguments_are_refused(arguments):
    refused = CliRunner().invoke(app, ["tune", "majority", *arguments])
    assert isinstance(refused.exception, ConfigError)
    assert arguments[-1] in str(refused.exception) or arguments[1] in str(refused.exception)
