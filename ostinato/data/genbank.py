"""The sequence and the genes of a GenBank file."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ostinato.data.cleaning import COMPLEMENT
from ostinato.data.files import open_text
from ostinato.errors import DataError

GENE = re.compile(r" {5}gene +(?P<complement>complement\()?[^\d]*(?P<first>\d+).*?(?P<last>\d+)\)*\s*$")


@dataclass(frozen=True)
class Gene:
    """Where a gene lies on the forward strand: bases `start` to `stop` - 1, from 0; `is_reverse` reads it backwards."""

    start: int
    stop: int
    is_reverse: bool


@dataclass(frozen=True)
class Genome:
    """The forward strand of a genome in upper case, and its genes in the order of the file."""

    sequence: str
    genes: list[Gene]


def read_genbank(path: Path) -> Genome:
    """Read the bases after ORIGIN and the features `gene` of a file with one record.

    Raises:
        DataError: the file cannot be read, or has no bases or no genes.
    """
    genes: list[Gene] = []
    bases: list[str] = []
    with open_text(path) as file:
        for line in file:
            if line.startswith("ORIGIN"):
                bases = [part for row in file if not row.startswith("//") for part in row.split()[1:]]
            elif found := GENE.match(line):
                genes.append(Gene(int(found["first"]) - 1, int(found["last"]), found["complement"] is not None))
    if not bases or not genes:
        missing = "no bases after a line ORIGIN" if not bases else "no feature `gene`"
        raise DataError(f"{path}: {missing}. Expected one complete GenBank record.")
    return Genome("".join(bases).upper(), genes)


def upstream_regions(genome: Genome, *, shortest: int, longest: int) -> list[str]:
    """The bases before each gene up to the gene before it, on the strand of the gene and at most `longest`.

    Regions that are shorter than `shortest` are left out, as are those before the first and after the last gene.
    """
    regions = []
    genes = sorted(genome.genes, key=lambda gene: gene.start)
    end = genes[0].stop  # of all genes so far
    for left, right in pairwise(genes):
        end = max(end, left.stop)
        between = genome.sequence[end : max(end, right.start)]
        if len(between) < shortest:
            continue
        if not right.is_reverse:
            regions.append(between[-longest:])
        if left.is_reverse and left.stop == end:
            regions.append(between[:longest].translate(COMPLEMENT)[::-1])
    return regions
