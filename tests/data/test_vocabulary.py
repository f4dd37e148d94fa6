from collections import Counter

from ostinato.data.vocabulary import AMINO_ACIDS, NUCLEOTIDES, UNKNOWN, Vocabulary

COUNTS = Counter({"b": 3, "a": 3, "z": 9, "rare": 1})


def test_commonest_tokens_come_first_and_ties_are_alphabetical():
    assert Vocabulary.fit(COUNTS).tokens == ("<unk>", "z", "a", "b", "rare")


def test_min_count_leaves_out_rare_tokens():
    assert Vocabulary.fit(COUNTS, min_count=3).tokens == ("<unk>", "z", "a", "b")


def test_max_size_bounds_the_tokens_besides_unknown():
    assert Vocabulary.fit(COUNTS, max_size=2).tokens == ("<unk>", "z", "a")


def test_unknown_token_in_the_data_is_not_counted_twice():
    assert Vocabulary.fit(Counter({"<unk>": 7, "a": 1})).tokens == ("<unk>", "a")


def test_ids_are_positions_and_anything_else_is_unknown():
    vocabulary = Vocabulary.fit(COUNTS)
    assert [vocabulary.id(token) for token in vocabulary.tokens] == list(range(len(vocabulary))) == [0, 1, 2, 3, 4]
    assert vocabulary.id("never seen") == UNKNOWN == 0


def test_extra_tokens_follow_those_of_training():
    vocabulary = Vocabulary.fit(COUNTS).with_extra(["z", "new", "newer"])
    assert vocabulary.extra == ("new", "newer") and len(vocabulary) == 5
    assert [vocabulary.id(token) for token in ("z", "rare", "new", "newer", "other")] == [1, 4, 5, 6, 0]


def test_n_is_a_nucleotide_of_its_own_and_not_unknown():
    assert NUCLEOTIDES.tokens == ("<unk>", "A", "C", "G", "T", "N")


def test_amino_acids_are_the_twenty_and_x():
    assert len(AMINO_ACIDS) == 22
    assert not set("BJOUZ") & set(AMINO_ACIDS.tokens)
