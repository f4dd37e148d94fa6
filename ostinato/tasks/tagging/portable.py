"""What an exported tagger needs. No PyTorch here."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ostinato.data.examples import Sentence
from ostinato.data.spans import padded, spans
from ostinato.data.vocabulary import Vocabulary
from ostinato.errors import DataError
from ostinato.tasks import portable
from ostinato.tasks.portable import Arrays, Outputs
from ostinato.tasks.sequences.label_array import label_array
from ostinato.tasks.tagging.decoding import decode
from ostinato.tasks.tagging.encoding import EncodedSentences, SentenceEncoding
from ostinato.tasks.tagging.inputs import as_sentences
from ostinato.tasks.tagging.rows import from_text
from ostinato.tasks.tagging.schemes import Entity, conlleval_entities


class Answer(NamedTuple):
    """The predicted tags of a sentence of T words.

    Args:
        tags: T tags, in the scheme of the training data.
        probabilities: T marginal probabilities of these tags.
        entities: None if the tags do not mark entities.
    """

    sentence: Sentence
    tags: list[str]
    probabilities: list[float]
    entities: list[Entity] | None

    def probability(self, entity: Entity) -> float:
        """The probability of an entity's least certain token."""
        return min(self.probabilities[entity.start : entity.end])


class EncodedBatches(portable.Encoded):
    """Encoded sentences.

    Args:
        reads: names of the graph's inputs; ONNX Runtime refuses any other.
        all_unknown: see `Encoded`.
    """

    def __init__(self, found: EncodedSentences, reads: Sequence[str], all_unknown: np.ndarray) -> None:
        self.found, self.reads, self.lengths, self.all_unknown = found, reads, found.lengths, all_unknown
        self.starts = found.lengths.cumsum() - found.lengths

    def inputs(self, rows: np.ndarray) -> Arrays:
        found, starts, lengths = self.found, self.starts[rows], self.lengths[rows]
        tokens = spans(starts, lengths)
        used, forms = np.unique(found.forms[tokens], return_inverse=True)
        sizes = found.character_lengths[used]
        letters = (found.character_lengths.cumsum() - found.character_lengths)[used]
        own_starts = lengths.cumsum() - lengths
        inputs = {
            "tokens": padded(found.words, starts, lengths, np.int64),
            "lengths": lengths,
            "word_shapes": padded(found.word_shapes, starts, lengths, np.int64),
            "features": padded(found.features, starts, lengths, np.int64),
            "forms": padded(forms.reshape(-1), own_starts, lengths, np.int64),
            "characters": padded(found.characters, letters, sizes, np.int64),
            "character_lengths": sizes,
        }
        return {name: inputs[name] for name in self.reads}


class Portable(portable.Portable):
    """A tag for each word. See `ostinato.tasks.portable.Portable`."""

    def __init__(self, encoder: dict[str, Any], answer: dict[str, Any]) -> None:
        self.encoding = SentenceEncoding(
            Vocabulary(tuple(encoder["words"]), tuple(encoder["extra"])),
            Vocabulary(tuple(encoder["characters"])),
            tuple(Vocabulary(tuple(values)) for values in encoder["features"]),
            bool(encoder["lowercase"]),
        )
        self.tags: list[str] = list(answer["tags"])
        self.scheme, self.target_scheme = answer["scheme"], answer["target_scheme"]
        self.reads: list[str] = list(answer["inputs"])

    @property
    def classes(self) -> np.ndarray:
        return label_array(self.tags)

    def encode(self, X: Iterable[Any], sources: Sequence[str] | None = None) -> EncodedBatches:
        sentences = _sentences(X, sources)
        unknown = np.array([not self.encoding.knows(each.words).any() for each in sentences], bool)
        return EncodedBatches(self.encoding.arrays(sentences), self.reads, unknown)

    def predict(self, outputs: Outputs) -> list[list[str]]:
        """The tags of each sentence, in the scheme of the training data."""
        return [self._decoded(tags) for tags in outputs["tags"]]

    def predict_proba(self, outputs: Outputs) -> list[np.ndarray]:
        """The probability of each tag at each token: an array (T, C) per sentence."""
        return list(outputs["probabilities"])

    def agreement(self, outputs: Outputs, others: Outputs) -> float:
        """The share of words with the same tag."""
        tags, other_tags = (np.concatenate(list(each["tags"])) for each in (outputs, others))
        return float((tags == other_tags).mean())

    def as_json(self, sequence: Any, output: Arrays) -> dict[str, Any]:
        (sentence,) = _sentences([sequence], None)
        tags = self._decoded(output["tags"])
        own = np.take_along_axis(output["probabilities"], output["tags"][:, None], axis=1)[:, 0].tolist()
        entities = None if self.scheme is None else conlleval_entities(tags)
        return answer_json(Answer(sentence, tags, own, entities))

    def _decoded(self, indices: np.ndarray) -> list[str]:
        return decode([self.tags[index] for index in indices], self.scheme, self.target_scheme)


def _sentences(X: Iterable[Any], sources: Sequence[str] | None) -> list[Sentence]:
    """Sentences from what users pass; a text keeps the offsets of its words."""
    split = [from_text(each, f"sentence {row}") if isinstance(each, str) else each for row, each in enumerate(X)]
    sentences = as_sentences(split, "sentence")
    for sentence, source in zip(sentences, sources or [each.source for each in sentences], strict=True):
        if not sentence.words:
            raise DataError(f"{source}: the sentence is empty. Fill it in, or remove the row.")
    if sources is None:
        return sentences
    return [each._replace(source=source) for each, source in zip(sentences, sources, strict=True)]


def answer_json(answer: Answer) -> dict[str, Any]:
    """Tokens, features, tags, probabilities, and the spans of entities: in characters for a text, else in tokens."""
    sentence = answer.sentence
    row: dict[str, Any] = {} if sentence.text is None else {"text": sentence.text}
    row |= {"tokens": sentence.words} | ({"features": list(sentence.features)} if sentence.features else {})
    row |= {"tags": answer.tags, "probabilities": [round(each, 6) for each in answer.probabilities]}
    if answer.entities is not None:
        row["spans"] = [_span(answer, entity) for entity in answer.entities]
    return row


def _span(answer: Answer, entity: Entity) -> dict[str, Any]:
    text, offsets = text_and_offsets(answer.sentence)
    start, end = offsets[entity.start][0], offsets[entity.end - 1][1]
    bounds = (
        {"start": start, "end": end}
        if answer.sentence.text is not None
        else {"first_token": entity.start, "end_token": entity.end}
    )
    probability = round(answer.probability(entity), 6)
    return {**bounds, "label": entity.type, "text": text[start:end], "probability": probability}


def text_and_offsets(sentence: Sentence) -> tuple[str, Sequence[tuple[int, int]]]:
    """The text, or else the words joined by spaces, and the start and end of each word in it."""
    if sentence.text is not None:
        return sentence.text, sentence.offsets
    offsets, at = [], 0
    for word in sentence.words:
        offsets.append((at, at + len(word)))
        at += len(word) + 1
    return " ".join(sentence.words), offsets
