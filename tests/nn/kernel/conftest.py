"""Fixtures of the kernel's tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from ostinato.nn import kernel
from ostinato.nn.kernel import binding, calls


@pytest.fixture
def threads():
    """Sets torch's number of threads for one test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=["avx512", "avx2", "portable"])
def variant(request, tmp_path_factory):
    """Each variant in turn."""
    with forced(request.param, tmp_path_factory):
        if kernel.variant() != request.param:
            pytest.skip(f"this machine has no {request.param}")
        yield


@pytest.fixture(scope="module", params=["chosen", "avx512bf16"])
def bfloat16(request, tmp_path_factory):
    """Products in bfloat16 by the instructions that the kernel chooses, and where those are AMX, by the others too."""
    if request.param == "chosen":
        yield
    elif kernel.bfloat16_instructions() == "AMX":
        with forced(request.param, tmp_path_factory):
            assert kernel.bfloat16_instructions() == "AVX512_BF16"
            yield
    else:
        pytest.skip("the kernel chooses these instructions, or none")


@contextmanager
def forced(variant: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A copy of the library, which picks its variant at the first call."""
    copy = Path(shutil.copy(binding.LIBRARY, tmp_path_factory.mktemp(variant)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_KERNEL", variant)
        patch.setattr(binding, "LIBRARY", copy)
        binding._load.cache_clear()
        calls.saved_size.cache_clear()
        yield
    binding._load.cache_clear()
    calls.saved_size.cache_clear()
