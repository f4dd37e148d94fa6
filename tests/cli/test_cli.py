"""The command line: what it does with good input, and what it prints."""

import errno
import importlib.metadata
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from commands import LABELS, REVIEWS, SERIES, TEXTS, answers, contents, jsonl, run, tiny

from ostinato import load
from ostinato.cli import doctor
from ostinato.config.reading import parse_toml as read_toml
from ostinato.data.examples import Record
from ostinato.pretraining.datasets import UNLABELLED
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, parse_config, parse_toml
from ostinato.tasks.model_file import load_model
from ostinato.tasks.sequences.task import ROWS_AT_A_TIME

# One's own file trains in two commands, and the run answers


def fasta():
    bases = random.Random(1)
    return "".join(
        f">seq{number} {label}\n{''.join(bases.choices('ACGT', k=20))}\n" for number, label in enumerate(LABELS)
    )


def ts_file():
    rows = (
        ",".join(f"{step[0]:.4f}" for step in steps) + f":{label}\n"
        for steps, label in zip(SERIES, LABELS, strict=True)
    )
    return "@problemName toy\n@timestamps false\n@univariate true\n@classLabel true neg pos\n@data\n" + "".join(rows)


FILES = {
    "a.csv": REVIEWS,
    "windows.csv": "\ufeffId,Review Text,Class\r\n"
    + "".join(f'{i},"{text}",{label}\r\n' for i, (text, label) in enumerate(zip(TEXTS, LABELS, strict=True))),
    "a.tsv": "y\treview\n" + "".join(f"{number % 2}\t{text}\n" for number, text in enumerate(TEXTS)),
    "words.jsonl": jsonl(events=[text.split() for text in TEXTS], outcome=LABELS),
    "series.jsonl": jsonl(series=SERIES, target=[number % 2 for number in range(40)]),
    "a.fasta": fasta(),
    "a.ts": ts_file(),
}


@pytest.mark.parametrize("name", [*FILES, "a.parquet"])
def test_own_file_trains_in_two_commands_and_is_predicted_row_by_row(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if name == "a.parquet":
        pyarrow.parquet.write_table(pa.table({"walk": SERIES, "who": LABELS}), name)
    else:
        Path(name).write_text(FILES[name], encoding="utf-8", newline="")
    assert run("init", name) == 0
    Path("config.toml").write_text(capsys.readouterr().out, encoding="utf-8")
    small = tiny("data.empty=refuse", "data.validation_size=8", "data.test_size=8")
    assert run("train", "config.toml", *small) == 0
    assert "runs/config" in capsys.readouterr().out
    assert run("predict", "runs/config", name) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 40
    assert all(row["label"] == max(row["probabilities"], key=row["probabilities"].get) for row in rows)


def test_init_prints_a_preset_whole(capsys):
    for name, preset in PRESETS.items():
        assert run("init", name) == 0
        text = capsys.readouterr().out
        assert parse_config(read_toml(text, name)) == preset()
        written = parse_config(read_toml(re.sub("(?m)^# ", "", text), name))  # with the defaults
        assert written == preset() and {"engine", "cell", "word_dropout"} <= written.model.model_fields_set


def test_init_comments_stay_comments_whatever_the_columns_are_called(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("odd.csv").write_text('"text\nof ""it""",label\n' + REVIEWS.partition("\n")[2], encoding="utf-8")
    assert run("init", "odd.csv") == 0
    assert parse_toml(capsys.readouterr().out, "odd").data.text_column == 'text\nof "it"'


def test_schema_is_the_config_s(capsys):
    assert run("schema") == 0
    assert set(json.loads(capsys.readouterr().out)["discriminator"]["mapping"]) == set(TASKS)


# Train, resume


def test_train_says_the_model_beside_what_it_must_beat(folder, capsys):
    assert run("train", "reviews.toml", *tiny()) == 0
    *_, headings, values = capsys.readouterr().out.splitlines()
    assert headings.startswith("data")
    assert all(heading in headings for heading in ("test accuracy", "95 % interval", "linear", "majority"))
    figures = json.loads(Path("runs/reviews/metrics.json").read_text(encoding="utf-8"))
    assert f"{figures['test']['accuracy']:.3f}" in values
    assert f"{figures['baselines']['linear']['accuracy']:.3f}" in values
    assert values.split()[-1] == "runs/reviews"


def test_train_takes_the_next_free_folder(folder, capsys):
    for expected in ("runs/reviews", "runs/reviews-2"):
        assert run("train", "reviews.toml", *tiny(), "--json") == 0
        assert json.loads(capsys.readouterr().out)["run"] == expected


def test_training_drops_empty_sequences_with_a_count(folder, capsys):
    Path("reviews.csv").write_text(REVIEWS + '"",pos\n" ",neg\n', encoding="utf-8")
    assert run("train", "reviews.toml", *tiny()) == 0
    assert "2 rows with an empty sequence dropped." in capsys.readouterr().err


def test_resuming_a_finished_run_says_so(folder, capsys):
    before = contents(folder)
    assert run("train", "--resume", "run", "--json") == 0
    told = capsys.readouterr()
    assert told.err.startswith("run is already finished")
    assert json.loads(told.out)["test"] == json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))["test"]
    assert contents(folder) == before


@pytest.mark.skipif(os.name == "nt", reason="SIGINT cannot be sent to one process on Windows")
def test_ctrl_c_keeps_a_checkpoint_and_prints_the_command_that_resumes(folder, capsys):
    slow = tiny("training.max_epochs=3", "training.batch_size=1", "model.engine=reference")
    command = [sys.executable, "-m", "ostinato", "train", "reviews.toml", *slow, "--out", "my run"]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as training:
        while not Path("my run/metrics.jsonl").exists():  # until the first epoch is over
            assert training.poll() is None
            time.sleep(0.01)
        training.send_signal(signal.SIGINT)
        told = training.communicate(timeout=30)[1]
    assert training.returncode == 130
    assert told.splitlines()[-1].endswith("ostinato train --resume 'my run'")
    assert not Path("my run/metrics.json").exists()
    assert run("train", "--resume", "my run") == 0
    epochs = [json.loads(line) for line in Path("my run/metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [entry["epoch"] for entry in epochs] == [1, 2, 3]


def test_full_disk_leaves_the_previous_checkpoint_to_resume_from(folder, monkeypatch, capsys):
    replace = Path.replace

    def full(self, target):
        if Path(target).name == "last.safetensors" and Path(target).exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        assert run("train", "reviews.toml", *tiny("training.max_epochs=2"), "--out", "full") == 2
    assert "last.safetensors: cannot be written: No space left on device" in capsys.readouterr().err
    assert sorted(path.name for path in Path("full/checkpoints").iterdir()) == ["best.safetensors", "last.safetensors"]
    assert run("train", "--resume", "full", "--json") == 0
    assert json.loads(capsys.readouterr().out)["training"]["epochs"] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_under_the_output_is_one_line(folder):
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ostinato", "schema"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    assert "No space left on device" in line


# Evaluate, predict


def test_evaluate_scores_a_file_and_the_test_split(folder, capsys):
    assert run("evaluate", "run", "--json") == 0
    figures = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    assert json.loads(capsys.readouterr().out)["accuracy"] == figures["test"]["accuracy"]
    assert run("evaluate", "run", "reviews.csv", "--json") == 0
    expected = sum(load("run").predict(TEXTS) == LABELS) / 40
    assert json.loads(capsys.readouterr().out)["accuracy"] == pytest.approx(expected)


def test_evaluate_prints_metrics_and_who_was_taken_for_whom(folder, capsys):
    assert run("evaluate", "run", "reviews.csv") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["n", "40"] in lines
    rows = [list(map(int, cells)) for name, *cells in lines if name in ("neg", "pos")]
    assert [sum(row) for row in rows] == [20, 20]


def test_labels_that_look_like_markup_are_printed_as_they_are(folder, capsys):
    Path("reviews.csv").write_text(REVIEWS.replace(",neg\n", ",[/b]\n").replace(",pos\n", ",[red]\n"), encoding="utf-8")
    assert run("train", "reviews.toml", *tiny(), "--out", "markup") == 0
    assert run("evaluate", "markup") == 0
    assert "true \\ predicted  [/b]  [red]" in capsys.readouterr().out


def test_predict_answers_alike_from_file_standard_input_and_text(folder, capsys):
    expected = load("run").predict_proba(TEXTS)
    assert run("predict", "run", "reviews.csv") == 0
    from_file = answers(capsys)
    assert [list(row["probabilities"].values()) for row in from_file] == [
        pytest.approx(row, abs=1e-6) for row in expected.tolist()
    ]
    assert run("predict", "run", "-", stdin=b"\xef\xbb\xbf" + "\r\n".join(TEXTS).encode()) == 0
    assert answers(capsys) == from_file
    assert run("predict", "run/model.safetensors", *(part for text in TEXTS for part in ("--text", text))) == 0
    assert answers(capsys) == from_file


def test_predict_takes_series_and_events_as_json(folder, capsys):
    assert run("predict", "numeric", "series.jsonl") == 0
    from_file = answers(capsys)
    assert run("predict", "numeric", "-", stdin="\n".join(map(json.dumps, SERIES)).encode()) == 0
    assert answers(capsys) == from_file


def test_predict_needs_no_labels_and_reads_other_columns_when_told(folder, capsys):
    Path("new.tsv").write_text(
        "id\treview\n" + "".join(f"{number}\t{text}\n" for number, text in enumerate(TEXTS)), encoding="utf-8"
    )
    assert run("predict", "run", "new.tsv", "--set", "data.text_column=review") == 0
    from_other = answers(capsys)
    assert run("predict", "run", "reviews.csv") == 0
    assert answers(capsys) == from_other


def test_evaluate_reads_other_columns_when_told(folder, capsys):
    Path("new.csv").write_text(REVIEWS.replace("text,label", "review,verdict", 1), encoding="utf-8")
    assert (
        run(
            "evaluate",
            "run",
            "new.csv",
            "--set",
            "data.text_column=review",
            "--set",
            "data.label_column=verdict",
            "--json",
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["n"] == 40


def test_predict_holds_a_few_hundred_rows_at_a_time(folder):
    taken = []
    records = (taken.append(number) or Record(TEXTS[0], None, None, None, f"row {number}") for number in range(10_000))
    model = load_model(Path("run"))
    next(model.task.answer(model, records, strict=False))
    assert len(taken) == ROWS_AT_A_TIME


def test_output_is_utf_8_in_any_locale(folder, monkeypatch):
    Path("reviews.csv").write_text(REVIEWS.replace(",neg\n", ",悪い\n"), encoding="utf-8")
    assert run("train", "reviews.toml", *tiny(), "--out", "other") == 0
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    assert run("predict", "other", "--text", TEXTS[0]) == 0
    assert set(json.loads(output.getvalue().decode("utf-8"))["probabilities"]) == {"pos", "悪い"}


# Data, doctor, help


def test_data_list_holds_every_named_set(capsys):
    assert run("data", "list", "--json") == 0
    names = [*(name for task in TASKS.values() for name in task.datasets), *UNLABELLED]
    assert list(json.loads(capsys.readouterr().out)) == names
    assert run("data", "list") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["name", *names]


def test_data_show_gives_whole_rows(capsys):
    assert run("data", "show", "splice", "--rows", 3, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert [len(row["sequence"]) for row in shown["rows"]] == [60, 60, 60]
    assert run("data", "show", "splice", "--rows", 1) == 0
    first = shown["rows"][0]
    assert f"  {first['label']}\t{first['sequence']}" in capsys.readouterr().out


def test_data_show_gives_rows_of_a_set_without_labels(capsys, monkeypatch):
    named = replace(UNLABELLED["ecoli-upstream"], load=lambda: ("a genome", ["ACGT", "GGCA", "TTTT"]))
    monkeypatch.setitem(UNLABELLED, "ecoli-upstream", named)
    assert run("data", "show", "ecoli-upstream", "--rows", 2, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["task"], shown["found"], shown["source"]) == ("pretraining", "a genome", named.source)
    assert shown["rows"] == [{"sequence": "ACGT"}, {"sequence": "GGCA"}]


def test_audit_of_a_file_says_its_guesses_and_what_training_would_say(folder, capsys):
    assert run("data", "audit", "reviews.csv") == 0
    told = capsys.readouterr()
    assert "label_column = 'label': by its name" in told.err
    assert "train: 28 rows (neg 14, pos 14)." in told.out
    assert run("data", "audit", "reviews.toml", "--set", "data.test_size=0", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["splits"]) == {"train", "validation"}


def test_audit_of_a_name_takes_the_preset_before_the_data_set(capsys):
    assert run("data", "audit", "majority", "--json") == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"]["rows"] == PRESETS["majority"]().data.test_size
    assert run("data", "audit", "dna-motif", "--set", "data.test_size=7", "--json") == 0
    assert json.loads(capsys.readouterr().out)["splits"]["test"]["rows"] == 7


def test_doctor_looks_for_every_extra_that_users_can_install():
    known = set(importlib.metadata.metadata("ostinato").get_all("Provides-Extra"))
    assert set(doctor.EXTRAS) == known - {"all", "bench", "dev", "docs"}


def test_doctor_tells_how_to_get_what_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "installed", lambda package: None if package == "dnaio" else "1.0")
    assert run("doctor") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("extra dna")]
    assert line.rstrip().endswith("pip install 'ostinato[dna]'")
    assert run("doctor", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["missing_extras"] == {"dna": "pip install 'ostinato[dna]'"}
    assert {"packages", "engine", "threads", "device"} < set(facts)


def test_doctor_shows_the_engine_of_each_layer_of_a_run(folder, capsys):
    assert run("doctor", "--model", "run") == 0
    assert "stack.layers.0" in capsys.readouterr().out
    assert run("doctor", "--model", "run", "--json") == 0
    (layer,) = json.loads(capsys.readouterr().out)["layers"]
    assert "cell=lstm" in layer["what"] and layer["runs on"] == "native"


def test_help_imports_nothing_heavy():
    code = (
        "import sys, ostinato.cli as cli\n"
        "sys.argv = ['ostinato', '--help']\n"
        "try: cli.main()\n"
        "finally: print(sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for command in ("train", "evaluate", "predict", "init", "schema", "doctor", "data"):
        assert f"\n  {command} " in done.stdout
    assert not {f"'{name}'" for name in ("torch", "numpy", "pydantic", "rich", "pyarrow")} & set(
        done.stderr.strip("[]\n").split(", ")
    )
