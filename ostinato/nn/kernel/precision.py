"""The precision of the kernel's products: float32, bfloat16 where the processor multiplies it faster, or int8."""

from collections.abc import Iterator
from contextlib import contextmanager

from ostinato.errors import look_up
from ostinato.nn.kernel.binding import PRECISIONS, library, why_unavailable
from ostinato.nn.kernel.setting import Setting

_wanted = Setting("precision")


@contextmanager
def use_precision(precision: str) -> Iterator[None]:
    """Compute the native engine's products with weights in this precision.

    With `bfloat16`, RNN, LSTM and GRU layers multiply numbers of bfloat16 and sum them in float32: inputs, states, the
    gates' gradients and weights are rounded for each product; all else stays in float32. This takes effect where the
    processor has AMX, or is AMD's with AVX512_BF16; elsewhere products are in float32, and `ostinato doctor` says why.
    A backward pass has the precision of its forward pass.

    With `int8`, for inference, these layers round weight_hh to int8 with one scale for each row, and the state to int16
    with one scale for each sequence and step; all else stays in float32. So a step reads a quarter of the bytes. Where
    gradients are recorded, products are in float32.

    Example:

        with ostinato.nn.use_precision("bfloat16"):
            outputs, _ = layer(inputs)

    Args:
        precision: `float32`, `bfloat16` or `int8`.

    Raises:
        ConfigError: the name is unknown.
    """
    with _wanted.block(check_precision(precision)):
        yield


def check_precision(precision: str) -> str:
    """The name itself.

    Raises:
        ConfigError: it is unknown.
    """
    return look_up({name: name for name in PRECISIONS}, precision, "precision")


def chosen_precision(default: str = "float32") -> str:
    """The precision of a call: that of the enclosing `use_precision`, else the default, if this machine has it."""
    precision = _wanted.get() or default
    return "float32" if precision == "bfloat16" and why_not_bfloat16() is not None else precision


def why_not_bfloat16() -> str | None:
    """Why products cannot be in bfloat16 on this machine; None when they can."""
    loaded = library()
    if loaded is None:
        return why_unavailable()
    return loaded.ostinato_why_not_bfloat16().decode() or None


# what torch.compiler.assume_constant_result does, without its slow import
why_not_bfloat16._dynamo_marked_constant = True  # type: ignore[attr-defined]


def bfloat16_instructions() -> str | None:
    """The processor's instructions that multiply bfloat16: `AMX`, `AVX512_BF16`, or None where products cannot be."""
    loaded = library()
    return None if loaded is None else loaded.ostinato_bfloat16_instructions().decode() or None
