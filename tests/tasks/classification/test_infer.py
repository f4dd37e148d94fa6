"""What is inferred from a data file, and what is refused instead of inferred wrongly."""

import json
import random

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from ostinato.config import to_toml
from ostinato.errors import DataError
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_toml
from ostinato.tasks.infer import infer_config
from ostinato.tasks.sequences.peek import Peek

rng = random.Random(0)
TEXTS = [
    f"the film was {rng.choice(['great', 'dull', 'long', 'short'])} and number {number} of many" for number in range(60)
]
DNA = ["".join(rng.choice("ACGT") for _ in range(30)) for _ in range(60)]
PROTEINS = ["".join(rng.choice("ACDEFGHIKLMNPQRSTVWY") for _ in range(30)) for _ in range(60)]
LABELS = [("neg", "pos")[number % 2] for number in range(60)]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_table(name, **columns):
        delimiter = "\t" if name.endswith("tsv") else ","
        rows = [columns, *zip(*columns.values(), strict=True)]
        (tmp_path / name).write_text("".join(delimiter.join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
        return tmp_path / name

    return write_table


def write_fasta(folder, headers, sequences=DNA):
    path = folder / "some.fasta"
    path.write_text(
        "".join(f">{header}\n{sequence}\n" for header, sequence in zip(headers, sequences, strict=True)),
        encoding="utf-8",
    )
    return path


def test_columns_are_recognised_by_their_names_in_any_case(write):
    config, reasons = infer_config(write("a.csv", id=range(60), Text=TEXTS, stars=[1, 2] * 30, Sentiment=LABELS))
    assert (config.data.text_column, config.data.label_column, config.data.split_column) == ("Text", "Sentiment", None)
    assert "label_column = 'Sentiment': by its name, here neg, pos" in reasons


def test_an_unnamed_label_is_the_last_column_of_few_values_and_the_others_are_reported(write):
    config, reasons = infer_config(write("a.tsv", country=["uk", "us"] * 30, review=TEXTS, spam=LABELS, user=range(60)))
    assert (config.data.text_column, config.data.label_column) == ("review", "spam")
    assert any("or is it 'country'?" in reason for reason in reasons)


def test_unnamed_text_is_the_column_of_lists_before_a_longer_one(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"uuid": f"{number:0100d}", "walk": [1.0, float(number)], "who": LABELS[number]} for number in range(60)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config, _ = infer_config(path)
    assert (config.data.text_column, config.data.tokenizer) == ("walk", "numeric")


def test_the_split_column_is_recognised_by_its_values(write):
    config, reasons = infer_config(write("a.csv", text=TEXTS, label=LABELS, part=["train", "train", "test"] * 20))
    assert config.data.split_column == "part"
    assert not any("drawn at random" in reason for reason in reasons)


def test_a_split_column_with_other_values_is_reported_and_not_used(write):
    config, reasons = infer_config(write("a.csv", text=TEXTS, label=LABELS, split=["train", "val", "test"] * 20))
    assert config.data.split_column is None
    assert any("'split'" in reason and "test, train, val" in reason for reason in reasons)
    assert any("drawn at random" in reason for reason in reasons)


@pytest.mark.parametrize(
    ("sequences", "tokenizer"),
    [
        (TEXTS, "words"),
        (DNA, "nucleotides"),
        ([text.lower() for text in DNA], "nucleotides"),
        ([text[:-1] + "R" for text in DNA], "nucleotides"),  # R: A or G
        (PROTEINS, "amino-acids"),
        (["smith", "weaver", "baker"] * 20, "characters"),  # only letters that amino acids have too
        (["0110", "1010"] * 30, "characters"),
        (["今日は", "映画"] * 30, "characters"),
    ],
    ids=["text", "dna", "lower-case dna", "ambiguous dna", "protein", "names", "bits", "japanese"],
)
def test_the_tokenizer_follows_the_characters(write, sequences, tokenizer):
    assert infer_config(write("a.csv", text=sequences, label=LABELS))[0].data.tokenizer == tokenizer


def test_a_column_of_groups_keeps_them_in_one_split(write):
    path = write("a.csv", text=TEXTS, label=LABELS, Patient_ID=[f"p{number % 15}" for number in range(60)])
    config, reasons = infer_config(path)
    assert (config.data.group_column, config.data.text_column) == ("Patient_ID", "text")
    assert any("'Patient_ID' has 15 different values in 60 rows" in reason for reason in reasons)


@pytest.mark.parametrize(
    "columns",
    [
        {"user": range(60)},  # nothing repeats
        {"user": ["a", "b", "c"] * 20},  # too few to split
        {"users": [f"u{number % 15}" for number in range(60)]},  # another name
        {"user": [f"u{number % 15}" for number in range(60)], "split": ["train", "train", "test"] * 20},
    ],
)
def test_other_columns_are_not_groups(write, columns):
    assert infer_config(write("a.csv", text=TEXTS, label=LABELS, **columns))[0].data.group_column is None


def test_a_group_that_says_the_same_as_the_label_is_not_used(write):
    people = [f"p{number % 12}" for number in range(60)]
    config, reasons = infer_config(write("a.csv", text=TEXTS, label=people, speaker=[f"s{each}" for each in people]))
    assert config.data.group_column is None
    assert any("same as the label" in reason for reason in reasons)


def test_a_small_file_is_read_whole_and_a_large_one_is_estimated(write, monkeypatch):
    path = write("a.csv", text=TEXTS * 100, label=["neg"] * 5_400 + ["pos"] * 600)  # sorted by label
    _, reasons = infer_config(path)
    assert "5,000 of about 6,000 rows" in reasons[0]
    assert any("here neg, pos" in reason for reason in reasons)
    monkeypatch.setattr("ostinato.tasks.sequences.peek.READ_WHOLE", 1)
    peek = Peek.of(path)
    assert len(peek.rows) == 5_000
    assert peek.total == pytest.approx(6_000, rel=0.1)


def test_the_tokenizer_follows_the_kind_of_list(tmp_path):
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(pa.table({"trace": [["open", "read"], []] * 30, "label": [0, 1] * 30}), path)
    assert infer_config(path)[0].data.tokenizer == "events"


@pytest.mark.parametrize(
    ("sequences", "tokenizer"),
    [(["a b", 5, ["x"], None], "words"), ([["x"], [1], 7, "y"], "events"), ([[0.5], "y", 7, [1, [2]]], "numeric")],
)
def test_rows_of_another_type_do_not_stop_the_inference(tmp_path, sequences, tokenizer):
    rows = [{"text": sequence, "label": LABELS[number]} for number, sequence in enumerate(sequences * 10)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    assert infer_config(path)[0].data.tokenizer == tokenizer


def test_series_file_is_numeric(tmp_path):
    path = tmp_path / "a.ts"
    path.write_text("@classLabel true a b\n@data\n" + "1.0,2.0:a\n3.0,4.0,5.0:b\n" * 30, encoding="utf-8")
    assert infer_config(path)[0].data.tokenizer == "numeric"


@pytest.mark.parametrize(
    "header",
    ["seq{} class={}", "seq{}|label:{}|len=30", "seq{} kind={}", "seq{} {}", "sp|seq{}|{}"],
    ids=["named", "named within", "other name", "word", "field"],
)
def test_fasta_label_is_found_in_the_header(tmp_path, header):
    path = write_fasta(tmp_path, [header.format(number, label) for number, label in enumerate(LABELS)])
    config, _ = infer_config(path)
    train = TASKS[config.task].prepare(config.data).rows["train"]
    assert set(train.targets) == {"neg", "pos"}
    assert dict(zip(DNA, LABELS, strict=True)).items() >= dict(zip(train.sequences, train.targets, strict=True)).items()


@pytest.mark.parametrize("period", range(2, 8))
def test_fasta_label_is_found_where_classes_alternate_in_a_long_file(tmp_path, period):
    path = tmp_path / "windows.fasta"
    kinds = ["enhancer"] + ["background"] * (period - 1)
    path.write_text("".join(f">w{row} {kinds[row % period]}\nACGTAC\n" for row in range(6_000)), encoding="ascii")
    assert infer_config(path).config.data.label_pattern == r"\s([^\s]+)$"


@pytest.mark.parametrize(
    "header",
    [
        "seq{} len=30 family={} x=1",
        'seq{} class="{}" z=2',
        "seq{} class: {}",
        "seq{}|{}|training",
        "sp|P{}|{}",
        "NP_{}.1 protein [organism={}]",
        "NP_{}.1 protein [{}]",
        "seq{}_{}",
        "seq{}-{}",
        "seq{} {} and 3 more",
        "seq{};{};x",
        "seq{}/{}",
        "seq{}\t{}",
    ],
)
@pytest.mark.parametrize("labels", [LABELS, sorted(LABELS), list("0120" * 15)], ids=["mixed", "sorted", "numbers"])
def test_fasta_label_is_guessed_in_headers_of_many_styles(tmp_path, header, labels):
    config, _ = infer_config(write_fasta(tmp_path, [header.format(n, label) for n, label in enumerate(labels)]))
    train = TASKS[config.task].prepare(parse_toml(to_toml(config), "config").data).rows["train"]
    assert set(train.targets) == set(labels)


@pytest.mark.parametrize("header", ["{label}_{n}", "{label}-{n}", "{label}{n}", "{label} {n}", "{label}|{n}"])
def test_fasta_label_is_guessed_at_the_start_of_headers(tmp_path, header):
    path = write_fasta(tmp_path, [header.format(label=label, n=n) for n, label in enumerate(LABELS)])
    config, _ = infer_config(path)
    assert set(TASKS[config.task].prepare(config.data).rows["train"].targets) == set(LABELS)


def test_fasta_label_of_several_words_is_read_whole(tmp_path):
    names = ["Homo sapiens", "Homo erectus"] * 30
    headers = [f"sp|P{n}|K{n}_X Kinase {n} OS={name} OX=96 PE=1" for n, name in enumerate(names)]
    config, _ = infer_config(write_fasta(tmp_path, headers))
    assert set(TASKS[config.task].prepare(config.data).rows["train"].targets) == set(names)


def test_fasta_label_after_the_first_thousand_records_counts(tmp_path):
    headers = [f"s{number}|{'pos' if number < 1500 else 'neg'}" for number in range(3000)]
    config, reasons = infer_config(write_fasta(tmp_path, headers, DNA * 50))
    assert config.data.label_pattern == r"\|([^\|]+)$"
    assert any("neg, pos" in reason for reason in reasons)


def test_fasta_splits_lengths_and_accessions_are_not_labels(tmp_path):
    for header in ("s{n} split={split}", "s{n} length={length}", "NM_{n}.1 gene {gene}", "seq_{n}"):
        values = [{"split": ("train", "test")[n % 2], "length": n * 7 % 50 + 20, "gene": n * 31} for n in range(60)]
        path = write_fasta(tmp_path, [header.format(n=n, **each) for n, each in enumerate(values)])
        config, reasons = infer_config(path)
        assert (config.task, config.data.label_pattern, config.data.label_table) == ("classification", None, None)
        assert any("MISSING" in reason and repr(header.format(n=0, **values[0])) in reason for reason in reasons)


@pytest.mark.parametrize("table", ["some.csv", "some.tsv", "some-labels.csv"])
def test_fasta_without_labels_uses_a_table_that_exists(tmp_path, table):
    path = write_fasta(tmp_path, [f"seq{number}" for number in range(60)])
    config, _ = infer_config(path)
    assert (config.data.label_pattern, config.data.label_table) == (None, None)
    (tmp_path / "some-labels.tsv").write_text("name\tkind\nseq0\tneg\n")  # some other table
    separator = "\t" if table.endswith("tsv") else ","
    rows = [("id", "label"), *((f"seq{number}", label) for number, label in enumerate(LABELS))]
    (tmp_path / table).write_text("".join(f"{separator.join(row)}\n" for row in rows[:-1]), encoding="utf-8")
    assert infer_config(path)[0].data.label_table is None  # an id is missing
    (tmp_path / table).write_text("".join(f"{separator.join(row)}\n" for row in rows), encoding="utf-8")
    config, _ = infer_config(path)
    assert config.data.label_table == str(tmp_path / table)
    assert set(TASKS[config.task].prepare(config.data).rows["train"].targets) == {"neg", "pos"}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": TEXTS}, "the only column is 'text'"),
        ({TEXTS[0]: TEXTS, "neg": LABELS}, "column 'neg' also contains the value 'neg'"),
        ({"part": ["train", "test"] * 30, "label": LABELS}, "no column is left for the sequence"),
        ({"x": np.arange(60) / 7, "label": LABELS}, "numbers written as text"),
        ({"series": ["[0.5; 1.5]"] * 60, "label": LABELS}, "numbers written as text"),
    ],
    ids=["one column", "no header", "no sequence", "a number", "a series"],
)
def test_what_cannot_be_trained_on_is_refused_with_its_reason(write, columns, message):
    with pytest.raises(DataError) as caught:
        infer_config(write("a.csv", **columns))
    assert message in str(caught.value)
    assert str(caught.value).count("a.csv") == 1
    assert "\n" not in str(caught.value)


def test_single_numbers_are_not_sequences(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(json.dumps({"height": number, "label": LABELS[number]}) + "\n" for number in range(60)),
        encoding="utf-8",
    )
    with pytest.raises(DataError, match="0 is not a sequence"):
        infer_config(path)


def test_a_file_sorted_by_label_is_reported(write):
    config, reasons = infer_config(write("a.csv", text=TEXTS, label=["neg"] * 60))
    assert config.data.label_column == "label"
    assert any("neg only: is the file sorted?" in reason for reason in reasons)


def test_an_inferred_config_survives_a_round_trip_through_toml(write):
    config, _ = infer_config(write("a.csv", text=TEXTS, label=LABELS))
    assert parse_toml(to_toml(config), "inferred") == config


def test_a_text_file_of_an_unknown_ending_is_refused(tmp_path):
    path = tmp_path / "novel.txt"
    path.write_text("Call me Ishmael.\n\nSome years ago, never mind how long.\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"novel.txt.*'.txt'.*\.csv, .*\.conll"):
        infer_config(path)
