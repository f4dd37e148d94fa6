"""Keys and arguments of version 0.1 under their present names; accepted with a warning until version 0.3."""

import warnings
from collections.abc import Mapping
from typing import Any

from ostinato.errors import ConfigError

RENAMED = {
    "accumulate": "gradient_accumulation_steps",
    "capitals_size": "word_shape_size",
    "clip_norm": "max_grad_norm",
    "vectors_beyond": "extra_vectors",
    "vectors_on_fault": "vectors_on_error",
    "warmup": "warmup_ratio",
}


def present_names(values: Mapping[str, Any], *, warn: bool = True) -> dict[str, Any]:
    """The same values under present names.

    Args:
        warn: say which names are old; False for what version 0.1 itself wrote.

    Raises:
        ConfigError: a value under its old and its present name.
    """
    for old in values.keys() & RENAMED.keys():
        if RENAMED[old] in values:
            raise ConfigError(f"{old} is the old name of {RENAMED[old]}, which is given too. Remove {old}")
        if not warn:
            continue
        message = f"{old} is now called {RENAMED[old]}. The old name works until version 0.3."
        warnings.warn(message, FutureWarning, stacklevel=3)
    return {RENAMED.get(name, name): value for name, value in values.items()}
