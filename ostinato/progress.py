"""What a person sees during long work: lines and, on a terminal, a progress bar below them."""

import glob
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from ostinato.printable import visible, visible_lines

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import ProgressColumn

Item = TypeVar("Item")

TimeLeft = Callable[[], float]  # seconds until long work should end, negative afterwards; Ctrl-C raises

LARGE_FILE = 20_000_000  # bytes that take seconds to read, clean and encode


def unlimited() -> float:
    """The time left for work that may take any time."""
    return math.inf


class Progress:
    """Lines on standard error and, on a terminal, a bar over the epochs with loss, tokens per second and time left.

    Args:
        quiet: show nothing.
        label: what is trained.
    """

    def __init__(self, *, quiet: bool = False, label: str = "") -> None:
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet)
        self.prefix = f"{visible(label)}: " if label else ""
        self._bar: Bar | None = None
        self._epoch = self._max_epochs = 0

    def say(self, line: str) -> None:
        """Show a line, above the bar if there is one."""
        self.console.print(visible_lines(line), markup=False, highlight=False, emoji=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """Show a line on a terminal only."""
        if self.console.is_terminal:
            self.say(line)

    @contextmanager
    def reading(self, paths: Iterable[str]) -> Iterator[None]:
        """Name the large files that are read inside the block, with the time that it has taken, on a terminal only."""
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        sizes = {path: _bytes_at(path) for path in paths}
        large = [f"{visible(path)} ({size / 1e6:,.0f} MB)" for path, size in sizes.items() if size >= LARGE_FILE]
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Bar(*columns, console=self.console, transient=True, disable=not (large and self._shows_bar)) as bar:
            bar.add_task(f"Reading and auditing {', '.join(large)} …", total=None)
            yield

    def track(self, items: Sequence[Item], what: str) -> Iterable[Item]:
        """Yield the items and, on a terminal, show a bar that counts them."""
        from rich.markup import escape
        from rich.progress import track

        description = escape(f"{self.prefix}{what}")
        return track(items, description, console=self.console, transient=True, disable=not self._shows_bar)

    @contextmanager
    def training(self, max_epochs: int, epoch: int) -> Iterator[None]:
        """Show the bar inside the block; `epoch` epochs are already done."""
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            _rate_column(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=self.console, transient=True, disable=not self._shows_bar) as bar:
            self._bar, self._epoch, self._max_epochs = bar, epoch, max_epochs
            self._task = bar.add_task(self._description(), total=max_epochs, completed=epoch, tokens=0, loss="")
            yield
        self._bar = None

    def step(self, share: float, tokens: int, loss: float) -> None:
        """Report a training step.

        Args:
            share: how much of the epoch is done, from 0 to 1.
            tokens: those of this step.
            loss: the mean over the epoch so far.
        """
        if self._bar is not None:
            total = self._bar.tasks[0].fields["tokens"] + tokens
            self._bar.update(self._task, completed=self._epoch + share, tokens=total, loss=f"loss {loss:.3f}")

    def epoch(self) -> None:
        """Report the end of an epoch."""
        self._epoch += 1
        if self._bar is not None:
            self._bar.update(self._task, description=self._description())

    @property
    def _shows_bar(self) -> bool:
        return self.console.is_terminal and not self.console.quiet

    def _description(self) -> str:
        return f"{self.prefix}epoch {min(self._epoch + 1, self._max_epochs)}/{self._max_epochs}"


def _rate_column() -> "ProgressColumn":
    """Tokens per second. The class is defined here because rich is imported only when a bar is shown."""
    from rich.progress import ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            tokens, elapsed = task.fields["tokens"], task.elapsed or 0
            return Text(f"{tokens / elapsed:,.0f} tokens/s" if elapsed > 0 and tokens else "", style="dim")

    return Rate()


def _bytes_at(path: str) -> int:
    """The bytes of a file, of the files in a folder, or of those that match a pattern."""
    found = [os.path.join(path, name) for name in os.listdir(path)] if os.path.isdir(path) else [path]
    if not os.path.exists(path):
        found = glob.glob(path, recursive=True)
    return sum(map(os.path.getsize, filter(os.path.isfile, found)))
