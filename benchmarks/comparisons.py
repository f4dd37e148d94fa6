"""The comparisons that Ostinato ships: every cell on every task, lengths beyond training, depth, residuals, word vectors, taggers.

    python benchmarks/comparisons.py                  all of them, many hours on two cores; writes results/comparisons/
    python benchmarks/comparisons.py splice parity    some of them
    python benchmarks/comparisons.py --list           the commands, to be typed one by one

Each is an `ostinato compare` with the preset as it is. A run that was finished before is not repeated. The folder of runs
is left in runs/comparisons/; what is kept in results/ is the JSON, the CSV and the page.
"""

import json
import shlex
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

RESULTS = Path(__file__).parent / "results" / "comparisons"
RUNS = Path("runs/comparisons")
RECURRENT = "rnn,lstm,gru,mingru,minlstm,lnlstm"
CELLS = f"model.cell={RECURRENT},cnn"
STATEFUL = (
    f"model.cell={RECURRENT}"  # these tasks are read at the last step, where a convolution has seen a window alone
)
KEPT = ("comparison.json", "comparison.csv", "comparison.html")

COMPARISONS = {
    "majority": f"majority --vary {STATEFUL} --vary data.length=20,200,2000",
    "parity": f"parity --vary {STATEFUL} --vary data.length=12,20,50,200",
    "delayed-recall": f"delayed-recall --vary {STATEFUL} --vary data.length=50,100,200",
    "dna": f"dna --vary {CELLS}",
    "dna-order": f"dna-order --vary {CELLS}",
    "splice": f"splice --vary {CELLS}",
    "promoters": f"promoters --vary {CELLS} --folds 10",
    "peptides": f"peptides --vary {CELLS}",
    "japanese-vowels": f"japanese-vowels --vary {CELLS}",
    "imdb": "imdb --vary model.cell=rnn,lstm,gru,mingru --seeds 3",
    "imdb-depth": "imdb --vary model.num_layers=1,2,4 --vary model.residual=false,true --seeds 3",
    "splice-depth": "splice --vary model.num_layers=1,2,4 --vary model.residual=false,true",
    "imdb-vectors": "imdb --set model.embedding_size=50 --vary data.vectors=none,glove-50d --seeds 3",
    "conll2003-ner": "conll2003-ner --vary model.head=crf --seeds 3",
    "conll2003-chunk": "conll2003-chunk --vary data.feature_columns=none,pos --seeds 3",
    "brown-pos": "brown-pos --vary model.head=softmax --seeds 3",
}


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    only_list: Annotated[bool, typer.Option("--list", help="Print the commands, and run none.")] = False,
) -> None:
    """Run the comparisons one after the other and keep what they found."""
    for name in names or COMPARISONS:
        command = ["compare", *shlex.split(COMPARISONS[name]), "--out", str(RUNS / name)]
        print("ostinato", shlex.join(command), flush=True)
        if only_list:
            continue
        subprocess.run([sys.executable, "-m", "ostinato", *command], check=False)
        keep(name, f"ostinato {shlex.join(command)}")


def keep(name: str, command: str) -> None:
    """Copy what was found, with the command and the date."""
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in KEPT:
        shutil.copy(RUNS / name / file, folder / file)
    results = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    found = {"command": command, "date": date.today().isoformat(), **results}
    (folder / "comparison.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
