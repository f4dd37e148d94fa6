"""Take a trained model to where there is no PyTorch: one certified ONNX file, and a runner for it.

write         to_onnx: the file, with everything that turns raw input into answers; verify
serialize     the content of the file: graph and facts
certificate   the file's answers in ONNX Runtime compared with those of our own engine
quantization  an int8 file compared with the float32 file on labelled rows
runner        Runner: answers from raw text with onnxruntime, numpy and tokenizers alone
stream        RunnerStream: answers while a sequence arrives in pieces
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ostinato.export.certificate import Certificate
    from ostinato.export.runner import Runner
    from ostinato.export.write import to_onnx, verify

_HOME = {"Certificate": "certificate", "Runner": "runner", "to_onnx": "write", "verify": "write"}

__all__ = ["Certificate", "Runner", "to_onnx", "verify"]


def __getattr__(name: str) -> Any:
    if name in _HOME:  # `Runner` must not bring torch along
        return getattr(import_module(f"ostinato.export.{_HOME[name]}"), name)
    raise AttributeError(f"module 'ostinato.export' has no attribute {name!r}")
