"""The named data sets of multilabel classification."""

from collections.abc import Mapping

from ostinato.data.named import NamedSet, generated_set
from ostinato.tasks.multilabel.generated import dna_motifs

DATASETS: Mapping[str, NamedSet] = {
    "dna-motifs": generated_set(
        "DNA: which of four motifs are present?",
        "any number, 60 to 100 bases, 4 labels",
        "nucleotides",
        dna_motifs,
        (60, 100),
    ),
}
