"""The candidates for tagged files."""

import pytest
from toy import columns, sentences

from ostinato.tasks import TASKS
from ostinato.tasks.config import override
from ostinato.tasks.infer import infer_config


@pytest.mark.parametrize("has_entities", [True, False])
def test_candidates_differ_and_only_tags_of_entities_are_constrained(tmp_path, has_entities):
    words, tags = sentences(60)
    if not has_entities:
        tags = [[tag[-1] for tag in each] for each in tags]
    (tmp_path / "tags.conll").write_text(columns(words, tags), encoding="utf-8")
    config, task = infer_config(tmp_path / "tags.conll").config, TASKS["tagging"]
    data = task.prepare(config.data)
    found = task.portfolio(config, data)
    for each in found:
        task.check(each.config, data)
        assert override(each.config, []) == each.config
        model = each.config.model
        assert model.constrained == (model.head == "crf" and has_entities)
    assert len({each.name for each in found}) == len(found) == 8
    assert all(each.config != other.config for each in found for other in found if each is not other)
    assert {each.config.model.head for each in found} == {"softmax", "crf"}
    assert [each.name for each in found if each.is_linear] == [found[0].name]
    assert all(each.is_linear == (each.config.model.cell == "none") for each in found)


def test_layers_beside_a_linear_crf_train_for_fewer_epochs(tmp_path):
    (tmp_path / "tags.conll").write_text(columns(*sentences(60)), encoding="utf-8")
    config, task = infer_config(tmp_path / "tags.conll").config, TASKS["tagging"]
    found = task.portfolio(config, task.prepare(config.data))
    usual = config.training.max_epochs
    epochs = {each.name: each.config.training.max_epochs for each in found if each.config.model.wide is not None}
    assert len(epochs) == 3 and all(0 < count < usual for count in epochs.values())
    alone = [each for each in found if each.config.model.wide is None]
    assert {each.config.training.max_epochs for each in alone} == {usual}
