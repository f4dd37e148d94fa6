"""What a pre-training reads: files, named sets, copies, held-out sequences, pieces."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_pretraining import letters, words

from ostinato.data.ragged import Ragged
from ostinato.errors import ConfigError, DataError
from ostinato.pretraining import corpus
from ostinato.pretraining.config import PretrainingData, parse_config
from ostinato.pretraining.corpus import build_corpus
from ostinato.pretraining.objective import TokenLoss, baseline_loss, build_network, objective_of
from ostinato.pretraining.reading import read_unlabelled

TEXTS = words(30)


def read(**data):
    return read_unlabelled(PretrainingData(**{key: [value] if key == "path" else value for key, value in data.items()}))


def build(**data):
    config = parse_config({"data": data})
    return build_corpus(config, read_unlabelled(config.data))


def write_lines(path, lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def test_every_format_gives_the_same_sequences(tmp_path):
    write_lines(tmp_path / "a.txt", [TEXTS[0], "", *TEXTS[1:]])
    write_lines(tmp_path / "a.jsonl", [json.dumps({"text": text}) for text in TEXTS])
    write_lines(tmp_path / "a.csv", ["id,text", *(f"{row},{text}" for row, text in enumerate(TEXTS))])
    pq.write_table(pa.table({"text": TEXTS}), tmp_path / "a.parquet")
    for ending in ("txt", "jsonl", "csv", "parquet"):
        found = read(path=str(tmp_path / f"a.{ending}"))
        assert found.sequences == TEXTS, ending
        assert found.tokenizer == "words"


def test_patterns_name_many_files_and_each_is_read_once(tmp_path):
    (tmp_path / "b").mkdir()
    write_lines(tmp_path / "1.txt", TEXTS[:10])
    write_lines(tmp_path / "b" / "2.txt", TEXTS[10:])
    both = PretrainingData(path=[str(tmp_path / "1.txt"), str(tmp_path / "**" / "*.txt")])
    assert read_unlabelled(both).sequences == TEXTS
    with pytest.raises(DataError, match=r"\*\.csv: matches no file"):
        read(path=str(tmp_path / "*.csv"))


def test_fasta_lists_and_named_sets_are_read_without_labels(tmp_path):
    fasta = read(path=write_lines(tmp_path / "a.fasta", [">1", "ACGT", ">2", "GGTA"]))
    assert (fasta.sequences, fasta.tokenizer) == (["ACGT", "GGTA"], "nucleotides")
    events = read(path=write_lines(tmp_path / "a.jsonl", ['{"text": ["in", "out"]}', '{"text": ["out"]}']))
    assert (events.sequences, events.tokenizer) == ([["in", "out"], ["out"]], "events")
    tagged = read(path=write_lines(tmp_path / "a.conll", ["Ada N", "left V", "", "Max N"]), text_column="0")
    assert (tagged.sequences, tagged.tokenizer) == ([["Ada", "left"], ["Max"]], "events")
    named = read(name="promoters")
    assert (len(named.sequences), named.tokenizer) == (106, "nucleotides")


@pytest.mark.parametrize(
    ("lines", "match"),
    [(['{"text": "a"}', '{"text": [1, 2]}'], "row 2.*series"), (['{"txt": "a"}'], "text_column"), ([""], "rows")],
)
def test_rows_that_cannot_be_read_are_named(tmp_path, lines, match):
    with pytest.raises(DataError, match=match):
        read(path=write_lines(tmp_path / "a.jsonl", lines))


def test_data_are_a_named_set_or_files():
    for data in ({}, {"name": "imdb", "path": "a.txt"}):
        with pytest.raises(ConfigError, match="exactly one"):
            parse_config({"data": data})


def test_copies_are_left_out_and_held_out_sequences_are_not_trained_on(tmp_path):
    path = write_lines(tmp_path / "a.txt", [*TEXTS, *(text.upper() for text in TEXTS[:5])])
    found = build(path=path, validation_size=8, min_count=1)
    assert len(found.rows) == len(set(found.rows.tolist())) == len(set(TEXTS))
    assert len(found.validation.lengths) == 8
    assert len(found.train.lengths) == len(set(TEXTS)) - 8
    assert any("Copies" in line and line.endswith("5.") for line in found.lines) or len(set(TEXTS)) < 30
    assert int(found.counts.sum()) == len(found.train.sequences.values)


def test_held_out_tokens_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MOST_HELD_OUT", 12)
    found = build(path=write_lines(tmp_path / "a.txt", TEXTS), validation_size=20)
    assert found.validation.lengths.tolist() == [5, 5]


def test_long_sequences_are_cut_into_even_pieces():
    values = torch.arange(11)
    found = corpus._pieces(Ragged(values, torch.tensor([7, 1, 3])), 3, 2)
    assert found.lengths.tolist() == [2, 2, 3, 3]
    assert found.values.tolist() == [0, 1, 2, 3, 4, 5, 6, 8, 9, 10]


def test_baseline_is_the_likelihood_of_the_frequencies(tmp_path):
    data = {"path": write_lines(tmp_path / "a.txt", letters(40)), "tokenizer": "characters", "validation_size": 10}
    config, found = parse_config({"data": data}), build(**data)
    shares = (found.counts + 1).double() / float((found.counts + 1).sum())
    expected = -shares[found.validation.sequences.values.long()].log().mean()
    assert baseline_loss(config, found) == pytest.approx(float(expected), rel=1e-6)


def test_a_small_vocabulary_needs_no_sample_and_an_untrained_model_is_near_its_baseline(tmp_path):
    config = parse_config({"data": {"path": write_lines(tmp_path / "a.txt", TEXTS)}})
    found = build_corpus(config, read_unlabelled(config.data))
    objective = objective_of(config, found)
    assert isinstance(objective, TokenLoss)
    assert objective.negatives is None
    assert TokenLoss(found.counts, 3).negatives == 3
    model = build_network(config, found)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.reverse_head.weight)
    validated = objective.metrics(model, found.validation)
    exact = objective.loss(model.eval(), found.validation, config.training) / objective.weight(found.validation)
    assert validated["loss"] == pytest.approx(exact.item(), rel=1e-5)
    assert validated["loss"] == pytest.approx(baseline_loss(config, found), rel=0.2)
