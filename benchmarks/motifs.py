"""The motifs that trained models of DNA look for, next to those that were planted or are known.

    python benchmarks/motifs.py                        dna with 5 seeds, dna-order with 2, splice with 1
    python benchmarks/motifs.py splice --seeds 3 --method occlusion

Test sequences of each class are explained toward it. How well a planted word came back in the motifs of all classes
together is its `recovery`: 1 is perfect, 0.25 chance. `strongest` are the highest letters of the profile where sequences
are aligned, with their position from the middle: at a splice site the intron begins (GT) or ends (AG) there.
Runs go to a folder of their own and are resumed when the same command is given again.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ostinato import explain, runs
from ostinato.data.generated import PLANTED
from ostinato.errors import look_up
from ostinato.explanation import Explanation
from ostinato.explanation.attribution import letters_of
from ostinato.explanation.motifs import Motif, find_motifs, position_profile, recovery
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.tasks.config import PRESETS, override
from ostinato.tasks.model_file import load_model

SEEDS = {"dna": 5, "dna-order": 2, "splice": 1}
HEADINGS = ("run", "class", "explained", "motifs (windows)", "strongest", "seconds")


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PRESET]...")] = None,
    seeds: int | None = None,
    rows: int = 200,
    method: str = "integrated-gradients",
    out: Path = Path("runs/benchmark"),
) -> None:
    """Train each preset once a seed, explain up to ROWS test sequences of each class and print a line a class."""
    lines = []
    for name in names or SEEDS:
        for seed in range(seeds or SEEDS.get(name, 1)):
            lines += look_into(trained(name, seed, out), method, rows)
    print_table(HEADINGS, lines)


def trained(name: str, seed: int, out: Path) -> Path:
    """The run's folder, trained where it was not."""
    folder, progress = out / f"{name}-{seed}", Progress(label=f"{name}, seed {seed}")
    if (folder / "config.toml").exists():
        runs.resume_run(folder, progress=progress)
    else:
        runs.start_run(
            override(look_up(PRESETS, name, "preset")(), [f"training.seed={seed}"]), folder, progress=progress
        )
    return folder


def look_into(folder: Path, method: str, rows: int) -> list[tuple[str, ...]]:
    """A line for each class, then one for what was planted."""
    model, test = load_model(folder), runs.test_rows(folder)
    letters, planted = letters_of(model), PLANTED.get(model.config.data.name, ())
    found: list[Motif] = []
    lines = []
    for label in model.codec.labels:
        start = time.perf_counter()
        sequences = [sequence for sequence, own in zip(test.sequences, test.targets, strict=True) if own == label][
            :rows
        ]
        explanations = explain(model, sequences, method=method, label=label)
        motifs = find_motifs(explanations, letters)
        found += motifs
        told = ", ".join(f"{motif.consensus} ({motif.seqlets})" for motif in motifs) or "none"
        seconds = f"{time.perf_counter() - start:.1f}"
        lines.append(
            (
                folder.name,
                str(label),
                str(len(sequences)),
                told,
                "" if planted else strongest(explanations, letters),
                seconds,
            )
        )
    return lines + [
        (folder.name, "all", "", f"{word} came back with {recovery(found, word):.3f}", "", "") for word in planted
    ]


def strongest(explanations: list[Explanation], letters: str, most: int = 5) -> str:
    """The highest letters of the profile, in order of their positions."""
    profile = position_profile(explanations, letters)
    best = np.argsort(-profile, axis=None)[:most]
    places = sorted(zip(*np.unravel_index(best, profile.shape), strict=True))
    return " ".join(f"{letters[letter]}{place - len(profile) // 2:+d}" for place, letter in places)


if __name__ == "__main__":
    typer.run(main)
