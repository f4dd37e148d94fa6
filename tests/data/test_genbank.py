"""GenBank files: bases, genes, and the bases before each gene."""

import pytest

from ostinato.data.genbank import Gene, Genome, read_genbank, upstream_regions
from ostinato.errors import DataError

RECORD = """LOCUS       X 30 bp DNA circular
FEATURES             Location/Qualifiers
     source          1..30
     gene            3..5
                     /gene="a..b"
     CDS             3..5
     gene            complement(join(10..12,<15..16))
ORIGIN
        1 acgtacgtac ggggg
       16 ccccctttttttttt
//
"""


def write(path, text):
    path.write_text(text)
    return path


def test_genes_count_from_zero_and_know_their_strand(tmp_path):
    genome = read_genbank(write(tmp_path / "a.gb", RECORD))
    assert genome.sequence == "ACGTACGTACGGGGGCCCCCTTTTTTTTTT"
    assert genome.genes == [Gene(2, 5, False), Gene(9, 16, True)]


@pytest.mark.parametrize(
    ("damaged", "match"),
    [
        (RECORD.replace("     gene ", "     tRNA "), "a.gb: no feature"),
        (RECORD.partition("ORIGIN")[0], "a.gb: no bases"),
    ],
)
def test_a_record_without_genes_or_bases_is_refused(tmp_path, damaged, match):
    with pytest.raises(DataError, match=match):
        read_genbank(write(tmp_path / "a.gb", damaged))


#       0         1         2
#       012345678901234567890123456
DNA = "AACCATGTTACGGCATAAGTCCCTAGG"


@pytest.mark.parametrize(
    ("directions", "expected"),
    [
        ((False, False), ["GTTACGGCA"]),  # before the second gene, on the forward strand
        ((True, False), ["GTTACGGCA", "TGCCGTAAC"]),  # both genes start here: each on its own strand
        ((True, True), ["TGCCGTAAC"]),  # before the first gene, which is read backwards
        ((False, True), []),  # both genes end here
    ],
)
def test_a_region_lies_before_the_start_of_a_gene_on_its_strand(directions, expected):
    first, second = directions
    genome = Genome(DNA, [Gene(15, 20, second), Gene(2, 6, first)])
    assert upstream_regions(genome, shortest=2, longest=100) == expected


def test_long_regions_keep_the_bases_next_to_the_gene_and_short_ones_are_left_out():
    genome = Genome(DNA, [Gene(2, 6, True), Gene(15, 20, False)])
    assert upstream_regions(genome, shortest=9, longest=4) == ["GGCA", "TAAC"]
    assert upstream_regions(genome, shortest=10, longest=100) == []


def test_bases_of_a_longer_gene_that_covers_the_next_are_in_no_region():
    genome = Genome(DNA, [Gene(0, 12, False), Gene(2, 6, False), Gene(15, 20, False)])
    assert upstream_regions(genome, shortest=1, longest=100) == ["GCA"]
