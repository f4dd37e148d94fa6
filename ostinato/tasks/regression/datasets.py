"""The named data sets of regression."""

from collections.abc import Mapping

from ostinato.data.named import NamedSet, generated_set
from ostinato.tasks.regression import generated

DATASETS: Mapping[str, NamedSet] = {
    "count-ones": generated_set(
        "Bits: how many are ones?",
        "any number, 5 to 30 bits",
        "characters",
        generated.count_ones,
        (5, 30),
    ),
    "motif-position": generated_set(
        "DNA: how many bases lie before the motif?",
        "any number, 40 to 80 bases",
        "nucleotides",
        generated.motif_position,
        (40, 80),
    ),
}
