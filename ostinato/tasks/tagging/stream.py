"""The stream of a tagger: the tag of each word as soon as the word is complete."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from ostinato.data.examples import Sentence
from ostinato.data.files import check_unicode
from ostinato.data.incremental import SOURCE, Held
from ostinato.data.shown import count_of
from ostinato.errors import DataError
from ostinato.nn import few_threads, streaming
from ostinato.printable import plain_repr
from ostinato.tasks.portable import StreamAnswer
from ostinato.tasks.records import Model
from ostinato.tasks.stream import Stream
from ostinato.tasks.tagging.inputs import as_sentences
from ostinato.tasks.tagging.portable import Answer, answer_json
from ostinato.tasks.tagging.spans import in_word, tokenize_text
from ostinato.training.predict import refuse_huge_outputs


class TagStream(Stream):
    """The tags of a sentence that arrives in pieces: text, UTF-8 bytes, or lists of words or tuples (word, feature, …).

    `push` answers for the words that are complete since the last answer; the last word of a text is complete when a
    space or a punctuation mark follows, or at `finish`.

    Args:
        state: of an earlier stream of the same model; None: start a new sentence.

    Raises:
        ConfigError: the tag of a word depends on later words.
        RunError: `state` is not one of this model.
    """

    def __init__(self, model: Model, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(model)
        self._text = Held()
        with torch.inference_mode():
            network = model.network.eval()
            self._state = streaming.State(0, streaming.start_stack(network.stack, network.head.weight))
        if state is not None:
            self.restore(state)

    @classmethod
    def obstacles(cls, model: Model) -> list[str]:
        if model.members:
            return ["An ensemble cannot answer before the end of a sentence. Stream one of its members."]
        problems = super().obstacles(model)
        if model.network.crf is not None:
            problems.append(
                "This tagger chooses the best tags of a whole sentence (model.head 'crf'), so later words can change "
                'every tag. Train again with model.head = "softmax".'
            )
        if model.network.wide is not None:
            problems.append(
                "The wide part of this model (model.wide = features) reads the words that follow. "
                "Train again with model.wide = none."
            )
        if model.codec.scheme != model.codec.target_scheme:
            problems.append(
                f"This tagger converts tags from {model.codec.target_scheme} to {model.codec.scheme}, which needs the "
                "next word. Train again with data.target_scheme = none."
            )
        return problems

    @property
    def _held(self) -> Held:
        return self._text

    def push(self, piece: Any) -> StreamAnswer:
        self._refuse_finished()
        if isinstance(piece, str | bytes):
            return self._tag(self._words_of(piece))
        if not isinstance(piece, list):
            raise DataError(
                f"{SOURCE}: {plain_repr(piece):.60} is not part of a sentence. Expected text, or a list of words or of "
                "tuples (word, feature, …)."
            )
        words = self._words(self._text.text)
        sentence = as_sentences([[*words, *piece]], SOURCE)[0] if piece else self._sentence(words)
        self._text.decoder.refuse_half_a_character()
        answer = self._tag(sentence)
        self._text.text = ""
        return answer

    def finish(self) -> StreamAnswer:
        self._text.decoder.refuse_half_a_character()
        answer = self._tag(self._sentence(self._words(self._text.text)))
        self._text, self._is_finished = Held(), True
        return answer

    def follow(self, texts: Iterable[str]) -> Iterator[StreamAnswer]:
        for text in texts:
            answer = self.push(text)
            if answer.tokens:
                yield answer
        answer = self.finish()
        if answer.tokens:
            yield answer

    def _words_of(self, piece: str | bytes) -> Sentence:
        """The words that a piece of text completes; the last word may go on."""
        if self._model.encoder.features:
            raise DataError(
                f"{SOURCE}: text has no features, but the words in training have "
                f"{count_of(len(self._model.encoder.features), 'feature')}. Push tuples (word, feature, …)."
            )
        if isinstance(piece, str):
            check_unicode(piece, SOURCE)
        text = self._text.text + self._text.decoder.text(piece)
        tokens = tokenize_text(text)
        is_open = bool(tokens) and tokens[-1][2] == len(text) and in_word(text[-1])
        self._text.text = tokens.pop()[0] if is_open else ""
        return self._sentence([word for word, _, _ in tokens])

    @staticmethod
    def _words(text: str) -> list[str]:
        return [word for word, _, _ in tokenize_text(text)]

    @staticmethod
    def _sentence(words: list[str]) -> Sentence:
        return Sentence(words, None, SOURCE)

    def _tag(self, sentence: Sentence) -> StreamAnswer:
        """Read further words, and answer for them."""
        codec, count = self._model.codec, len(sentence.words)
        scores = self._scores(sentence) if count else torch.empty(0, len(codec.tags))
        probabilities, best = scores.softmax(dim=1), scores.argmax(dim=1)  # (n, C), (n,)
        (tags,) = codec.decode(best.numpy(), [count])
        own = probabilities.gather(1, best.unsqueeze(1)).squeeze(1)  # (n, C) -> (n,)
        fields = answer_json(Answer(sentence, tags, own.tolist(), None))
        return StreamAnswer(self._state.steps, fields, probabilities.numpy(), tokens=sentence.words, tags=tags)

    @torch.inference_mode()
    def _scores(self, sentence: Sentence) -> Tensor:
        """Read further words. Returns the scores of all tags at each word, (n, C)."""
        network, count = self._model.network, len(sentence.words)
        encoded = self._model.encoder.encode([sentence]).to(network.device)
        with few_threads(network, tokens=count):
            h, tensors = streaming.read_stack(network.stack, self._state.tensors, network.vectors(encoded))
            scores: Tensor = network.head(h).float()
            refuse_huge_outputs(scores)
            self._state = streaming.State(self._state.steps + count, tensors)
        return scores.cpu()
