import json

import pytest

from ostinato.tasks.infer import infer_config

LABELS = [["news", "sport"], ["news"], [], ["sport", "film noir"], ["film noir"]] * 6
TEXTS = [f"some words of row {row}" for row in range(len(LABELS))]


def infer(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")
    return infer_config(path)


@pytest.mark.parametrize(
    ("separator", "suffix", "delimiter"), [("|", "csv", ","), (";", "csv", ","), (",", "tsv", "\t")]
)
@pytest.mark.parametrize("column", ["labels", "topics"])
def test_separator_is_found(tmp_path, separator, suffix, delimiter, column):
    rows = [f"{text}{delimiter}{separator.join(labels)}" for text, labels in zip(TEXTS, LABELS, strict=True)]
    config, reasons = infer(tmp_path / f"rows.{suffix}", f"text{delimiter}{column}", rows)
    assert config.task == "multilabel"
    assert (config.data.label_column, config.data.label_separator, config.data.text_column) == (
        column,
        separator,
        "text",
    )
    assert any("multilabel" in reason and repr(separator) in reason and "film noir" in reason for reason in reasons)


def test_lists_are_label_sets(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"body": text, "genres": labels}) for text, labels in zip(TEXTS, LABELS, strict=True)]
    path.write_text("\n".join(rows) + "\n")
    config, _ = infer_config(path)
    assert (config.task, config.data.label_column, config.data.text_column) == ("multilabel", "genres", "body")


@pytest.mark.parametrize(("yes", "no"), [("1", "0"), ("True", "False")])
def test_columns_of_flags_are_labels(tmp_path, yes, no):
    rows = [
        f"{text},{yes if 'news' in labels else no},{yes if 'sport' in labels else no}"
        for text, labels in zip(TEXTS, LABELS, strict=True)
    ]
    config, _ = infer(tmp_path / "rows.csv", "comment,news,sport", rows)
    assert (config.task, config.data.label_columns) == ("multilabel", ["news", "sport"])
    assert config.data.text_column == "comment"


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("text,label", [f"{text},{row % 2}" for row, text in enumerate(TEXTS)]),
        ("text,is_long,label", [f"{text},{row % 2},{row % 3 % 2}" for row, text in enumerate(TEXTS)]),
        ("text,city", [f'{text},"{("Paris, France", "Lyon, France")[row % 2]}"' for row, text in enumerate(TEXTS)]),
    ],
    ids=["one label", "a flag beside the label", "commas in classes"],
)
def test_single_labels_stay_a_classification(tmp_path, header, rows):
    config, _ = infer(tmp_path / "rows.csv", header, rows)
    assert config.task == "classification"
