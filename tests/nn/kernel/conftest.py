"""Fixtures of the kernel's tests."""

import shutil
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
    """Each variant in turn: a copy of the library, which picks its variant at the first call."""
    copy = Path(shutil.copy(binding.LIBRARY, tmp_path_factory.mktemp(request.param)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OSTINATO_KERNEL", request.param)
        patch.setattr(binding, "LIBRARY", copy)
        binding._load.cache_clear()
        calls.saved_size.cache_clear()
        if kernel.variant() != request.param:
            pytest.skip(f"this machine has no {request.param}")
        yield
    binding._load.cache_clear()
    calls.saved_size.cache_clear()
