"""The compiled library, called through ctypes: its structures, and loading it.

ctypes reads and writes structures by position. So the library describes its own, and a library that does not match the
classes here (one left over from another version) is refused instead of computing garbage.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path

# OSTINATO_LIBRARY selects another build, for `make sanitize`
LIBRARY = Path(
    os.environ.get("OSTINATO_LIBRARY")
    or Path(__file__).with_name("libostinato" + {"darwin": ".dylib", "win32": ".dll"}.get(sys.platform, ".so"))
)

# in the order of the library's enumerations
CELLS = ("rnn_tanh", "rnn_relu", "lstm", "gru", "lnlstm", "slstm")
ORDERS = ("ragged", "batch_first", "time_first")
PRECISIONS = ("float32", "bfloat16", "int8")
POOLINGS = ("last", "mean", "max", "attention")
SCANS = ("mingru", "minlstm", "mingru_signed", "minlstm_signed", "rglru", "lru")
STATUS = (
    "",
    "not enough memory for the recurrent layer: reduce the batch size",
    "a token id is outside the embedding table",
    "lengths do not match the values: expected 0 to the padded length, with a sum equal to the number of steps",
)

_int, _long, _pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class Stack(ctypes.Structure):
    """`OstinatoStack` of interface.h."""

    _fields_ = [
        *((name, _int) for name in ("cell", "num_layers", "num_directions", "order", "threads")),
        *((name, _int) for name in ("training", "precision")),
        *(
            (name, _long)
            for name in ("batch_size", "num_steps", "padded_length", "input_size", "hidden_size", "table_rows")
        ),
        *((name, _pointer) for name in ("lengths", "ids", "x", "weights", "h0", "c0", "y", "hn", "cn", "saved")),
    ]


class Gradients(ctypes.Structure):
    """`OstinatoGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("y", "hn", "cn", "x", "weights", "h0", "c0")]


class Attention(ctypes.Structure):
    """`OstinatoAttention` of interface.h."""

    _fields_ = [
        *((name, _long) for name in ("batch_size", "num_steps", "hidden_size")),
        *((name, _pointer) for name in ("lengths", "h", "project", "bias", "score", "out", "a", "u", "running")),
    ]


class AttentionGradients(ctypes.Structure):
    """`OstinatoAttentionGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("out", "h", "project", "bias", "score")]


class Readout(ctypes.Structure):
    """`OstinatoReadout` of interface.h."""

    _fields_ = [
        *((name, _int) for name in ("num_poolings", "by_step")),
        ("size", _long),
        *((name, _pointer) for name in ("poolings", "project", "project_bias", "score", "factors", "weight", "bias")),
        *((name, _pointer) for name in ("pooled", "a", "u", "out")),
    ]


class ReadoutGradients(ctypes.Structure):
    """`OstinatoReadoutGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("out", "project", "project_bias", "score", "weight", "bias")]


class Scan(ctypes.Structure):
    """`OstinatoScan` of interface.h."""

    _fields_ = [
        *((name, _int) for name in ("cell", "num_directions")),
        *((name, _long) for name in ("batch_size", "num_steps", "input_size", "hidden_size")),
        *((name, _pointer) for name in ("lengths", "x", "weights", "y", "sums", "h0", "states")),
    ]


class ScanGradients(ctypes.Structure):
    """`OstinatoScanGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("y", "x", "weights")]


class Crf(ctypes.Structure):
    """`OstinatoCrf` of interface.h."""

    _fields_ = [
        *((name, _long) for name in ("batch_size", "num_steps", "num_tags")),
        *((name, _pointer) for name in ("lengths", "emissions", "start", "transitions", "end", "tags", "saved")),
    ]


class CrfGradients(ctypes.Structure):
    """`OstinatoCrfGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("log_likelihood", "emissions", "start", "transitions", "end")]


class Softmax(ctypes.Structure):
    """`OstinatoSoftmax` of interface.h."""

    _fields_ = [
        *((name, _long) for name in ("rows", "size", "candidates", "tokens")),
        *((name, _pointer) for name in ("x", "weight", "bias", "table", "table_bias", "targets", "left_out")),
        *((name, _pointer) for name in ("losses", "d_positive", "d_x", "d_weight", "d_bias")),
    ]


class AdamW(ctypes.Structure):
    """`OstinatoAdamW` of interface.h."""

    _fields_ = [
        ("count", _long),
        *((name, ctypes.c_double) for name in ("beta1", "beta2", "epsilon", "limit")),
        *(
            (name, _pointer)
            for name in ("sizes", "rates", "decays", "weights", "gradients", "means", "squares", "steps")
        ),
    ]


STRUCTURES: tuple[type[ctypes.Structure], ...] = (
    Stack,
    Gradients,
    Attention,
    AttentionGradients,
    Readout,
    ReadoutGradients,
    Scan,
    ScanGradients,
    Crf,
    CrfGradients,
    Softmax,
    AdamW,
)


def library() -> ctypes.CDLL | None:
    """The library, or None where it cannot be used; `why_unavailable` says why."""
    return _load()[0]


def why_unavailable() -> str | None:
    """Why the library cannot be used; None when it can."""
    return _load()[1]


def built_library() -> ctypes.CDLL:
    """The library.

    Raises:
        RuntimeError: it cannot be used.
    """
    loaded, reason = _load()
    if loaded is None:
        raise RuntimeError(f"The native engine cannot run: {reason}.")
    return loaded


@cache
def _load() -> tuple[ctypes.CDLL | None, str | None]:
    """The library and None, or None and why it cannot be used."""
    if not LIBRARY.exists():
        return None, "it was not compiled (see: ostinato doctor)"
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError as error:
        return None, f"{LIBRARY.name} cannot be loaded: {error}"
    mismatch = _mismatch(loaded)
    if mismatch is not None:
        return None, f"{LIBRARY.name} belongs to another version of Ostinato ({mismatch}): install Ostinato again"
    loaded.ostinato_saved_floats.restype = _long
    for name in ("ostinato_variant", "ostinato_pool", "ostinato_bfloat16_instructions", "ostinato_why_not_bfloat16"):
        getattr(loaded, name).restype = ctypes.c_char_p
    loaded.ostinato_linear.argtypes = [_pointer] * 4 + [_long] * 3 + [_int]
    return loaded, None


def _mismatch(loaded: ctypes.CDLL) -> str | None:
    """The first difference between the interface that the library describes and the one above; None without any."""
    try:
        describe = loaded.ostinato_interface
    except AttributeError:
        return "it does not describe its interface"
    describe.restype = ctypes.c_char_p
    for expected, found in zip_longest(_interface(), describe().decode().splitlines(), fillvalue="nothing"):
        if expected != found:
            return f"expected {expected}, found {found}"
    return None


def _interface() -> Iterator[str]:
    """The lines of `ostinato_interface`: each structure's size, each field's size and offset, the enumerators, and what
    forward saves.
    """
    for structure in STRUCTURES:
        name = f"Ostinato{structure.__name__}"
        yield f"{name}: {ctypes.sizeof(structure)} bytes"
        for field, *_ in structure._fields_:
            member = getattr(structure, field)
            yield f"{name}.{field}: {member.size} bytes at {member.offset}"
    for kind, names in (
        ("cell", CELLS),
        ("order", ORDERS),
        ("precision", PRECISIONS),
        ("pooling", POOLINGS),
        ("scan", SCANS),
    ):
        for number, name in enumerate(names):
            yield f"{kind} {name}: {number}"
    yield "saved: gates, cells, outputs"  # an older library saves less, and reads y in backward


library()  # load it at once: from then on it notices forks


def check(status: int) -> None:
    """Raise the error that the library reports.

    Raises:
        MemoryError: out of memory.
        IndexError: a token id is out of range.
        ValueError: the lengths do not fit.
    """
    if status:
        raise (MemoryError, IndexError, ValueError)[status - 1](STATUS[status])
