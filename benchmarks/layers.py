"""Recurrent layers: ours beside torch.nn's, ONNX Runtime's and cuDNN's, in one process and in turn.

python benchmarks/layers.py                            every row, with the goals of benchmarks/README.md
python benchmarks/layers.py --quick --only lstm-random
python benchmarks/layers.py --device cuda              cuDNN packed, padded and in buckets beside ours
"""

from pathlib import Path

from ostinato.benchmark.layers import ROWS
from ostinato.benchmark.program import run_script

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "layers.json")
