"""What all fuzzing targets share: how many inputs each one tries, and what counts as a clean outcome.

`make test` tries a few inputs per target; `make fuzz` tries thousands (FUZZ_EXAMPLES=N sets how many).
"""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import HealthCheck, settings

from ostinato.errors import OstinatoError

fuzzing = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", "25")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def ends_cleanly(function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Call a function that must either succeed or raise one of Ostinato's own errors; any other error propagates."""
    with suppress(OstinatoError):
        function(*arguments, **options)
