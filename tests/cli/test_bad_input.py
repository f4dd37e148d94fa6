"""Bad input: one line, exit status 2, and nothing that was there is touched."""

from pathlib import Path

import pytest
from commands import LABELS, REVIEWS, answers, contents, run


def cut(path):
    Path(path).write_bytes(Path(path).read_bytes()[:2000])


def alter(path):
    changed = bytearray(Path(path).read_bytes())
    changed[-5] ^= 1
    Path(path).write_bytes(changed)


def of_format_9(path):
    content = Path(path).read_bytes()
    newer = content.replace(b'\\"format\\": 2', b'\\"format\\": 9').replace(b'"format": 2', b'"format": 9')
    assert newer != content
    Path(path).write_bytes(newer)


# What there is before, the command, and what the line names
UNTRAINED = {
    "missing config": ({}, "train none.toml", "none.toml"),
    "missing run to resume": ({}, "train --resume none", "none"),
    "missing file to infer from": ({}, "init none.csv", "none.csv"),
    "empty label": ({"reviews.csv": REVIEWS + "good,\n"}, "train reviews.toml", "reviews.csv, row 42"),
    "empty label, what to do": (
        {"reviews.csv": REVIEWS + "good,\n"},
        "train reviews.toml",
        "--set data.skip_unlabelled=true",
    ),
    "integer of 5,000 digits": (
        {"series.jsonl": '{"series": [1], "label": ' + "9" * 5000 + "}\n"},
        "train series.toml",
        "series.jsonl, row 1: ",
    ),
    "half a surrogate pair": (
        {"series.jsonl": '{"series": [1], "label": "\\ud83d"}\n'},
        "train series.toml",
        "series.jsonl, row 1, column label",
    ),
    "empty file": ({"reviews.csv": ""}, "train reviews.toml", "reviews.csv"),
    "one class": ({"reviews.csv": REVIEWS.replace("neg", "pos")}, "train reviews.toml", "'pos'"),
    "empty refused": (
        {"reviews.csv": REVIEWS + '"",pos\n'},
        "train reviews.toml --set data.empty=refuse",
        "reviews.csv, row 42",
    ),
    "NaN": (
        {"series.jsonl": '{"series": [1, NaN], "label": "a"}\n'},
        "train series.toml",
        "series.jsonl, row 1: the series holds nan",
    ),
    "unknown key": (
        {"a.toml": '[data]\nname = "majority"\n[model]\ncel = "gru"\n'},
        "train a.toml",
        "a.toml: model.cel: unknown key. Did you mean 'cell'?",
    ),
    "not TOML": ({"a.toml": "model = gru\n"}, "train a.toml", "a.toml"),
    "wrong type": ({}, "train majority --set model.hidden_size=big", 'model.hidden_size: "big"'),
    "setting without a table": ({}, "train majority --set cell=gru", "--set cell=gru"),
    "unknown preset": ({}, "train majorty", "'majorty'. Did you mean 'majority'?"),
    "unknown data set": ({}, "data show splise", "'splise'. Did you mean 'splice'?"),
    "unknown name": ({}, "data audit dna-motiv", "'dna-motiv'. Did you mean 'dna-motif'?"),
    "unknown device": ({}, "train majority --set training.device=tpu", "'tpu'"),
    "data file for a config": ({}, "tune reviews.csv", "ostinato init reviews.csv"),
    "nothing to train": ({}, "train", "--resume RUN"),
    "resume with settings": ({}, "train --resume run --set model.cell=gru", "--resume"),
    "run folder not empty": ({}, "train majority --out run", "--resume run"),
    "run of a newer format": (
        lambda: of_format_9("run/environment.json"),
        "train --resume run",
        "run/environment.json: format 9",
    ),
    "loss not finite": (
        {},
        "train majority --set training.lr=1e30 --set training.max_grad_norm=none",
        "Epoch 1, batch",
    ),
}
TRAINED = {
    "missing run": ({}, "predict none -", "none"),
    "missing file": ({}, "predict run none.csv", "none.csv"),
    "unknown ending": ({"a.doc": ""}, "predict run a.doc", "'.doc'"),
    "wrong encoding": ({"a.csv": b"text\ngood\nb\xe9d\n"}, "predict run a.csv", "a.csv, line 3: not UTF-8 (byte 0xe9)"),
    "missing column": (
        {"a.csv": "review,stars\ngood,5\n"},
        "predict run a.csv",
        "no column 'text'. Columns: review, stars",
    ),
    "missing label column": (
        {"a.csv": "text,Label\ngood,5\n"},
        "evaluate run a.csv",
        "no column 'label'. Did you mean 'Label'? Columns: text, Label",
    ),
    "quote never closed": ({"a.csv": 'text\n"good\n'}, "predict run a.csv", "a.csv, row 2"),
    "nothing to predict": ({}, "predict run", "--text SEQUENCE"),
    "two things to predict": ({}, "predict run reviews.csv --text good", "--text SEQUENCE"),
    "setting of the model": ({}, "predict run reviews.csv --set model.cell=gru", "--set model.cell=gru"),
    "setting without a file to predict": ({}, "predict run --text film --set data.text_column=x", "data.text_column=x"),
    "setting without a file to evaluate": ({}, "evaluate run --set data.text_column=x", "data.text_column=x"),
    "unknown output format": ({}, "predict run --text film --format conll", "--format conll"),
    "unavailable device": ({}, "predict run --text film --device tpu", "'tpu'"),
    "unavailable device to evaluate": ({}, "evaluate run --device tpu", "'tpu'"),
    "empty to evaluate": ({"a.csv": 'text,label\n"",pos\n'}, "evaluate run a.csv", "a.csv, row 2"),
    "unseen label": ({"a.csv": "text,label\nfilm,maybe\n"}, "evaluate run a.csv", "a.csv, row 2: label 'maybe'"),
    "unreadable row, strict": ({}, "predict run --strict --text film --text=", "--text 2"),
    "unknown row, strict": ({}, "predict run --strict --text film --text=zzz", "--text 2"),
    "truncated model": (lambda: cut("run/model.safetensors"), "predict run --text film", "run/model.safetensors"),
    "altered model": (lambda: alter("run/model.safetensors"), "evaluate run", "run/model.safetensors"),
    "newer model": (
        lambda: of_format_9("run/model.safetensors"),
        "predict run --text film",
        "run/model.safetensors: format 9",
    ),
    "no model": ({}, "predict reviews.csv -", "reviews.csv"),
}


@pytest.mark.parametrize(
    ("before", "command", "expected"), [*UNTRAINED.values(), *TRAINED.values()], ids=[*UNTRAINED, *TRAINED]
)
def test_bad_input_is_answered_in_one_line(before, command, expected, folder, capsys):
    if callable(before):
        before()
    else:
        for name, content in before.items():
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    files = contents(folder)
    assert run(*command.split()) == 2
    errors = [
        line for line in capsys.readouterr().err.splitlines() if line.startswith(("Error", "Traceback", "  File"))
    ]
    assert len(errors) == 1
    assert expected in errors[0]
    assert files.items() <= contents(folder).items()


# Rows that cannot be read, their sources, and what the error names
UNREADABLE = {
    "empty": ({"a.csv": 'text\nfilm\n""\n'}, "run a.csv", "a.csv, row 3", "empty"),
    "empty typed": ({}, "run --text film --text=", "--text 2", "empty"),
    "empty series typed": ({}, "numeric --text=[[1,2]] --text=", "--text 2", "empty"),
    "infinity": (
        {"a.jsonl": '{"series": [[1, 2]]}\n{"series": [[1, 2], [1, -Infinity]]}\n'},
        "numeric a.jsonl",
        "a.jsonl, row 2",
        "-inf",
    ),
    "not JSON": ({"a.jsonl": '{"series": [[1, 2]]}\n{"series": \n'}, "numeric a.jsonl", "a.jsonl, row 2", "JSON"),
    "missing key": ({"a.jsonl": '{"series": [[1, 2]]}\n{"x": 1}\n'}, "numeric a.jsonl", "a.jsonl, row 2", "'series'"),
    "NaN typed": ({}, "numeric --text=[[1,2]] --text=[[1,NaN]]", "--text 2", "nan"),
    "not an array": ({}, "numeric --text=[[1,2]] --text=1,2", "--text 2", "'1,2'"),
    "other channels": ({}, "numeric --text=[[1,2]] --text=[1,2]", "--text 2", "1 channel"),
    "a single row": ({}, "run --text=", "--text 1", "empty"),
}


@pytest.mark.parametrize(("files", "arguments", "source", "shown"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_row_that_cannot_be_read_is_answered_by_its_error(files, arguments, source, shown, folder, capsys):
    for name, content in files.items():
        Path(name).write_text(content, encoding="utf-8")
    assert run("predict", *arguments.split()) == 1
    *others, last = answers(capsys)
    assert all("label" in each for each in others)
    assert last.keys() == {"error", "source"}
    assert last["source"] == source
    assert last["error"].startswith(source)
    assert shown in last["error"]


def test_a_row_of_unknown_tokens_is_answered_with_a_warning(folder, capsys):
    assert run("predict", "run", "--text", "film", "--text", "zzz") == 0
    known, unknown = answers(capsys)
    assert "warning" not in known
    assert unknown["label"] in LABELS
    assert "out of vocabulary" in unknown["warning"]


def test_a_line_of_standard_input_that_is_not_utf_8_is_answered_by_its_error(folder, capsys):
    assert run("predict", "run", "-", stdin=b"good film\nb\xe9d\ndull film\n") == 1
    first, bad, last = answers(capsys)
    assert bad["source"] == "standard input, line 2"
    assert "0xe9" in bad["error"]
    assert first.keys() == last.keys() == {"label", "probabilities"}


def test_all_faults_of_a_config_are_told_at_once(folder, capsys):
    assert (
        run("train", "majority", "--set", "model.cel=gru", "--set", "model.hidden_size=big", "--set", "training.lr=-1")
        == 2
    )
    *told, page = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert page == "See docs/settings.md"
    for key in ("model.cel: unknown key", "model.hidden_size", "training.lr"):
        assert sum(key in line and line.startswith("Error: ") for line in told) == 1


@pytest.mark.parametrize("command", ["trian", "train --sead 3", "evaluate", "data show"])
def test_unknown_or_missing_words_point_to_help(command, capsys):
    assert run(*command.split()) == 2
    told = capsys.readouterr().err
    assert "--help' for help" in told
    assert told.splitlines()[-1].startswith("Error: ")


def test_a_file_without_its_ending_is_answered_by_how_to_write_it(folder, capsys):
    assert run("train", "reviews") == 2
    assert "reviews.csv" in capsys.readouterr().err
