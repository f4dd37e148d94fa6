"""Which device a name means."""

import pytest
import torch

from ostinato.errors import ConfigError
from ostinato.training import choose_device


@pytest.mark.parametrize("name", ["cuda:7", "gpu"])
def test_an_unknown_or_unavailable_device_is_refused(name):
    if name == "cuda:7" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(ConfigError, match=name):
        choose_device(name)
