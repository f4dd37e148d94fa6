import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ostinato.errors import ConfigError, DataError
from ostinato.tasks.classification.config import ClassificationData
from ostinato.tasks.classification.datasets import DATASETS
from ostinato.tasks.classification.target import LabelTarget
from ostinato.tasks.config import parse_config
from ostinato.tasks.sequences.dataset import load_dataset


def load(**settings):
    return load_dataset(ClassificationData(**settings), LabelTarget(), DATASETS)


def table(path: Path, rows, columns="text,label") -> str:
    path.write_text("\n".join([columns, *(",".join(row) for row in rows)]) + "\n")
    return str(path)


def sizes(data):
    return {split: len(rows) for split, rows in data.splits.items()}


def many(count, prefix=""):
    """Rows sorted by label, all distinct."""
    return [(f"{prefix}{label} {number}", label) for label in ("neg", "pos") for number in range(count // 2)]


def test_a_sorted_file_is_cleaned_split_and_audited(tmp_path):
    rows = [*many(1000), ("neg 0", "neg"), ("both", "neg"), ("both", "pos"), (" ", "pos"), ("lost", "")]
    data = load(
        path=table(tmp_path / "a.csv", rows), validation_size=100, test_size=200, train_size=500, skip_unlabelled=True
    )
    assert (data.name, data.tokenizer) == ("a.csv", "characters")  # one word per row
    assert {split: Counter(rows.targets) for split, rows in data.splits.items()} == {
        "train": {"neg": 250, "pos": 250},
        "validation": {"neg": 50, "pos": 50},
        "test": {"neg": 100, "pos": 100},
    }
    used = [text for rows in data.splits.values() for text in rows.sequences]
    assert len(set(used)) == 800
    assert set(used) <= {text for text, _ in many(1000)}
    lines = "\n".join(data.audit.lines())
    for finding in (
        "1,005 rows read, 2 classes",
        "train: 500 rows (neg 250, pos 250)",
        "1 row without a label skipped",
        "1 row with an empty sequence dropped",
        "2 rows of sequences with two labels dropped",
        "1 exact duplicate dropped",
        "200 rows not used",
        "in characters: shortest 5",
    ):
        assert finding in lines


def test_sorted_labels_are_reported_and_harmless(tmp_path):
    data = load(path=table(tmp_path / "a.csv", many(100)))
    assert "The rows are sorted by label: the splits were drawn at random." in data.audit.lines()
    assert Counter(data.splits["validation"].targets) == {"neg": 5, "pos": 5}


def test_sources_lead_back_to_the_file(tmp_path):
    path = table(tmp_path / "a.csv", many(40))
    data = load(path=path)
    lines = Path(path).read_text().splitlines()
    for record in data.splits["train"]:
        assert lines[int(record.source.rsplit(" ", 1)[1]) - 1] == f"{record.sequence},{record.target}"


def test_a_split_column_gives_the_splits_and_leaks_are_removed_from_train(tmp_path):
    rows = [(text, label, "train", "g1") for text, label in many(20)]
    rows += [
        ("neg 0", "neg", "test", "g1"),
        ("new", "pos", "test", "g2"),
        ("v", "neg", "validation", "g3"),
        ("w", "pos", "validation", "g3"),
    ]
    path = table(tmp_path / "a.csv", rows, "text,label,fold,group")
    data = load(path=path, split_column="fold", group_column="group")
    assert data.splits["test"].sequences == ["neg 0", "new"]
    assert sorted(data.splits["train"].sequences) == sorted(text for text, _ in many(20) if text != "neg 0")
    assert "1 row of train also in test: removed from train." in data.audit.lines()
    assert "1 group in more than one of the given splits; kept." in data.audit.lines()
    assert data.audit.drawn == []


def test_files_give_the_splits_and_a_missing_one_is_drawn_from_train(tmp_path):
    train, test = table(tmp_path / "a.csv", many(100)), table(tmp_path / "b.csv", many(10, "t"))
    data = load(path=train, test_path=test)
    assert sizes(data) == {"train": 90, "validation": 10, "test": 10}
    assert data.splits["test"].sequences == [text for text, _ in many(10, "t")]
    validation = table(tmp_path / "c.csv", many(10, "v"))
    data = load(path=train, validation_path=validation, test_path=test, train_size=20)
    assert (len(data.splits["train"]), data.audit.drawn) == (20, [])


def test_sizes_of_zero_leave_splits_out(tmp_path):
    data = load(path=table(tmp_path / "a.csv", many(20)), validation_size=0, test_size=0)
    assert sizes(data) == {"train": 20}


def test_groups_do_not_leak(tmp_path):
    rows = [(f"{label} {number}", label, f"g{number % 20}") for label in ("a", "b") for number in range(100)]
    path = table(tmp_path / "a.csv", rows, "text,label,patient")
    data = load(path=path, group_column="patient")
    held = [{int(text.split()[1]) % 20 for text in rows.sequences} for rows in data.splits.values()]
    assert [len(groups) for groups in held] == [14, 2, 4]
    assert len(set().union(*held)) == 20


def test_the_tokenizer_follows_the_kind_of_sequence(tmp_path):
    def tokenizer(name, sequences, **settings):
        rows = [{"text": sequence, "label": "ab"[i % 2]} for i, sequence in enumerate(sequences)]
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
        return load(path=str(tmp_path / name), **settings).tokenizer

    assert tokenizer("a.jsonl", [[f"e{i}", "x"] for i in range(20)]) == "events"
    assert tokenizer("b.jsonl", [[[i, 1.0], [2.0, 3.0]] for i in range(20)]) == "numeric"
    assert tokenizer("c.jsonl", [f"t{i}" for i in range(20)], tokenizer="characters") == "characters"
    (tmp_path / "d.fa").write_text(
        "".join(
            f">s{i} {'ab'[i % 2]}\n{np.base_repr(i + 16, 4).translate(str.maketrans('0123', 'ACGT'))}\n"
            for i in range(20)
        )
    )
    assert load(path=str(tmp_path / "d.fa"), label_pattern=" (.)").tokenizer == "nucleotides"


def test_a_given_split_of_one_class_is_refused(tmp_path):
    train, test = table(tmp_path / "a.csv", many(100)), table(tmp_path / "b.csv", [("q", "pos")])
    with pytest.raises(DataError, match=r"test .*'pos' \(1 row\)"):
        load(path=train, test_path=test)


def test_a_validation_file_that_repeats_the_test_file_is_refused(tmp_path):
    train, test = table(tmp_path / "a.csv", many(100)), table(tmp_path / "b.csv", many(10, "t"))
    with pytest.raises(DataError, match="validation holds no row .*later split"):
        load(path=train, validation_path=test, test_path=test)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "imbd"}, "'imbd'.*'imdb'"),
        ({"name": "splice", "split_column": "fold"}, "data.split_column: .*'splice'"),
        ({"path": "a.csv", "length": 20}, "data.length: .*a file"),
        ({"path": "a.csv", "split_column": "fold", "test_path": "b.csv"}, "split_column 'fold'.*test_path"),
    ],
)
def test_keys_that_have_no_effect_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        load(**settings)


def test_an_unknown_split_is_named_with_its_row(tmp_path):
    path = table(tmp_path / "a.csv", [("a", "x", "train"), ("b", "y", "vaildation")], "text,label,fold")
    with pytest.raises(DataError, match=r"row 3: split 'vaildation'.*'validation'.*: train, validation, test"):
        load(path=path, split_column="fold")


def test_folds_are_each_row_once_in_test():
    tested = []
    for fold in range(5):
        data = load(name="promoters", folds=5, fold=fold)
        test = data.splits["test"]
        assert not set(test.sources) & {*data.splits["train"].sources, *data.splits["validation"].sources}
        assert abs(test.targets.count("promoter") - len(test) / 2) <= 1
        tested += test.sources
    assert len(tested) == len(set(tested)) == 106


def test_a_training_fraction_is_part_of_a_larger_one_and_leaves_the_other_splits():
    whole, half, tenth = (load(name="splice", train_fraction=share).splits for share in (None, 0.5, 0.1))
    for split in ("validation", "test"):
        assert half[split].sources == whole[split].sources == tenth[split].sources
    assert set(tenth["train"].sources) < set(half["train"].sources) < set(whole["train"].sources)
    assert len(half["train"]) == pytest.approx(len(whole["train"]) / 2, abs=2)


def test_folds_that_cannot_be_cut_are_refused():
    with pytest.raises(ConfigError, match="fold 5 .*5 folds"):
        parse_config({"data": {"name": "promoters", "folds": 5, "fold": 5}})
    with pytest.raises(ConfigError, match="has 53 rows"):
        load(name="promoters", folds=60)
    with pytest.raises(ConfigError, match="folds 5: .*test split"):
        load(name="japanese-vowels", folds=5)
