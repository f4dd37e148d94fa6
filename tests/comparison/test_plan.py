import pytest

from ostinato.comparison.matching import count_parameters, match_parameters
from ostinato.comparison.plan import make_plan, with_size
from ostinato.errors import ConfigError
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override

MAJORITY = override(PRESETS["majority"](), ["data.train_size=60", "data.validation_size=30", "data.test_size=40"])


def names(plan):
    return [each.name for each in plan.combinations()]


def test_every_combination_over_every_seed():
    plan = make_plan(MAJORITY, ["model.cell=rnn,gru", "model.num_layers=1,2"], seeds="2")
    assert names(plan) == ["rnn, num_layers 1", "rnn, num_layers 2", "gru, num_layers 1", "gru, num_layers 2"]
    jobs = plan.jobs(plan.combinations())
    assert [(job.seed, job.config.model.cell, job.config.model.num_layers) for job in jobs[:5]] == [
        (0, "rnn", 1),
        (0, "rnn", 2),
        (0, "gru", 1),
        (0, "gru", 2),
        (1, "rnn", 1),
    ]
    assert len({job.folder for job in jobs}) == 8
    assert {job.config.data.seed for job in jobs} == {MAJORITY.data.seed}


def test_folds_are_runs_of_their_own():
    plan = make_plan(PRESETS["promoters"](), ["model.cell=rnn,gru"], seeds="2", folds=3)
    jobs = plan.jobs(plan.combinations())
    assert len(jobs) == 12
    assert {(job.config.data.folds, job.config.data.fold) for job in jobs} == {(3, 0), (3, 1), (3, 2)}


@pytest.mark.parametrize(
    ("text", "values"),
    [("last,mean+max", [["last"], ["mean", "max"]]), ('last,["mean","max"]', [["last"], ["mean", "max"]])],
)
def test_lists_are_values_too(text, values):
    plan = make_plan(MAJORITY, [f"model.pooling={text}"])
    assert [each.config.model.pooling for each in plan.combinations()] == values
    assert names(plan) == ["last", "mean+max"]


def test_residual_of_one_layer_is_not_trained_twice():
    plan = make_plan(MAJORITY, ["model.num_layers=1,2", "model.residual=false,true"])
    assert names(plan) == [
        "num_layers 1, residual false",
        "num_layers 2, residual false",
        "num_layers 2, residual true",
    ]


def test_seeds_are_a_number_or_a_list():
    assert make_plan(MAJORITY, ["model.cell=rnn,gru"], seeds="3").seeds == [0, 1, 2]
    assert make_plan(MAJORITY, ["model.cell=rnn,gru"], seeds="7,3").seeds == [7, 3]
    assert make_plan(MAJORITY, ["model.cell=rnn,gru"], seeds="7,").seeds == [7]


def test_all_faults_are_told_at_once():
    asked = ["model.cel=rnn", "model.cell=rnn,gruu", "model.dropout=0,0,1.5", "training.seed=1,2", "data.length=7"]
    with pytest.raises(ConfigError) as refused:
        make_plan(PRESETS["splice"](), asked, seeds="1,2,1", match="weights", metric="acuracy", trials=-1)
    told = str(refused.value)
    for fault in (
        "model.cel: unknown key. Did you mean 'model.cell'?",
        "'gruu'. Did you mean 'gru'?",
        "model.dropout: 0 is given 2 times",
        "training.seed: has an option of its own: --seeds",
        "splice is not generated",
        "--seeds 1,2,1: 1 given more than once",
        "--match weights",
        "--metric acuracy: unknown. Did you mean 'accuracy'?",
        "--budget-trials -1",
    ):
        assert fault in told, fault


def test_a_test_length_that_cannot_be_is_refused_before_training():
    with pytest.raises(ConfigError, match=r"data\.length: length \[4, 4\] is too short for 40"):
        make_plan(MAJORITY, ["data.length=4,20"])


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("settings", [[], ["model.bidirectional=true", "model.num_layers=3"]])
def test_parameters_are_matched_as_nearly_as_can_be(cell, settings):
    base = override(MAJORITY, ["model.hidden_size=40"])
    plan = make_plan(base, [f"model.cell={cell}", *(setting for setting in settings)])
    data = TASKS[base.task].prepare(base.data)
    wanted = count_parameters(base, data)
    (matched,) = match_parameters(plan, plan.combinations(), data)
    size = matched.config.model.hidden_size

    def distance(size):
        return abs(count_parameters(with_size(matched.config, size), data) - wanted)

    assert distance(size) == min(map(distance, range(1, 60)))


def test_sizes_stay_where_they_are_varied_or_matching_is_off():
    data = TASKS[MAJORITY.task].prepare(MAJORITY.data)
    for plan in (
        make_plan(MAJORITY, ["model.cell=rnn,lstm"], match="none"),
        make_plan(MAJORITY, ["model.hidden_size=4,8", "model.cell=rnn,lstm"]),
    ):
        combinations = plan.combinations()
        assert match_parameters(plan, combinations, data) == combinations
