"""Ill-formed tags: refused with their number, or repaired; and tags in spellings that no scheme has."""

from itertools import product

import pytest
from toy import columns, sentences

from ostinato import SequenceTagger
from ostinato.data.examples import Sentence, tags_of
from ostinato.errors import DataError
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.data import load_dataset
from ostinato.tasks.tagging.repair import bring_into_scheme
from ostinato.tasks.tagging.scheme_inference import find_lookalike
from ostinato.tasks.tagging.schemes import SCHEMES, conlleval_entities, convert, to_tags, violations

SMALL = {"embedding_size": 4, "hidden_size": 4, "max_epochs": 1}


def sentence(tags, source="f.conll, line 1"):
    tags = tags.split()
    return Sentence([f"w{token}" for token in range(len(tags))], tags, source, lines=range(1, len(tags) + 1))


def repaired(tags, scheme):
    (found,) = bring_into_scheme(scheme, [sentence(tags)], repair=True).sentences
    return " ".join(tags_of(found))


@pytest.mark.parametrize(
    ("scheme", "tags", "expected"),
    [
        ("iob2", "O I-ART I-ART O", "O B-ART I-ART O"),
        ("iob2", "B-PER I-PER I-LOC", "B-PER I-PER B-LOC"),
        ("iob2", "B-PER E-PER S-LOC", "B-PER I-PER B-LOC"),
        ("iob1", "O B-PER I-PER", "O I-PER I-PER"),
        ("bioes", "B-X O I-Y", "S-X O S-Y"),
        ("bilou", "B-X I-X O", "B-X L-X O"),
        ("bilou", "I-X S-X E-X", "U-X U-X U-X"),
        ("iob2", "O I", "O B"),
    ],
)
def test_ill_formed_tags_are_repaired_by_hand(scheme, tags, expected):
    assert repaired(tags, scheme) == expected


@pytest.mark.parametrize("scheme", SCHEMES)
def test_repair_gives_valid_tags_and_leaves_valid_ones_alone(scheme):
    for tags in product(["O", "B-X", "I-X", "I-Y", "E-X", "S-Y", "L-X", "U-X"], repeat=3):
        result = repaired(" ".join(tags), scheme).split()
        assert violations(result, scheme) == []
        if not violations(tags, scheme):
            assert result == list(tags)


def test_the_refusal_counts_all_ill_formed_tags_and_names_the_first():
    given = [sentence("B-X I-X", "f, line 1")] * 3 + [sentence("O I-X I-Y", "f, line 7"), sentence("I-X", "f, line 9")]
    with pytest.raises(DataError, match=r"f, line 2: .*I-X after O.* 3 tags .*f, line 3; f, line 1.*repair_tags"):
        bring_into_scheme(None, given, repair=False)
    found = bring_into_scheme(None, given, repair=True)
    assert (found.scheme, found.repairs.tags, found.repairs.sentences) == ("iob2", 3, 2)
    assert found.repairs.examples[0] == "f, line 2: I-X → B-X"


def test_tags_that_are_not_entity_tags_cannot_be_repaired():
    given = [sentence("B-X I-X O")] * 9 + [sentence("B-X NN O")]
    for repair in (False, True):
        with pytest.raises(DataError, match="'NN'") as refused:
            bring_into_scheme("iob2", given, repair=repair)
        assert "repair_tags" not in str(refused.value)


SPELLINGS = {
    "in lower case": lambda tag: tag[0].lower() + tag[1:],
    "with an underscore": lambda tag: tag.replace("-", "_", 1),
    "with the prefix at the end": lambda tag: "-".join(reversed(tag.split("-", 1))),
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_entity_tags_in_another_spelling_are_recognised(scheme, spelling):
    tags = [to_tags(conlleval_entities(each), len(each), scheme) for each in sentences(20)[1]]
    found = find_lookalike([[SPELLINGS[spelling](tag) for tag in each] for each in tags])
    assert (found.scheme, found.spelling) == (scheme, spelling)
    assert SPELLINGS[spelling](found.respelt) == found.tag


def test_tags_with_m_inside_are_recognised():
    found = find_lookalike([["B-X", "M-X", "E-X", "O", "S-Y"], ["B-Y", "E-Y"]])
    assert (found.scheme, found.tag, found.respelt) == ("bioes", "M-X", "I-X")


@pytest.mark.parametrize(
    "tags",
    [
        ["DT", "NN", "VBZ", "IN", "."],
        ["at", "nn-tl", "in-hl", "o", "uh"],  # parts of speech of the Brown corpus
        ["O", "O"],
        ["ADJ", "NOUN_S", "X_I"],
        ["o", "x", "b"],
    ],
)
def test_other_tags_look_like_no_entities(tags):
    assert find_lookalike([tags]) is None


def toy_file(tmp_path, spell=lambda tag: tag):
    words, tags = sentences(30)
    path = tmp_path / "toy.conll"
    path.write_text(columns(words, [[spell(tag) for tag in each] for each in tags]), encoding="utf-8")
    return str(path)


def test_bilou_is_read_as_the_scheme_it_is(tmp_path):
    words, tags = sentences(30)
    tags = [convert(each, "iob2", "bilou") for each in tags]
    (tmp_path / "toy.conll").write_text(columns(words, tags), encoding="utf-8")
    data = load_dataset(TaggingData(path=str(tmp_path / "toy.conll")))
    assert data.scheme == "bilou"
    assert sum(data.audit.splits["train"]["entities"].values()) == 2 * len(data.splits["train"])
    tagger = SequenceTagger(**SMALL, target_scheme="bioes", constrained=True).fit(words, tags)
    answers = tagger.predict(words)
    assert all(violations(each, "bilou") == [] for each in answers)
    assert tagger.score(words, tags) >= 0


def test_lower_case_tags_are_a_finding_that_says_what_to_write(tmp_path):
    path = toy_file(tmp_path, lambda tag: tag[0].lower() + tag[1:])
    (finding,) = [each for each in load_dataset(TaggingData(path=path)).audit.findings if "lower case" in each]
    assert "b-LOC" in finding
    assert "B-LOC" in finding
    assert "data.scheme" in finding
    assert not any("look" in each for each in load_dataset(TaggingData(path=path, scheme="plain")).audit.findings)
    assert load_dataset(TaggingData(path=toy_file(tmp_path))).audit.lookalike is None


def test_a_file_with_one_ill_formed_tag_trains_with_repair_tags(tmp_path):
    path = toy_file(tmp_path)
    with open(path, "a", encoding="utf-8") as file:
        file.write("see O\nMona I-ART\nLisa I-ART\n\n")
    with pytest.raises(DataError, match=r"I-ART after O.*repair_tags"):
        load_dataset(TaggingData(path=path))
    audit = load_dataset(TaggingData(path=path, repair_tags=True)).audit
    assert (audit.repairs.tags, audit.repairs.sentences) == (1, 1)
    assert any("I-ART → B-ART" in finding for finding in audit.findings)


def test_a_tagger_repairs_tags_in_fit_and_score():
    words, tags = sentences(20)
    words, tags = [*words, ["the", "Mona"]], [*tags, ["O", "I-ART"]]
    with pytest.raises(DataError, match="repair_tags"):
        SequenceTagger(**SMALL).fit(words, tags)
    tagger = SequenceTagger(**SMALL, repair_tags=True, validation_fraction=None).fit(words, tags)
    assert "B-ART" in tagger.classes_
    assert tagger.score([["the", "Mona"]], [["O", "I-ART"]]) in (0, 1)
    validated = SequenceTagger(**SMALL, repair_tags=True).fit(words, tags, validation_data=(words[-1:], tags[-1:]))
    assert "validation_f1" in validated.history_[0]
