"""Random tags in mixed schemes go through inference, repair, spans and a codec: valid tags, or a clear error."""

from fuzzing import ends_cleanly, fuzzing
from hypothesis import given
from hypothesis import strategies as st

from ostinato.data.examples import Sentence, tags_of
from ostinato.errors import OstinatoError
from ostinato.printable import visible
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.data import load_dataset
from ostinato.tasks.tagging.repair import bring_into_scheme
from ostinato.tasks.tagging.scheme_inference import find_lookalike
from ostinato.tasks.tagging.schemes import SCHEMES, conlleval_entities, entities, to_tags, violations

PREFIXES = st.sampled_from(["B-", "I-", "E-", "S-", "L-", "U-", "M-", "b-", "i-", "B_", "", "-", "O-", "X-"])
TYPES = st.sampled_from(["X", "Y", "geo-loc", "", "-", "I", "Ω", "\x1b[31m", "\u202e", "a b"])
TAGS = st.one_of(
    st.sampled_from(["O", "B-X", "I-X", "I-Y", "B", "I"]), st.builds(str.__add__, PREFIXES, TYPES), st.text(max_size=4)
)
SENTENCES = st.lists(st.lists(TAGS.filter(bool), min_size=1, max_size=6), min_size=1, max_size=6)
SCHEME = st.sampled_from([None, "plain", *SCHEMES])


def sentences_of(tags):
    return [Sentence(["w"] * len(each), each, f"row {row}") for row, each in enumerate(tags)]


@fuzzing
@given(SENTENCES, SCHEME, st.booleans())
def test_random_tags_end_valid_or_refused(tags, scheme, repair):
    try:
        found = bring_into_scheme(scheme, sentences_of(tags), repair=repair)
    except OstinatoError:
        return
    if found.scheme is None:
        assert [tags_of(each) for each in found.sentences] == tags
        find_lookalike(tags)
        return
    for before, after in zip(tags, found.sentences, strict=True):
        spelt = tags_of(after)
        assert violations(spelt, found.scheme) == []
        assert entities(spelt, found.scheme) == conlleval_entities(spelt) == conlleval_entities(before)
        assert to_tags(entities(spelt, found.scheme), len(spelt), found.scheme) == spelt
    codec = TagCodec.fit(found.sentences, found.scheme, "bioes")
    indices = codec.encode(found.sentences).numpy()
    decoded = codec.decode(indices, [len(each) for each in tags])
    assert decoded == [tags_of(each) for each in found.sentences]


@fuzzing
@given(SENTENCES, SCHEME, st.booleans())
def test_files_of_random_tags_are_audited_or_refused(tmp_path_factory, tags, scheme, repair):
    path = tmp_path_factory.mktemp("tags") / "f.conll"
    lines = ("".join(f"w{row}\t{tag}\n" for row, tag in enumerate(each)) for each in tags)
    path.write_text("\n".join(lines), encoding="utf-8", errors="replace")

    def audit():
        for line in load_dataset(TaggingData(path=str(path), scheme=scheme, repair_tags=repair)).audit.lines():
            assert line == visible(line)

    ends_cleanly(audit)
