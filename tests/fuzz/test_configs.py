"""Configs of any content: bytes of TOML, nested values, settings, and sizes beyond the memory."""

import tempfile
from pathlib import Path

from fuzzing import ends_cleanly, fuzzing
from hypothesis import example, given
from hypothesis import strategies as st

from ostinato.config import to_toml
from ostinato.tasks import TASKS
from ostinato.tasks.config import PRESETS, override, parse_config, read_config
from ostinato.tasks.memory import refuse_oversized

BASE = PRESETS["majority"]()
SOURCE = to_toml(BASE).encode()
KEYS = sorted(
    {
        f"{table}.{key}"
        for task in TASKS.values()
        for table in task.config.TABLES
        for key in task.config.model_fields[table].annotation.model_fields
    }
)
NUMBERS = (
    st.integers(-(2**70), 2**70) | st.integers(1, 70_000) | st.floats() | st.sampled_from([10**400, -1, 0, 1, 2**31])
)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec=None), max_size=8)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.sampled_from(
    [
        b"[",
        b"]",
        b"=",
        b'"',
        b"'",
        b"\n",
        b"[data]",
        b"9" * 5000,
        b"[" * 3000,
        b"\xff",
        b"\x00",
        b"1e999",
        b"0x" + b"F" * 5000,
    ]
)
SIZES = ("hidden_size", "embedding_size", "num_layers", "conv_size", "kernel_size", "conv_pool")


@fuzzing
@given(st.lists(st.tuples(st.integers(0, len(SOURCE)), st.integers(0, 20), PARTS | st.binary(max_size=4)), max_size=4))
def test_mutated_toml(changes):
    text = bytearray(SOURCE)
    for at, length, part in changes:
        text[at : at + length] = part
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.toml"
        path.write_bytes(text)
        ends_cleanly(read_config, path)


@fuzzing
@given(st.dictionaries(st.sampled_from([*KEYS, "data.x", "search.y", "model"]), VALUES, max_size=5), VALUES)
def test_values_of_any_type(changes, task):
    values = {"task": task} if isinstance(task, str) and len(task) > 5 else {}
    values |= {"data": {"name": "majority"}, "model": {}, "training": {}}
    for key, value in changes.items():
        table, _, name = key.partition(".")
        before = values.get(table)
        values[table] = {**(before if isinstance(before, dict) else {}), name: value} if name else value
    ends_cleanly(parse_config, values)


@fuzzing
@given(
    st.lists(
        st.tuples(st.sampled_from([*KEYS, "task", "x"]), VALUES.map(str) | st.sampled_from(["[" * 4000, "9" * 6000])),
        max_size=4,
    )
)
@example([("model.init", "[" * 4000)])  # no file can have this name
@example([("model.init", "a\0b")])
def test_settings(settings):
    ends_cleanly(override, BASE, [f"{key}={value}" for key, value in settings])


@fuzzing
@given(st.dictionaries(st.sampled_from(SIZES), st.integers(1, 70_000), max_size=6), st.integers(1, 2**62))
def test_sizes(sizes, length):
    small = override(BASE, ["data.train_size=20", "data.validation_size=0", "data.test_size=0"])
    data = TASKS["classification"].prepare(small.data)

    def check():
        config = override(
            small,
            [
                *(f"model.{key}={size}" for key, size in sizes.items() if key != "num_layers"),
                f"model.num_layers={sizes.get('num_layers', 1) % 100 + 1}",
            ],
        )
        refuse_oversized(TASKS["classification"], config, data.encoder, data.codec, data.splits["train"])

    ends_cleanly(check)
    if length > 2**32:  # a shorter one may fit, and would be drawn
        ends_cleanly(TASKS["classification"].prepare, override(small, [f"data.length={length}"]).data)
