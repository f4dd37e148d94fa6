"""Training of whole models: Ostinato, a tutorial's loop in PyTorch, and Keras on JAX, timed in turn in one process.

python benchmarks/training.py                          every row, with the goals of benchmarks/README.md
python benchmarks/training.py --quick --only rnn-step
ostinato benchmark imdb-epoch-full --full              every batch of the tutorial's epoch, several minutes
"""

from pathlib import Path

from ostinato.benchmark.program import run_script
from ostinato.benchmark.training import ROWS

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "training.json")
