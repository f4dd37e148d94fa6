from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ostinato.errors import ConfigError, DataError
from ostinato.tasks.tagging.scheme_inference import infer_scheme
from ostinato.tasks.tagging.schemes import (
    SCHEMES,
    Entity,
    conlleval_entities,
    convert,
    entities,
    to_tags,
    transitions,
    violations,
)

WRITTEN = {  # Mark Watney visits Mars Paris France
    "iob1": ["I-PER", "I-PER", "O", "I-LOC", "B-LOC", "B-LOC"],
    "iob2": ["B-PER", "I-PER", "O", "B-LOC", "B-LOC", "B-LOC"],
    "bioes": ["B-PER", "E-PER", "O", "S-LOC", "S-LOC", "S-LOC"],
    "bilou": ["B-PER", "L-PER", "O", "U-LOC", "U-LOC", "U-LOC"],
}
MEANT = [Entity("PER", 0, 2), Entity("LOC", 3, 4), Entity("LOC", 4, 5), Entity("LOC", 5, 6)]
TAG_SETS = {
    name: ["O", *(f"{prefix}-{type_}" for type_ in ("X", "Y") for prefix in rule.prefixes)]
    for name, rule in SCHEMES.items()
}


@st.composite
def entity_lists(draw):
    """Entities without overlap, often touching, among some tokens; and how many tokens."""
    found, end = [], 0
    for gap, length, type_ in draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4), st.sampled_from(["PER", "geo-loc", ""])), max_size=5)
    ):
        found.append(Entity(type_, end + gap, end + gap + length))
        end += gap + length
    return found, end + draw(st.integers(0, 2))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_example_of_the_module_reads_and_writes(scheme):
    assert entities(WRITTEN[scheme], scheme) == MEANT
    assert to_tags(MEANT, 6, scheme) == WRITTEN[scheme]
    assert violations(WRITTEN[scheme], scheme) == []


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("iob2", "O I-X I-X O", []),
        ("iob2", "B-X I-Y O", [("X", 0, 1)]),
        ("iob2", "B-X I-X I-Y I-X", [("X", 0, 2)]),
        ("iob2", "B-X O I-X B-X", [("X", 0, 1), ("X", 3, 4)]),
        ("bioes", "B-X I-X O", []),
        ("bioes", "B-X E-Y", []),
        ("bioes", "B-X B-X E-X", [("X", 1, 3)]),
        ("bioes", "E-X I-X S-X", [("X", 2, 3)]),
        ("bioes", "B-X E-X E-X", [("X", 0, 2)]),
        ("bioes", "B-X S-X E-X", [("X", 1, 2)]),
        ("iob1", "B-X I-X", [("X", 1, 2)]),
        ("iob1", "I-X B-Y I-Y", [("X", 0, 1), ("Y", 2, 3)]),
        ("iob1", "I-X B-X I-X I-Y", [("X", 0, 1), ("X", 1, 3), ("Y", 3, 4)]),
        ("iob2", "", []),
        ("iob2", "B I O I", [("", 0, 2)]),
    ],
)
def test_only_well_formed_entities_are_read(scheme, tags, expected):
    assert entities(tags.split(), scheme) == [Entity(*each) for each in expected]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-X I-X O", [("X", 1, 3)]),
        ("B-X I-Y I-X", [("X", 0, 1), ("Y", 1, 2), ("X", 2, 3)]),
        ("I-X B-X I-X", [("X", 0, 1), ("X", 1, 3)]),
        ("B-X I-X E-X O E-X", [("X", 0, 3), ("X", 4, 5)]),
        ("E-X E-X I-X", [("X", 0, 1), ("X", 1, 2), ("X", 2, 3)]),
        ("E-X B-X", [("X", 0, 1), ("X", 1, 2)]),
        ("S-X S-X I-X S-X", [("X", 0, 1), ("X", 1, 2), ("X", 2, 3), ("X", 3, 4)]),
        ("B I O I", [("", 0, 2), ("", 3, 4)]),
        ("B-a-b I-a-c", [("a-b", 0, 1), ("a-c", 1, 2)]),
        ("", []),
    ],
)
def test_conlleval_repairs_invalid_tags(tags, expected):
    assert conlleval_entities(tags.split()) == [Entity(*each) for each in expected]


@settings(max_examples=60, deadline=None)
@given(entity_lists(), st.sampled_from(list(SCHEMES)), st.sampled_from(list(SCHEMES)))
def test_schemes_convert_into_each_other_without_loss(case, source, target):
    meant, length = case
    tags = to_tags(meant, length, source)
    assert violations(tags, source) == []
    assert entities(tags, source) == conlleval_entities(tags) == meant
    converted = convert(tags, source, target)
    assert entities(converted, target) == meant
    assert convert(converted, target, source) == tags


@pytest.mark.parametrize("scheme", SCHEMES)
def test_valid_tags_are_exactly_those_that_mark_entities(scheme):
    for length in range(4):
        for tags in product(TAG_SETS[scheme], repeat=length):
            spelt = to_tags(entities(tags, scheme), length, scheme)
            assert (violations(tags, scheme) == []) == (spelt == list(tags)), tags


@pytest.mark.parametrize("scheme", SCHEMES)
def test_transitions_allow_exactly_the_valid_tags(scheme):
    tag_set = TAG_SETS[scheme]
    start, between, end = transitions(tag_set, scheme)
    assert (start.dtype, between.shape) == (np.bool_, (len(tag_set), len(tag_set)))
    for path in product(range(len(tag_set)), repeat=3):
        allowed = start[path[0]] and between[path[0], path[1]] and between[path[1], path[2]] and end[path[2]]
        assert allowed == (violations([tag_set[c] for c in path], scheme) == [])


def test_transitions_of_iob2_by_hand():
    start, between, end = transitions(["O", "B-X", "I-X", "I-Y"], "iob2")
    assert start.tolist() == [True, True, False, False]
    assert between.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, False],
        [True, True, False, True],
    ]
    assert end.all()


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("iob2", "B-LOC I-PER", [(1, "I-PER after B-LOC ")]),
        ("iob2", "X-PER O", [(0, "'X-PER' is not a tag")]),
        ("iob2", "O-PER NN B-", [(0, "'O-PER' is not a tag"), (1, "'NN' is not a tag"), (2, "'B-' is not a tag")]),
        ("bioes", "B-X O", [(0, "B-X before O ")]),
        ("bioes", "O B-X", [(1, "B-X before O ")]),
        ("bioes", "B-X I-Y E-Y", [(0, "B-X before I-Y "), (1, "I-Y after B-X ")]),
        ("bioes", "S-X E-X", [(1, "E-X after S-X ")]),
        ("iob1", "O B-X I-X", [(1, "B-X after O ")]),
        ("iob2", "O I", [(1, "I after O ")]),
    ],
)
def test_violations_name_every_token_and_why(scheme, tags, expected):
    found = violations(tags.split(), scheme)
    assert [t for t, _ in found] == [t for t, _ in expected]
    assert all(reason.startswith(start) for (_, reason), (_, start) in zip(found, expected, strict=True)), found


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_scheme_that_wrote_the_tags_is_inferred(scheme):
    assert infer_scheme([["O"], WRITTEN[scheme]]) == scheme


def test_few_violations_are_tolerated_but_other_tags_have_no_scheme():
    assert infer_scheme([WRITTEN["iob2"], WRITTEN["iob2"], ["O", "I-PER"]]) == "iob2"
    assert infer_scheme([["B", "I", "O"]]) == "iob2"
    assert infer_scheme([WRITTEN["iob2"], ["X-X"]] + [["B-PER", "I-PER"]] * 10) == "iob2"
    assert infer_scheme([["B-PER", "NN", "DT"]] * 10) is None
    assert infer_scheme([["DT", "NN"], ["O"]]) is None
    assert infer_scheme([["O", "O"], []]) is None
    assert infer_scheme([["S", "E"]]) is None
    assert infer_scheme([]) is None


def test_what_cannot_be_read_or_written_is_refused():
    with pytest.raises(DataError, match=r"token 2: I-PER after B-LOC .*\(1 more\)"):
        convert(["B-LOC", "I-PER", "O", "I-PER"], "iob2", "bioes")
    with pytest.raises(DataError, match=r"token 2: 'S-PER'.* B-, I-"):
        entities(["O", "S-PER"], "iob2")
    with pytest.raises(DataError, match="'E-PER' is not a tag"):
        transitions(["O", "E-PER"], "iob1")
    for wrong in (
        [Entity("X", 0, 2), Entity("Y", 1, 3)],
        [Entity("X", 2, 2)],
        [Entity("X", 3, 5)],
        [Entity("X", -1, 1)],
    ):
        with pytest.raises(DataError, match=r"Entity\(type='.', start=.* 4 tokens"):
            to_tags(wrong, 4, "iob2")
    with pytest.raises(ConfigError, match="'iob3'"):
        entities(["O"], "iob3")
