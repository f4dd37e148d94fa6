"""Recurrent layers: Ostinato, torch.nn, ONNX Runtime and cuDNN, timed in turn in one process.

python benchmarks/layers.py                            every row, with the goals of benchmarks/README.md
python benchmarks/layers.py --quick --only lstm-random
python benchmarks/layers.py --device cuda              Ostinato and cuDNN: packed, padded, and in length buckets
"""

from pathlib import Path

from ostinato.benchmark.layers import ROWS
from ostinato.benchmark.program import run_script

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "layers.json")
