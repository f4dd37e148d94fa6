import pytest

from ostinato.comparison.matching import count_parameters, match_parameters
from ostinato.comparison.options import make_plan
from ostinato.comparison.plan import with_size
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override

MAJORITY = override(PRESETS["majority"](), ["data.train_size=60", "data.validation_size=30", "data.test_size=40"])


@pytest.fixture(scope="module")
def data():
    return TASKS["classification"].prepare(MAJORITY.data)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
@pytest.mark.parametrize("settings", [[], ["model.bidirectional=true", "model.num_layers=3"]])
def test_no_other_hidden_size_comes_nearer_to_the_number_of_parameters(cell, settings, data):
    base = override(MAJORITY, ["model.hidden_size=40"])
    plan = make_plan(base, [f"model.cell={cell}", *settings])
    wanted = count_parameters(base, data)
    (matched,) = match_parameters(plan, plan.combinations(), data)

    def distance(size):
        return abs(count_parameters(with_size(matched.config, size), data) - wanted)

    assert distance(matched.config.model.hidden_size) == min(map(distance, range(1, 60)))


@pytest.mark.parametrize(
    ("vary", "match"), [(["model.cell=rnn,lstm"], "none"), (["model.hidden_size=4,8", "model.cell=rnn"], "parameters")]
)
def test_sizes_stay_where_they_are_varied_or_matching_is_off(vary, match, data):
    plan = make_plan(MAJORITY, vary, match=match)
    combinations = plan.combinations()
    assert match_parameters(plan, combinations, data) == combinations


def test_linear_models_are_not_matched(data):
    plan = make_plan(MAJORITY, ["model.cell=none,gru", "model.wide=ngrams"])
    linear, gru = match_parameters(plan, plan.combinations(), data)
    assert linear.config.model.hidden_size == MAJORITY.model.hidden_size
    assert gru.config.model.hidden_size != MAJORITY.model.hidden_size
    base = override(MAJORITY, ["model.cell=none", "model.wide=ngrams"])
    plan = make_plan(base, ["model.cell=none,gru"])
    assert match_parameters(plan, plan.combinations(), data) == plan.combinations()
