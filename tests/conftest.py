"""Shared by all tests: nothing random is left unseeded, and tiny models run on one thread."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # in programs that tests start, too

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
