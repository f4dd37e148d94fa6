"""Random columns of labels end in an audit and a training of one epoch, or in a clear error, for each task."""

import json

from fuzzing import ends_cleanly, fuzzing
from hypothesis import given
from hypothesis import strategies as st

from ostinato.printable import visible
from ostinato.runs import start_run
from ostinato.tasks import TASKS
from ostinato.tasks.config import parse_config

WORDS = st.sampled_from(
    ["a", "b", "A", " a", "a|b", "None", "nan", "1", "1.0", "01", "0.5", "1e400", "", " ", "\u202ea"]
)
VALUES = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.lists(WORDS, max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=1),
)
SEQUENCES = st.one_of(st.sampled_from(["good film", "bad", "x y z", ""]), st.text(max_size=6))
COLUMNS = st.one_of(  # any values together, or a few of one kind in many rows
    st.lists(st.tuples(SEQUENCES, VALUES), min_size=1, max_size=12),
    st.lists(VALUES, min_size=1, max_size=3).flatmap(
        lambda values: st.lists(st.tuples(SEQUENCES, st.sampled_from(values)), min_size=2, max_size=40)
    ),
)
TASK = st.sampled_from([name for name in TASKS if name != "tagging"])
COLUMN_OF = {"classification": "label_column", "multilabel": "label_column", "regression": "target_columns"}


@fuzzing
@given(COLUMNS, TASK, st.booleans())
def test_random_labels_train_or_are_refused(tmp_path_factory, rows, task, skip):
    folder = tmp_path_factory.mktemp("labels")
    path = folder / "f.jsonl"
    lines = [json.dumps({"text": f"{text} w{row}", "y": value}) for row, (text, value) in enumerate(rows)]
    path.write_text("\n".join(lines), encoding="utf-8")
    column = ["y"] if task == "regression" else "y"
    config = parse_config(
        {
            "task": task,
            "data": {"path": str(path), COLUMN_OF[task]: column, "skip_unlabelled": skip, "tokenizer": "words"},
            "model": {"embedding_size": 2, "hidden_size": 2},
            "training": {"max_epochs": 1},
        }
    )

    def audit_and_train():
        data = TASKS[task].prepare(config.data)
        assert all(line == visible(line) for line in data.audit.lines())
        json.dumps(data.audit.to_json())
        start_run(config, folder / "run")

    ends_cleanly(audit_and_train)
    assert (folder / "run").exists() == (folder / "run" / "metrics.json").exists()  # refused before anything is written
