"""Linear recurrences: a `mingru` layer, the same layer on PyTorch's operations, and a `gru` layer.

python benchmarks/scan.py                              every length; the goal is twice the speed of the GRU
python benchmarks/scan.py --quick --only scan-200
python benchmarks/scan.py --device cuda                there, the scan always runs on PyTorch's operations
"""

from pathlib import Path

from ostinato.benchmark.program import run_script
from ostinato.benchmark.scan import ROWS

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "scan.json")
