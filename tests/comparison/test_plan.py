import json

import pytest

from ostinato.comparison.options import make_plan
from ostinato.comparison.plan import PLAN, read_plan
from ostinato.errors import RunError
from ostinato.tasks.config import PRESETS, override

MAJORITY = override(PRESETS["majority"](), ["data.train_size=60", "data.validation_size=30", "data.test_size=40"])


def names(plan):
    return [each.name for each in plan.combinations()]


@pytest.fixture
def saved(tmp_path):
    """A folder with a plan, and a function that changes the plan's file."""
    plan = make_plan(MAJORITY, ["model.cell=rnn,gru", "model.pooling=last,mean+max"], seeds="2")
    plan.record().write(tmp_path / PLAN)

    def change(**values):
        record = json.loads((tmp_path / PLAN).read_text(encoding="utf-8"))
        (tmp_path / PLAN).write_text(json.dumps({**record, **values}), encoding="utf-8")

    return plan, tmp_path, change


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


def test_each_fold_is_a_run():
    plan = make_plan(PRESETS["promoters"](), ["model.cell=rnn,gru"], seeds="2", folds=3)
    jobs = plan.jobs(plan.combinations())
    assert len(jobs) == 12
    assert {(job.config.data.folds, job.config.data.fold) for job in jobs} == {(3, 0), (3, 1), (3, 2)}


def test_residual_of_one_layer_is_not_trained_twice():
    plan = make_plan(MAJORITY, ["model.num_layers=1,2", "model.residual=false,true"])
    assert names(plan) == [
        "num_layers 1, residual false",
        "num_layers 2, residual false",
        "num_layers 2, residual true",
    ]


def test_a_plan_is_read_as_it_was_written(saved):
    plan, folder, _ = saved
    assert read_plan(folder) == plan


@pytest.mark.parametrize(("key", "value"), [("seeds", ["one"]), ("vary", None), ("config", "task = 'none'")])
def test_an_altered_plan_is_refused(saved, key, value):
    _, folder, change = saved
    change(**{key: value})
    with pytest.raises(RunError, match=rf"{PLAN}: (task|{key})"):
        read_plan(folder)


def test_a_plan_of_a_newer_version_is_refused(saved):
    _, folder, change = saved
    change(format=99)
    with pytest.raises(RunError, match="format 99"):
        read_plan(folder)


def test_a_plan_that_varies_a_renamed_key_is_refused(saved):
    _, folder, change = saved
    change(format=1, vary={"training.clip_norm": [1.0, 5.0]})
    with pytest.raises(RunError, match=r"training\.clip_norm.*training\.max_grad_norm"):
        read_plan(folder)
