"""The motifs that trained models of DNA respond to, next to the planted or known ones.

    python benchmarks/motifs.py                        dna with 5 seeds, dna-order with 2, splice with 1
    python benchmarks/motifs.py splice --seeds 3 --method occlusion

Test sequences of each class are explained for that class. The `recovery` of a planted motif says how well the motifs
of all classes contain it: 1 is perfect, 0.25 is chance. `strongest` lists the highest letters of the profile of aligned
sequences, with their position relative to the middle: at a splice site, the intron begins (GT) or ends (AG) there.
The runs are stored in --out; the same command resumes them.
"""

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ostinato import explain, load, runs
from ostinato.data.generated import PLANTED
from ostinato.errors import look_up
from ostinato.explanation import Explanation, Motif, find_motifs, letters_of, position_profile, recovery
from ostinato.progress import Progress
from ostinato.report.terminal import print_table
from ostinato.tasks.config import PRESETS, override, read_run_config

SEEDS = {"dna": 5, "dna-order": 2, "splice": 1}
HEADINGS = ("run", "class", "explained", "motifs (windows)", "strongest", "seconds")


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PRESET]...")] = None,
    seeds: int | None = None,
    rows: int = 200,
    method: str = "integrated-gradients",
    out: Path = Path("runs/benchmark"),
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="TABLE.KEY=VALUE")] = None,
) -> None:
    """Train each preset once per seed, explain up to ROWS test sequences of each class, and print a line per class."""
    lines = []
    for name in names or SEEDS:
        for seed in range(seeds or SEEDS.get(name, 1)):
            lines += describe_run(train(name, seed, out, settings or []), method, rows)
    print_table(HEADINGS, lines)


def train(name: str, seed: int, out: Path, settings: list[str]) -> Path:
    """The folder of a finished run; trains or resumes it if needed."""
    folder, progress = out / f"{name}-{seed}", Progress(label=f"{name}, seed {seed}")
    if (folder / "config.toml").exists():
        runs.resume_run(folder, progress=progress)
    else:
        config = override(look_up(PRESETS, name, "preset")(), [*settings, f"training.seed={seed}"])
        runs.start_run(config, folder, progress=progress)
    return folder


def describe_run(folder: Path, method: str, most: int) -> list[tuple[str, ...]]:
    """The cells under `HEADINGS`: a line for each class, then one for each planted motif."""
    model, test = load(folder), runs.test_rows(folder)
    letters = letters_of(model)
    assert letters is not None
    planted = PLANTED.get(read_run_config(folder / "config.toml").data.name or "", ())
    all_motifs: list[Motif] = []
    lines = []
    for label in model.classes_:
        start = time.perf_counter()
        sequences = [row.sequence for row in test if row.target == label][:most]
        explanations = explain(model, sequences, method=method, label=label)
        motifs = find_motifs(explanations, letters)
        all_motifs += motifs
        seconds = f"{time.perf_counter() - start:.1f}"
        listed = ", ".join(f"{motif.consensus} ({motif.seqlets})" for motif in motifs) or "none"
        profile = "" if planted else strongest(explanations, letters)
        lines.append((folder.name, str(label), str(len(sequences)), listed, profile, seconds))
    recoveries = [f"{word}: recovery {recovery(all_motifs, word):.3f}" for word in planted]
    return lines + [(folder.name, "all", "", line, "", "") for line in recoveries]


def strongest(explanations: list[Explanation], letters: str, most: int = 5) -> str:
    """The highest letters of the position profile, in order of position."""
    profile = position_profile(explanations, letters)  # (T, A)
    best = np.argsort(-profile, axis=None)[:most]
    positions = sorted(zip(*np.unravel_index(best, profile.shape), strict=True))
    return " ".join(f"{letters[letter]}{position - len(profile) // 2:+d}" for position, letter in positions)


if __name__ == "__main__":
    typer.run(main)
