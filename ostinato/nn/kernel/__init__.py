"""The native CPU engine: a C++ kernel (`src/`), its binding, and its torch operators.

The kernel is a plain C library that does not depend on torch, called through ctypes, so one build serves every version
of torch and Python.

Source: DeepCPU (Zhang et al. 2018) for weights that stay in a core's cache, cuDNN (Appleyard et al. 2016) for pipelined
layers, libxsmm (Georganas et al. 2020) for blocked cells; here for ragged batches and without a barrier at each step.
"""

from ostinato.nn.kernel.adamw import adamw, can_update
from ostinato.nn.kernel.attention import attend
from ostinato.nn.kernel.binding import library, why_unavailable
from ostinato.nn.kernel.calls import Spec, linear
from ostinato.nn.kernel.precision import (
    bfloat16_instructions,
    check_precision,
    chosen_precision,
    use_precision,
    why_not_bfloat16,
)
from ostinato.nn.kernel.readout import InferenceCall, Inputs, Readout, read_out
from ostinato.nn.kernel.recurrent import recurrent
from ostinato.nn.kernel.scan import scan, scan_from
from ostinato.nn.kernel.softmax import SoftmaxGradient, softmax
from ostinato.nn.kernel.tracing import is_traced

__all__ = [
    "InferenceCall",
    "Inputs",
    "Readout",
    "SoftmaxGradient",
    "Spec",
    "adamw",
    "attend",
    "bfloat16_instructions",
    "can_update",
    "check_precision",
    "chosen_precision",
    "is_built",
    "is_traced",
    "linear",
    "pool",
    "read_out",
    "recurrent",
    "scan",
    "scan_from",
    "softmax",
    "use_precision",
    "variant",
    "why_not_bfloat16",
    "why_unavailable",
]


def is_built() -> bool:
    """Whether the library was compiled when Ostinato was installed, and can be used."""
    return library() is not None


# what torch.compiler.assume_constant_result does, without its slow import
why_unavailable._dynamo_marked_constant = True  # type: ignore[attr-defined]


def variant() -> str:
    """The instruction set: `avx512`, `avx2` or `portable`. The environment variable OSTINATO_KERNEL forces one."""
    loaded = library()
    return loaded.ostinato_variant().decode() if loaded is not None else "not built"


def pool() -> str:
    """The source of threads where torch uses several: `openmp`, which is torch's pool, or the kernel's own `threads`.

    Where torch uses one, as in training and prediction, the threads are the kernel's own.
    """
    loaded = library()
    return loaded.ostinato_pool().decode() if loaded is not None else "none"
