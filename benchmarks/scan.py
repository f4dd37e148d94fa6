"""Linear recurrences: a `mingru` layer beside our `gru` layer and beside its own scan by torch's operations.

python benchmarks/scan.py                              every length, with the goal of twice the GRU's speed
python benchmarks/scan.py --quick --only scan-200
python benchmarks/scan.py --device cuda                where the scan by torch's operations is the engine
"""

from pathlib import Path

from ostinato.benchmark.program import run_script
from ostinato.benchmark.scan import ROWS

if __name__ == "__main__":
    run_script(ROWS, Path(__file__).parent / "results" / "scan.json")
