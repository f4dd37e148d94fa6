"""The comparisons in results/: every cell on every task, longer sequences, depth, residuals, word vectors, taggers.

    python benchmarks/comparisons.py                  all of them, many hours on two cores
    python benchmarks/comparisons.py splice parity    some of them
    python benchmarks/comparisons.py --list           print the commands

Each is an `ostinato compare` with an unchanged preset, `promoters` without its wide part; `acsf1` has the settings that
are inferred from its file, which the package aeon contains (`pip install --no-deps aeon`). Finished runs are not
repeated. The runs stay in runs/comparisons/; JSON, CSV and page are copied to results/comparisons/.
"""

import json
import shlex
import shutil
import subprocess
import sys
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from ostinato.errors import look_up
from ostinato.storage import write_atomically

RESULTS = Path(__file__).parent / "results" / "comparisons"
RUNS = Path("runs/comparisons")
RECURRENT = "rnn,lstm,gru,mingru,minlstm,lnlstm"
CELLS = f"model.cell={RECURRENT},cnn"
# The models of these tasks read the last step, where a convolution has only seen a window.
STATEFUL = f"model.cell={RECURRENT}"
NEW = "mingru_signed,minlstm_signed,rglru,lru,slstm"  # added after the others were compared
LATER = f"model.cell={NEW}"
PRECISION = "training.precision=float32,bfloat16"  # on a CPU that multiplies bfloat16 faster
FILES = ("comparison.json", "comparison.csv", "comparison.html")

COMPARISONS = {
    "majority": f"majority --vary {STATEFUL} --vary data.length=20,200,2000",
    "parity": f"parity --vary {STATEFUL} --vary data.length=12,20,50,200",
    "delayed-recall": f"delayed-recall --vary {STATEFUL} --vary data.length=50,100,200",
    "parity-later": f"parity --vary {LATER} --vary data.length=12,20,50,200 --seeds 3",
    "delayed-recall-later": f"delayed-recall --vary {LATER} --vary data.length=50,100,200 --seeds 3",
    **{
        f"{preset}-later": f"{preset} --vary {LATER} --seeds 3"
        for preset in ("dna-order", "splice", "peptides", "japanese-vowels")
    },
    **{
        f"{preset}-precision": f"{preset} --vary {PRECISION}"
        for preset in ("majority", "delayed-recall", "dna-order", "splice", "imdb")
    },
    "conll2003-ner-precision": f"conll2003-ner --vary {PRECISION} --seeds 3",
    "dna": f"dna --vary {CELLS}",
    "dna-order": f"dna-order --vary {CELLS}",
    "splice": f"splice --vary {CELLS}",
    "promoters": f"promoters --set model.wide=none --set model.position=learned --vary {CELLS} --folds 10",
    "peptides": f"peptides --vary {CELLS}",
    "japanese-vowels": f"japanese-vowels --vary {CELLS}",
    "acsf1": f"{RUNS}/acsf1.toml --set data.test_path={RUNS}/ACSF1_TEST.ts --vary {STATEFUL},{NEW} --seeds 3",
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
    only_list: Annotated[bool, typer.Option("--list", help="Print the commands without running them.")] = False,
) -> None:
    """Run the comparisons one after the other and save their results."""
    for name in names or COMPARISONS:
        arguments = ["compare", *shlex.split(look_up(COMPARISONS, name, "comparison")), "--out", str(RUNS / name)]
        command = f"ostinato {shlex.join(arguments)}"
        print(command, flush=True)
        if only_list:
            continue
        if name == "acsf1":
            prepare_acsf1()
        done = subprocess.run([sys.executable, "-m", "ostinato", *arguments], check=False)
        if (RUNS / name / "comparison.json").exists():
            save(name, command)
        else:
            print(f"{name}: not saved, the command exited with status {done.returncode} and wrote no comparison.json.")


def prepare_acsf1() -> None:
    """Copy the series, the power use of household appliances, out of the package aeon, and infer a config."""
    (package,) = find_spec("aeon").submodule_search_locations  # type: ignore[union-attr, misc]
    RUNS.mkdir(parents=True, exist_ok=True)
    for split in ("TRAIN", "TEST"):
        shutil.copy(Path(package) / f"datasets/data/ACSF1/ACSF1_{split}.ts", RUNS)
    command = [sys.executable, "-m", "ostinato", "init", str(RUNS / "ACSF1_TRAIN.ts")]
    config = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    write_atomically(RUNS / "acsf1.toml", config)


def save(name: str, command: str) -> None:
    """Copy the results, and add the command and the date."""
    folder = RESULTS / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in FILES:
        shutil.copy(RUNS / name / file, folder / file)
    results = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    record = {"command": command, "date": date.today().isoformat(), **results}
    write_atomically(folder / "comparison.json", json.dumps(record, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    typer.run(main)
