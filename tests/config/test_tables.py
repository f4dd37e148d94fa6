"""The tables of a config: which values go together, and the same names as the layers have."""

import pytest

from ostinato.config import to_toml
from ostinato.config.names import CELLS as CELL_NAMES
from ostinato.config.names import FORMATS as FORMAT_NAMES
from ostinato.config.names import TOKENIZERS as TOKENIZER_NAMES
from ostinato.config.names import VECTORS
from ostinato.config.sequences import PoolingName, SequenceModel
from ostinato.config.tables import EngineName
from ostinato.data.formats import FORMATS
from ostinato.data.tokenizers import TOKENIZERS
from ostinato.data.vectors import NAMED
from ostinato.errors import ConfigError
from ostinato.nn import CELLS, ENGINES, POOLINGS
from ostinato.tasks.config import parse_config, read_config


def with_model(**model):
    return parse_config({"data": {"name": "majority"}, "model": model})


def test_convolutions_that_cannot_work_are_refused_all_at_once():
    with pytest.raises(ConfigError) as caught:
        with_model(cell="cnn", bidirectional=True, conv_size=8, kernel_size=4, pooling="last", engine="native")
    named = [line.split(": ")[1:3] for line in str(caught.value).splitlines()]
    assert [(key, value.split()[0]) for key, value in named] == [
        ("model.engine", "native"),
        ("model.conv_size", "8"),
        ("model.kernel_size", "4"),
        ("model.pooling", "last"),
    ]


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ({"conv_size": "none", "conv_pool": 2}, "model.conv_pool: 2"),
        ({"conv_size": 8, "bidirectional": True, "kernel_size": 6}, "model.kernel_size: 6"),
        ({"pooling": ["mean", "mean"]}, "model.pooling: .'mean', 'mean'."),
    ],
)
def test_a_value_that_contradicts_another_is_refused(model, shown):
    with pytest.raises(ConfigError, match=shown):
        with_model(**model)


@pytest.mark.parametrize(
    "model",
    [
        {"cell": "cnn", "bidirectional": False, "kernel_size": 4, "pooling": "max"},
        {"cell": "cnn", "bidirectional": True, "pooling": ["last", "mean"], "engine": "torch"},
        {"cell": "gru", "bidirectional": False, "conv_size": 8, "conv_pool": 3, "kernel_size": 2},
        {"cell": "lstm", "bidirectional": True, "kernel_size": 4},  # no convolution uses it
    ],
)
def test_convolutions_that_can_work_survive_a_round_trip(model, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(with_model(**model)))
    assert read_config(path).model == SequenceModel(**model)


@pytest.mark.parametrize("data", [{}, {"name": "imdb", "path": "x.csv"}])
def test_data_need_exactly_one_source(data):
    with pytest.raises(ConfigError, match="data: .*name.*path"):
        parse_config({"data": data})


def test_vectors_are_frozen_only_where_there_are_vectors():
    with pytest.raises(ConfigError, match="training.freeze_vectors always"):
        parse_config({"data": {"name": "imdb"}, "training": {"freeze_vectors": "always"}})


def test_names_in_the_config_are_those_of_the_tables():
    assert {"rnn" if name.startswith("rnn_") else name for name in CELLS} == set(CELL_NAMES)
    assert {"auto", *ENGINES} == set(EngineName.__args__)
    assert set(POOLINGS) == set(PoolingName.__args__)
    assert set(FORMATS) == set(FORMAT_NAMES)
    assert set(NAMED) == set(VECTORS)
    without_sizes = {"kmers(K)" if name.startswith("kmers(") else name for name in TOKENIZERS}
    assert without_sizes == set(TOKENIZER_NAMES) - {"numeric"}  # series are not cut into tokens


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({"model": {"dropout": 0.0}, "training": {"r_drop": 1.0}}, "training.r_drop 1 .*nothing is dropped"),
        ({"training": {"swa_start": 5, "ema_decay": 0.9}}, "training.swa_start: 5 and ema_decay 0.9"),
        ({"training": {"swa_start": 5, "max_epochs": 4}}, "training.swa_start: 5 is after the last epoch, 4"),
        ({"model": {"cell": "mingru", "weight_dropout": 0.2}}, "model.weight_dropout: 0.2: cell mingru"),
        ({"model": {"cell": "none", "wide": "ngrams", "word_dropout": 0.2}}, "word_dropout 0.2 has no effect"),
        (
            {"model": {"cell": "none", "wide": "ngrams"}, "training": {"adversarial": "virtual"}},
            "adversarial virtual has no effect",
        ),
        (
            {"task": "tagging", "model": {"head": "crf", "dropout": 0.2}, "training": {"r_drop": 1.0}},
            "training.r_drop 1.0 .*head = softmax",
        ),
        (
            {"task": "tagging", "model": {"head": "crf"}, "training": {"adversarial": "virtual"}},
            "training.adversarial virtual .*head = softmax",
        ),
    ],
)
def test_regularisation_that_cannot_work_is_refused(values, shown):
    with pytest.raises(ConfigError, match=shown):
        parse_config({"data": {"name": "conll2003-ner" if "task" in values else "majority"}, **values})


def test_averaging_may_start_before_the_number_of_epochs_is_chosen():
    training = parse_config({"data": {"name": "majority"}, "training": {"swa_start": 5}}).training
    assert (training.swa_start, training.max_epochs) == (5, "auto")
