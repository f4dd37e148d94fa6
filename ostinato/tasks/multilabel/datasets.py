"""The named data sets of multilabel classification."""

from collections.abc import Mapping
from functools import partial

from ostinato.data.named import NamedSet, load_generated
from ostinato.tasks.multilabel.generated import dna_motifs

DATASETS: Mapping[str, NamedSet] = {
    "dna-motifs": NamedSet(
        "DNA: which of four motifs are present?",
        "any number, 60 to 100 bases, 4 labels",
        "nucleotides",
        "generated",
        partial(load_generated, generator=dna_motifs, length=(60, 100)),
        is_generated=True,
    ),
}
