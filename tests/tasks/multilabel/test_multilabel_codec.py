import numpy as np
import pytest
import torch

from ostinato.errors import DataError, RunError
from ostinato.tasks.multilabel.codec import LabelSetCodec


def test_labels_are_sorted_and_rows_without_labels_are_zero():
    codec = LabelSetCodec.fit([("b", "a"), (), ("c",)], ["1", "2", "3"])
    assert codec.labels == ("a", "b", "c")
    rows = codec.encode([("b", "a"), (), ("c",)], ["row 1", "row 2", "row 3"])
    assert torch.equal(rows, torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]))


def test_decoding_inverts_encoding():
    codec = LabelSetCodec.fit([(3, 1), (2,), ()], ["1", "2", "3"])
    rows = codec.encode([(1, 3), (), (2,)], [""] * 3)
    assert codec.decode(rows.numpy()) == [(1, 3), (), (2,)]


def test_label_that_training_never_saw_names_its_row():
    with pytest.raises(DataError, match=r"test\.csv, row 7.*'sprots'.*'sports'"):
        LabelSetCodec(("sports",)).encode([("sprots",)], ["test.csv, row 7"])


def test_json_round_trip_keeps_order_and_kind():
    codec = LabelSetCodec((2, 0, 1), is_indicator=True)
    assert LabelSetCodec.from_json(codec.to_json()) == codec


@pytest.mark.parametrize("fields", [{}, {"labels": [None], "is_indicator": True}, {"labels": ["a"]}])
def test_altered_codec_is_refused(fields):
    with pytest.raises(RunError, match="codec.labels|codec.is_indicator"):
        LabelSetCodec.from_json(fields)


def test_label_of_another_type_cannot_be_saved():
    with pytest.raises(DataError, match=r"\(1, 2\).*tuple"):
        LabelSetCodec(((1, 2),)).to_json()


def test_labels_of_several_types_have_an_order():
    assert LabelSetCodec.fit([(1, "b"), ("a",)], ["1", "2"]).labels == (1, "a", "b")
    assert np.array_equal(LabelSetCodec((1, "a")).encode([("a",)], ["row"]).numpy(), [[0, 1]])
