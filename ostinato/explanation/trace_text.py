"""A trace as coloured text, for terminals: one line per step, readable without colours too."""

from typing import TYPE_CHECKING

import numpy as np

from ostinato.explanation.markup import AGAINST, FOR, background
from ostinato.explanation.trace import LayerTrace, Trace
from ostinato.printable import visible

if TYPE_CHECKING:
    from rich.text import Text

MOST_CELLS, FEWEST_CELLS = 32, 4  # of a direction's hidden state
MOST_OF_TOKEN, MOST_OF_LABEL = 14, 8  # columns
BAR, EIGHTHS = 5, " ▏▎▍▌▋▊▉█"
SIGNS = "=-·+#"  # a cell from strongly below 0 to strongly above


def trace_lines(trace: Trace, width: int = 100) -> "Text":
    """A legend, one line per step and, in words, when the model decided.

    A line has the step's number (from 1), its token, the running probability of the final label and the running answer
    (or the running prediction); then for each direction of the top layer the mean of each gate and the hidden state.

    Args:
        width: columns of the terminal; the hidden state takes those that the other columns leave. With two directions
            and many gates, lines may be longer.
    """
    from rich.text import Text

    columns = [*_reading(trace), *_answer(trace)]
    gates = [_gates(layer) for layer in trace.top]
    left = width - sum(column[0].cell_len + 1 for column in columns + [each for side in gates for each in side])
    num_cells = min(MOST_CELLS, max(FEWEST_CELLS, left // len(trace.top) - 1), trace.top[0].hidden.shape[1])
    for layer, side in zip(trace.top, gates, strict=True):
        columns += [*side, _cells(layer, num_cells)]
    heading, *lines = (Text(" ").join(parts) for parts in zip(*columns, strict=True))
    heading.stylize("bold")
    return Text("\n").join([Text(_legend(trace, num_cells)), heading, *lines, Text(trace.decision, "bold")])


def _legend(trace: Trace, num_cells: int) -> str:
    size = trace.top[0].hidden.shape[1]
    group = "one unit"
    if size != num_cells:
        group = f"the mean of {size // num_cells}" + (f" or {size // num_cells + 1}" if size % num_cells else "")
    shown = f"Layer {trace.top[0].depth}: h has {size} units a direction, shown as {num_cells} cells, each {group},"
    gates = " Gates: the mean of the units." if trace.top[0].gates else ""
    return f"{shown} from {SIGNS[0]} (below 0) over {SIGNS[2]} to {SIGNS[-1]} (above).{gates}"


def _reading(trace: Trace) -> list[list["Text"]]:
    """The columns of the step's number and of its token."""
    numbers = [str(step + 1) for step in range(len(trace.tokens))]
    return [
        _column("step", numbers, right=True),
        _column("token", [_cut(visible(token), MOST_OF_TOKEN) for token in trace.tokens]),
    ]


def _answer(trace: Trace) -> list[list["Text"]]:
    """The running probability of the final label and the running answer, or the running prediction.

    Empty at steps without a running answer.
    """
    final = trace.chosen[-1]
    if trace.quantity != "probability":
        numbers = [""] * len(trace.tokens)
        for step, row in zip(trace.steps, trace.running, strict=True):
            numbers[step] = f"{row[final]:.4g}"
        return [_column(_cut(visible(trace.label), MOST_OF_LABEL), numbers, right=True)]
    bars, answers, styles = ([""] * len(trace.tokens) for _ in range(3))
    for step, row, answer in zip(trace.steps, trace.running, trace.chosen, strict=True):
        bars[step] = f"{_bar(row[final])} {row[final]:.2f}"
        answers[step] = _cut(visible(trace.labels[answer]), MOST_OF_LABEL)
        styles[step] = FOR if answer == final else AGAINST
    return [
        _column(f"P({_cut(visible(trace.label), MOST_OF_LABEL)})", bars, styles),
        _column("answer", answers, styles),
    ]


def _gates(layer: LayerTrace) -> list[list["Text"]]:
    """A column for each gate: its mean over the units."""
    means = {name: gate.mean(axis=1).round(2) + 0.0 for name, gate in layer.gates.items()}  # + 0.0: no -0.00
    return [
        _column(name, [f"{each:.2f}".replace("0.", ".") for each in mean], right=True) for name, mean in means.items()
    ]


def _cells(layer: LayerTrace, num_cells: int) -> list["Text"]:
    """The column of the hidden state, each cell coloured by its share of the largest value."""
    from rich.text import Text

    groups = np.array_split(layer.hidden, num_cells, axis=1)
    means = np.stack([group.mean(axis=1) for group in groups], axis=1)  # (T, H) -> (T, cells)
    shares = (means / (np.abs(means).max() or 1.0)).round(1).tolist()  # tenths: more colours look alike
    heading = _cut(f"h {'backwards' if layer.reverse else 'forwards'}", num_cells)
    cells = [[(SIGNS[round(2 * share) + 2], background(share)) for share in row] for row in shares]
    return [Text(heading.ljust(num_cells)), *(Text.assemble(*row) for row in cells)]


def _column(heading: str, cells: list[str], styles: list[str] | None = None, *, right: bool = False) -> list["Text"]:
    """The heading and the cells, all of the same width."""
    from rich.cells import cell_len
    from rich.text import Text

    styles = ["", *styles] if styles else [""] * (len(cells) + 1)
    cells = [heading, *cells]
    width = max(map(cell_len, cells))
    padding = [" " * (width - cell_len(cell)) for cell in cells]
    return [
        Text(space + cell if right else cell + space, style)
        for cell, space, style in zip(cells, padding, styles, strict=True)
    ]


def _bar(share: float) -> str:
    eighths = round(share * 8 * BAR)
    return (EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8]).ljust(BAR)[:BAR]


def _cut(text: str, width: int) -> str:
    """The text, cut to at most `width` columns of a terminal."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1).rstrip() + "…"
