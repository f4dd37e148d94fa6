"""Whole training: ours beside the textbook's loop and Keras on JAX, in one process and in turn.

python benchmarks/training.py                          every row, with the goals of benchmarks/README.md
python benchmarks/training.py --quick --only rnn-step
python benchmarks/training.py --only imdb-epoch-full   the textbook's epoch measured whole, several minutes
"""

from pathlib import Path

from ostinato.benchmark.program import run_script
from ostinato.benchmark.training import ROWS

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "training.json")
