"""How much the sentences of one document tell about each other's names: F1 of trained taggers of CoNLL-2003.

    ostinato train conll2003-ner --out runs/ner-0
    ostinato train conll2003-ner --out runs/ner-1 --set training.seed=1
    python benchmarks/document_agreement.py runs/ner-0 runs/ner-1          # each, and the mean of their scores
    python benchmarks/document_agreement.py runs/ner-0 --test              # once, at the end

A tagger reads one sentence at a time, so it may call a word a place here and a club two lines below. For each
capitalised word of a document, in lower case, the mean of the other occurrences' type probabilities is taken:

    score(t, y) += strength · log((q(t, type of y) + SMOOTHING) / (1 + SMOOTHING · types))
    q(t, type) = mean over the other occurrences t' of p(type at t'),  p: the CRF's marginals

The CRF then decodes the new scores. The strength is the best of `STRENGTHS` on the validation split. Without --test,
the test split is not scored. Next to F1 is the recall of entities that also occur in the training split, and of those
with a word that does not.
"""

import copy
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
import typer
from torch import Tensor

from ostinato.data.columns import DOCUMENT
from ostinato.data.examples import Sentence, tags_of
from ostinato.data.files import installed_file, open_text
from ostinato.data.splits import SPLITS
from ostinato.nn import Layout, LinearChainCRF
from ostinato.report.terminal import print_table
from ostinato.tasks.model_file import load_model
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.codec import TagCodec
from ostinato.tasks.tagging.corpora import CONLL_FILES, CONLL_HOW_TO_GET, conll2003
from ostinato.tasks.tagging.metrics import tagging_metrics
from ostinato.tasks.tagging.schemes import Entity, entities

STRENGTHS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
SMOOTHING = 0.2
SCHEME = "iob2"  # of the corpus
HEADINGS = ("taggers", "split", "strength", "F1", "recall of known entities", "recall with new words", "their share")
SENTENCES_AT_A_TIME = 256


class Split(NamedTuple):
    """The sentences of a split, and the number of each sentence's document.

    `known` are its entities that are also entities of the training split, `new` those with a word that is not there;
    each with the number of its sentence.
    """

    sentences: Sequence[Sentence]
    documents: Sequence[int]
    known: set[tuple[int, Entity]]
    new: set[tuple[int, Entity]]


class Scored(NamedTuple):
    """A tagger's scores (N, C) of a split, and what reads them."""

    scores: Tensor
    crf: LinearChainCRF
    codec: TagCodec


def main(models: Annotated[list[Path], typer.Argument(metavar="RUN...")], *, test: bool = False) -> None:
    """Print the F1 of each tagger, and of the mean of their scores, with and without agreement."""
    splits = read_splits(("validation", "test") if test else ("validation",))
    loaded = [load_model(path) for path in models]
    scored = [{name: score(model, split) for name, split in splits.items()} for model in loaded]
    names = [path.name for path in models]
    if len(models) > 1:
        names.append(f"mean of {len(models)}")
        scored.append({name: mean([each[name] for each in scored]) for name in splits})
    lines = []
    for label, of_splits in zip(names, scored, strict=True):
        added = {name: agreement(split, of_splits[name]) for name, split in splits.items()}
        validation = (splits["validation"], of_splits["validation"], added["validation"])
        strength = max(STRENGTHS, key=lambda each: f1(validation[0], decode(*validation, each)))
        for name, split in splits.items():
            for each in (0.0, strength):
                values = results(split, decode(split, of_splits[name], added[name], each))
                lines.append((label, name, f"{each:g}", *(f"{value:.4f}" for value in values)))
    print_table(HEADINGS, lines)


def results(split: Split, found: list[list[str]]) -> tuple[float, float, float, float]:
    """F1, the recall of known entities and of those with new words, and the share of the latter."""
    predicted = entities_of(found)
    known, new = (len(wanted & predicted) / len(wanted) for wanted in (split.known, split.new))
    total = len(entities_of([tags_of(sentence) for sentence in split.sentences]))
    return f1(split, found), known, new, len(split.new) / total


def read_splits(names: Sequence[str]) -> dict[str, Split]:
    """The splits of CoNLL-2003 with their documents."""
    folder = installed_file("neuroner", "data", "conll2003", "en")
    if folder is None:
        raise SystemExit(CONLL_HOW_TO_GET)
    files = dict(zip(SPLITS, CONLL_FILES, strict=True))
    every = conll2003()
    train = every["train"]
    words = {word for sentence in train for word in sentence.words}
    texts = {text_of(train, each) for each in entities_of([tags_of(sentence) for sentence in train])}
    splits = {}
    for name in names:
        sentences = every[name]
        every_entity = entities_of([tags_of(sentence) for sentence in sentences])
        known = {each for each in every_entity if text_of(sentences, each) in texts}
        new = {each for each in every_entity if not words.issuperset(text_of(sentences, each))}
        splits[name] = Split(sentences, documents_of(folder / files[name], sentences), known, new)
    return splits


def entities_of(tags: list[list[str]]) -> set[tuple[int, Entity]]:
    """The entities of all sentences, each with the number of its sentence."""
    return {(number, entity) for number, each in enumerate(tags) for entity in entities(each, SCHEME)}


def text_of(sentences: Sequence[Sentence], entity: tuple[int, Entity]) -> tuple[str, ...]:
    """The words of an entity."""
    number, (_, start, end) = entity
    return tuple(sentences[number].words[start:end])


def documents_of(path: Path, sentences: Sequence[Sentence]) -> list[int]:
    """The number of each sentence's document: how many -DOCSTART- lines precede its first line."""
    with open_text(path) as file:
        starts = [number for number, line in enumerate(file, start=1) if line.startswith(DOCUMENT)]
    lines = torch.tensor([sentence.lines[0] for sentence in sentences])
    found: list[int] = torch.searchsorted(torch.tensor(starts), lines).tolist()
    return found


@torch.inference_mode()
def score(model: Model, split: Split) -> Scored:
    """The scores of all tokens, in order."""
    network = model.network
    if network.crf is None:
        raise SystemExit("model.head softmax: the scores have no CRF. Train with model.head = crf.")
    encoded = model.encoder.encode(split.sentences)
    parts = torch.arange(len(encoded)).split(SENTENCES_AT_A_TIME)
    return Scored(torch.cat([network(encoded.select(part)) for part in parts]), network.crf, model.codec)


def mean(members: Sequence[Scored]) -> Scored:
    """The geometric mean of CRFs of the same tags: the CRF whose scores are the means."""
    first = members[0]
    if any(member.codec != first.codec for member in members):
        raise SystemExit("The taggers have different tags. Expected trainings that differ in their seed alone.")
    crf = copy.deepcopy(first.crf)  # with its constraints
    states = [member.crf.state_dict() for member in members]
    crf.load_state_dict({key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]})
    return Scored(torch.stack([member.scores for member in members]).mean(0), crf, first.codec)


@torch.inference_mode()
def decode(split: Split, scored: Scored, added: Tensor, strength: float) -> list[list[str]]:
    """The best tags of each sentence when `strength` · `added` is added to the scores."""
    layout = layout_of(split)
    best = scored.crf.decode(scored.scores + strength * added, layout)
    return scored.codec.decode(best.numpy(), layout.lengths.tolist())


def f1(split: Split, found: list[list[str]]) -> float:
    """The F1 of entities."""
    tags = [tags_of(sentence) for sentence in split.sentences]
    metrics = tagging_metrics(tags, found, known=None, scheme=SCHEME, tags=sorted(set(chain(*tags))))
    assert metrics.f1 is not None
    return metrics.f1


@torch.inference_mode()
def agreement(split: Split, scored: Scored) -> Tensor:
    """What the other occurrences of each token's word add to its scores, (N, C); 0 if there are none."""
    types = sorted({type_of(tag) for tag in scored.codec.tags})
    of_type = torch.tensor([types.index(type_of(tag)) for tag in scored.codec.tags])
    marginals = scored.crf.marginals(scored.scores, layout_of(split))
    p = marginals.new_zeros(len(marginals), len(types)).index_add(1, of_type, marginals)  # (N, C) -> (N, K)
    group = occurrences(split)
    count = torch.bincount(group)[group].unsqueeze(1) - 1
    others = (p.new_zeros(int(group.max()) + 1, len(types)).index_add(0, group, p)[group] - p) / count.clamp(min=1)
    added = ((others + SMOOTHING) / (1 + SMOOTHING * len(types))).log()
    return torch.where(count > 0, added, 0.0)[:, of_type]  # (N, K) -> (N, C)


def occurrences(split: Split) -> Tensor:
    """A number for each token, (N,), that the capitalised tokens of one word in one document share."""
    numbers: dict[tuple[int, str | int], int] = {}
    found: list[int] = []
    for sentence, document in zip(split.sentences, split.documents, strict=True):
        for word in sentence.words:
            key = word.lower() if word[0].isupper() else len(found)  # other words are alone
            found.append(numbers.setdefault((document, key), len(numbers)))
    return torch.tensor(found)


def layout_of(split: Split) -> Layout:
    """The tokens of each sentence."""
    return Layout(torch.tensor([len(sentence.words) for sentence in split.sentences]))


def type_of(tag: str) -> str:
    """`PER` of `B-PER`; `O` of `O`."""
    return tag.rpartition("-")[2]


if __name__ == "__main__":
    typer.run(main)
