import pytest

from ostinato.comparison.options import make_plan
from ostinato.errors import ConfigError
from ostinato.tasks.config import PRESETS, override, parse_config

MAJORITY = override(PRESETS["majority"](), ["data.train_size=60", "data.validation_size=30", "data.test_size=40"])


@pytest.mark.parametrize(
    ("text", "values"),
    [("last,mean+max", [["last"], ["mean", "max"]]), ('last,["mean","max"]', [["last"], ["mean", "max"]])],
)
def test_lists_are_values_too(text, values):
    combinations = make_plan(MAJORITY, [f"model.pooling={text}"]).combinations()
    assert [each.config.model.pooling for each in combinations] == values
    assert [each.name for each in combinations] == ["last", "mean+max"]


@pytest.mark.parametrize(("text", "seeds"), [("3", [0, 1, 2]), ("7,3", [7, 3]), ("7,", [7])])
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert make_plan(MAJORITY, ["model.cell=rnn,gru"], seeds=text).seeds == seeds


def test_all_problems_are_reported_at_once():
    vary = ["model.cel=rnn", "model.cell=rnn,gruu", "model.dropout=0,0,1.5", "training.seed=1,2", "data.length=7"]
    with pytest.raises(ConfigError) as refused:
        make_plan(PRESETS["splice"](), vary, seeds="1,2,1", match="weights", metric="acuracy", trials=-1)
    message = str(refused.value)
    for problem in (
        "model.cel: unknown key. Did you mean 'model.cell'?",
        "'gruu'. Did you mean 'gru'?",
        "model.dropout: 0 is given 2 times",
        "training.seed: use the option --seeds",
        "splice is not generated",
        "--seeds 1,2,1: 1 given more than once",
        "--match weights",
        "--metric acuracy: unknown. Did you mean 'accuracy'?",
        "--budget-trials -1",
    ):
        assert problem in message, problem


@pytest.mark.parametrize(
    ("vary", "problem"),
    [
        ("data.length=4,20", r"data\.length: length \[4, 4\] is too short for 40"),
        ("data.length=20,ten", "'ten' is not a length"),
        ("training.clip_norm=1,2", r"training\.clip_norm: .*training\.max_grad_norm"),
        ("model.cell=", "--vary model.cell: no values"),
    ],
)
def test_an_impossible_value_is_refused_before_training(vary, problem):
    with pytest.raises(ConfigError, match=problem):
        make_plan(MAJORITY, [vary])


def test_a_key_given_twice_is_refused():
    with pytest.raises(ConfigError, match="--vary model.cell: given twice"):
        make_plan(MAJORITY, ["model.cell=rnn", "model.cell=gru"])


def test_folds_are_refused_for_a_task_that_has_none():
    config = parse_config({"task": "tagging", "data": {"name": "conll2003-ner"}})
    with pytest.raises(ConfigError, match="--folds 5"):
        make_plan(config, ["model.head=softmax,crf"], folds=5)


def test_the_metrics_of_another_task_are_refused():
    config = parse_config({"task": "tagging", "data": {"name": "conll2003-ner"}})
    with pytest.raises(ConfigError, match=r"--metric mcc: .*Choose from: f1, accuracy"):
        make_plan(config, ["model.head=softmax,crf"], metric="mcc")
