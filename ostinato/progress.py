"""Progress of long work: lines on standard error, with a bar below them on a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Item = TypeVar("Item")


class Progress:
    """Lines on standard error and, on a terminal, a bar over the epochs with loss, tokens per second and time left.

    Args:
        quiet: show nothing.
        label: what is trained.
    """

    def __init__(self, *, quiet: bool = False, label: str = "") -> None:
        from rich.console import Console

        self.console = Console(stderr=True, quiet=quiet)
        self.prefix = f"{label}: " if label else ""
        self._bar: Bar | None = None
        self._epoch = self._max_epochs = 0

    def say(self, line: str) -> None:
        """Show a line, above the bar if there is one."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def note(self, line: str) -> None:
        """Show a line on a terminal only."""
        if self.console.is_terminal:
            self.say(line)

    def track(self, items: Sequence[Item], what: str) -> Iterable[Item]:
        """Iterate over the items, with a bar on a terminal."""
        from rich.progress import track

        return track(
            items,
            f"{self.prefix}{what}",
            console=self.console,
            transient=True,
            disable=self.console.quiet or not self.console.is_terminal,
        )

    @contextmanager
    def training(self, max_epochs: int, epoch: int) -> Iterator[None]:
        """Show the bar for the length of the block."""
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Any) -> Text:
                tokens, elapsed = task.fields["tokens"], task.elapsed or 0
                return Text(f"{tokens / elapsed:,.0f} tokens/s" if elapsed > 0 and tokens else "", style="dim")

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[loss]}"),
            Rate(),
            TimeRemainingColumn(),
        )
        with Progress(
            *columns, console=self.console, transient=True, disable=self.console.quiet or not self.console.is_terminal
        ) as bar:
            self._bar, self._epoch, self._max_epochs = bar, epoch, max_epochs
            self._task = bar.add_task(self._description(), total=max_epochs, completed=epoch, tokens=0, loss="")
            yield
        self._bar = None

    def _description(self) -> str:
        return f"{self.prefix}epoch {min(self._epoch + 1, self._max_epochs)}/{self._max_epochs}"

    def step(self, share: float, tokens: int, loss: float) -> None:
        """Record a step that ends at `share` of the epoch and read `tokens` tokens."""
        if self._bar is not None:
            seen = self._bar.tasks[0].fields["tokens"] + tokens
            self._bar.update(self._task, completed=self._epoch + share, tokens=seen, loss=f"loss {loss:.3f}")

    def epoch(self) -> None:
        """Record the end of an epoch."""
        self._epoch += 1
        if self._bar is not None:
            self._bar.update(self._task, description=self._description())
