"""The compiled library, reached by ctypes: loading it, and its two structures."""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path

# OSTINATO_LIBRARY names another build: `make sanitize`
LIBRARY = Path(
    os.environ.get("OSTINATO_LIBRARY")
    or Path(__file__).with_name("libostinato" + (".dylib" if sys.platform == "darwin" else ".so"))
)

CELLS = ("rnn_tanh", "rnn_relu", "lstm", "gru")  # in the order of the library's enumeration, as are these:
ORDERS = ("ragged", "batch_first", "time_first")
SCANS = ("mingru", "minlstm")
STATUS = (
    "",
    "not enough memory for the recurrent layer: make the batch smaller",
    "a token id is outside the embedding table",
    "lengths do not fit the values: they must be 0 or more, at most the padded length, and add up to the number of steps",
)

_int, _long, _pointer = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p


class Stack(ctypes.Structure):
    """`OstinatoStack` of interface.h."""

    _fields_ = [
        *((name, _int) for name in ("cell", "num_layers", "num_directions", "order", "threads", "training")),
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
        *((name, _pointer) for name in ("lengths", "h", "project", "bias", "score", "out", "a", "u")),
    ]


class AttentionGradients(ctypes.Structure):
    """`OstinatoAttentionGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("out", "h", "project", "bias", "score")]


class Scan(ctypes.Structure):
    """`OstinatoScan` of interface.h."""

    _fields_ = [
        *((name, _int) for name in ("cell", "num_directions")),
        *((name, _long) for name in ("batch_size", "num_steps", "input_size", "hidden_size")),
        *((name, _pointer) for name in ("lengths", "x", "weights", "y", "sums")),
    ]


class ScanGradients(ctypes.Structure):
    """`OstinatoScanGradients` of interface.h."""

    _fields_ = [(name, _pointer) for name in ("y", "x", "weights")]


@cache
def library() -> ctypes.CDLL | None:
    """The library, or None where it was not built or cannot be loaded."""
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    loaded.ostinato_saved_floats.restype = _long
    loaded.ostinato_variant.restype = loaded.ostinato_pool.restype = ctypes.c_char_p
    loaded.ostinato_linear.argtypes = [_pointer] * 4 + [_long] * 3 + [_int]
    return loaded


def built_library() -> ctypes.CDLL:
    """The library.

    Raises:
        RuntimeError: it was not built.
    """
    loaded = library()
    if loaded is None:
        raise RuntimeError("The native engine was not built; see: ostinato doctor")
    return loaded


library()  # at once: it watches for forks from the moment it is loaded


def check(status: int) -> None:
    """Raise what the library reports.

    Raises:
        MemoryError: there is not enough.
        IndexError: a token id is out of range.
        ValueError: the lengths do not fit.
    """
    if status:
        raise (MemoryError, IndexError, ValueError)[status - 1](STATUS[status])
