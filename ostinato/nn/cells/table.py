"""The table of built-in cells, and how user code adds its own."""

from ostinato import plugins
from ostinato.errors import ConfigError
from ostinato.nn.cells.cell import Cell
from ostinato.nn.cells.gru import GRU
from ostinato.nn.cells.lnlstm import LNLSTM
from ostinato.nn.cells.lru import LRU
from ostinato.nn.cells.lstm import LSTM
from ostinato.nn.cells.minimal import MINGRU, MINGRU_SIGNED, MINLSTM, MINLSTM_SIGNED
from ostinato.nn.cells.rglru import RGLRU
from ostinato.nn.cells.rnn import RNN_RELU, RNN_TANH
from ostinato.nn.cells.slstm import SLSTM

CELLS: dict[str, Cell] = {
    "rnn_tanh": RNN_TANH,
    "rnn_relu": RNN_RELU,
    "lstm": LSTM,
    "gru": GRU,
    "mingru": MINGRU,
    "minlstm": MINLSTM,
    "mingru_signed": MINGRU_SIGNED,
    "minlstm_signed": MINLSTM_SIGNED,
    "rglru": RGLRU,
    "lru": LRU,
    "lnlstm": LNLSTM,
    "slstm": SLSTM,
}


def find_cell(name: str) -> Cell:
    """The cell of this name: built in, registered, or offered by an installed package's entry point.

    A package offers a cell in its pyproject.toml, and the cell is imported when its name is first used:

        [project.entry-points."ostinato.cells"]
        mine = "my_package.cells:MINE"

    Raises:
        ConfigError: `name` is unknown; or the entry point does not refer to a `Cell` of that name.
    """
    cell = plugins.find(plugins.CELLS, name, CELLS, "cell")
    if not isinstance(cell, Cell):
        raise ConfigError(
            f"Entry point {name!r} in {plugins.CELLS} is {cell!r}. Expected an ostinato.nn.Cell: correct or uninstall "
            "the package that offers it."
        )
    return cell


def register_cell(name: str, cell: Cell) -> None:
    """Make a cell available by name: to `RecurrentLayer`, `RecurrentStack` and everything built on them.

    A cell must provide `step` and say how many gates and states it has; see `Cell` for the rest. It runs on the
    `reference` and `torch` engines: forwards, backwards, in both directions, in stacks. Registering a name
    again replaces the cell.

    Example, a leaky RNN:

        def leaky_step(x, state, weights):
            (h,) = state
            sums = x @ weights.weight_ih.T + weights.bias_ih + h @ weights.weight_hh.T + weights.bias_hh
            return (0.9 * h + 0.1 * torch.tanh(sums),)

        ostinato.nn.register_cell("leaky", ostinato.nn.Cell("leaky", gates=1, states=1, step=leaky_step))
        stack = ostinato.nn.RecurrentStack(8, 16, cell="leaky", num_layers=2, bidirectional=True)

    Raises:
        ConfigError: a built-in cell has this name; the cell's own name differs; or it claims a native kernel.
    """
    if cell.name != name:
        raise ConfigError(
            f"Cell {cell.name!r} cannot be registered as {name!r}. Expected one name: make them the same."
        )
    if cell.native is not None:
        raise ConfigError(
            f"Cell {name!r} has native={cell.native!r}. Expected None: only built-in cells have a kernel."
        )
    plugins.register(plugins.CELLS, name, cell, {**CELLS, "rnn": None, "cnn": None, "none": None})  # names of configs
