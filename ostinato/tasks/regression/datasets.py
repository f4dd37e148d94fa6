"""The named data sets of regression."""

from collections.abc import Mapping
from functools import partial

from ostinato.data.named import NamedSet, load_generated
from ostinato.tasks.regression import generated

DATASETS: Mapping[str, NamedSet] = {
    "count-ones": NamedSet(
        "Bits: how many are ones?",
        "any number, 5 to 30 bits",
        "characters",
        "generated",
        partial(load_generated, generator=generated.count_ones, length=(5, 30)),
        is_generated=True,
    ),
    "motif-position": NamedSet(
        "DNA: how many bases lie before the motif?",
        "any number, 40 to 80 bases",
        "nucleotides",
        "generated",
        partial(load_generated, generator=generated.motif_position, length=(40, 80)),
        is_generated=True,
    ),
}
