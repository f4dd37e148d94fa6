"""The cells that `torch.nn` does not have: `mingru` beside the GRU, `lnlstm` and `slstm` beside the LSTM.

python benchmarks/cells.py                             goals: twice the speed of the GRU, 1.3 times the time of the LSTM
python benchmarks/cells.py --quick --only scan-200 --only slstm-32-128
python benchmarks/cells.py --device cuda               there, all but the LSTM and GRU run on PyTorch's operations
"""

from pathlib import Path

from ostinato.benchmark.cells import ROWS
from ostinato.benchmark.program import run_script

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "cells.json")
