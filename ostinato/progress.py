"""What a person sees while something trains: a bar on a terminal, nothing elsewhere."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bar


class Progress:
    """A bar over the epochs with loss, tokens a second and time left.

    Args:
        console: where it is drawn; standard error by default.
        quiet: draw nothing.
        label: what is trained.
    """

    def __init__(self, *, console: "Console | None" = None, quiet: bool = False, label: str = "") -> None:
        self.console, self.quiet, self.label = console, quiet, label
        self._bar: Bar | None = None
        self._epoch = 0

    @contextmanager
    def training(self, max_epochs: int, epoch: int) -> Iterator[None]:
        """Show the bar for the length of the block."""
        from rich.console import Console
        from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
        from rich.text import Text

        class Rate(ProgressColumn):
            def render(self, task: Any) -> Text:
                tokens, elapsed = task.fields["tokens"], task.elapsed or 0
                return Text(f"{tokens / elapsed:,.0f} tokens/s" if elapsed > 0 and tokens else "", style="dim")

        console = self.console or Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"), Rate(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True, disable=self.quiet or not console.is_terminal) as bar:
            self._bar, self._epoch = bar, epoch
            self._task = bar.add_task(f"{self.label} epoch {epoch + 1}/{max_epochs}", total=max_epochs, completed=epoch, tokens=0, told="")
            self._max_epochs = max_epochs
            yield
            self._bar = None

    def step(self, share: float, tokens: int, loss: float) -> None:
        """A step is done: `share` of the epoch, with `tokens` read."""
        if self._bar is not None:
            seen = self._bar.tasks[0].fields["tokens"] + tokens
            self._bar.update(self._task, completed=self._epoch + share, tokens=seen, told=f"loss {loss:.3f}")

    def epoch(self, entry: Mapping[str, Any]) -> None:
        """An epoch is over."""
        self._epoch += 1
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self.label} epoch {min(self._epoch + 1, self._max_epochs)}/{self._max_epochs}")
