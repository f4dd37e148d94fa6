"""What each process of a test does: `torchrun … rank_at_home.py HOMES ARGUMENT…` is `ostinato ARGUMENT…` in HOMES/RANK.

So each rank has files and packages of its own, as on a machine of its own: /proc/self/cwd/NAME differs for each.
"""

import os
import sys
from pathlib import Path

from ostinato.cli import main

if __name__ == "__main__":
    homes, *arguments = sys.argv[1:]
    os.chdir(Path(homes) / os.environ["RANK"])
    sys.path.insert(0, os.getcwd())
    sys.argv = ["ostinato", *arguments]
    main()
