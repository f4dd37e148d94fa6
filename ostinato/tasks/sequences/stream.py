"""The stream of a model with one target per sequence."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ostinato.data.encoder import SequenceEncoder
from ostinato.data.incremental import Held, Tokens, incremental_reader
from ostinato.errors import ConfigError, DataError
from ostinato.nn import few_threads, streaming
from ostinato.tasks.portable import StreamAnswer, refuse_threshold
from ostinato.tasks.records import Model
from ostinato.tasks.sequences.reading import typed
from ostinato.tasks.stream import Stream
from ostinato.training.predict import refuse_huge_outputs

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask


LINE = re.compile(r"[^\n]*\n|[^\n]+")


class SequenceStream(Stream):
    """The answer to a sequence that arrives in pieces.

    On the native engine the answers after any pieces have the bits of `predict_proba` for the text so far.

    Args:
        state: of an earlier stream of the same model; None: start a new sequence.

    Raises:
        ConfigError: the model needs the end of the sequence, or its tokenizer whole sequences.
        RunError: `state` is not one of this model.
    """

    def __init__(self, model: Model, state: Mapping[str, Any] | None = None) -> None:
        super().__init__(model)
        encoder: SequenceEncoder = model.encoder
        self._reader = incremental_reader(encoder)
        with torch.inference_mode():
            self._state = streaming.start(model.network.eval())
        self._pending = self._reader.pending()
        self._answer: StreamAnswer | None = None
        if state is not None:
            self.restore(state)

    @classmethod
    def obstacles(cls, model: Model) -> list[str]:
        if model.members:
            return ["An ensemble cannot answer before the end of a sequence. Stream one of its members."]
        encoder: SequenceEncoder = model.encoder
        found = super().obstacles(model)
        if encoder.max_length is not None and encoder.truncate != "head":
            found.append(
                f"This model reads the last tokens of a long sequence (data.truncate {encoder.truncate!r}), which a "
                'stream cannot know. Train again with data.truncate = "head", or without data.max_length.'
            )
        if encoder.scale == "series":
            found.append(
                "This model scales each series by the mean and deviation of all its steps (data.scale = series), which "
                'a stream cannot know. Train again with data.scale = "channel".'
            )
        wide = getattr(model.config.model, "wide", None)
        if wide is not None:
            found.append(
                f"The wide part of this model (model.wide = {wide}) needs whole sequences. Train again with "
                "model.wide = none."
            )
        return found

    @property
    def _held(self) -> Held:
        return self._reader.held

    def push(self, piece: Any) -> StreamAnswer:
        self._refuse_finished()
        self._read(self._reader.push(piece))
        return self.answer

    def finish(self) -> StreamAnswer:
        if not self._is_finished:
            self._read(self._reader.finish())
            self._is_finished = True
        return self.answer

    def follow(self, texts: Iterable[str]) -> Iterator[StreamAnswer]:
        shown: StreamAnswer | None = None
        for number, line in enumerate(self._lines(texts), 1):
            if self._model.encoder.is_numeric:
                (row,) = typed([(f"line {number}", line.strip())], self._model.encoder.tokenizer)
                if isinstance(row, DataError):
                    raise row
                self._read(self._reader.push(row.sequence))
            else:
                self._read(self._reader.push(line if self._reader.has_lines else line.strip("\r\n")))
            if line.endswith("\n") and (shown is None or self.answer.json != shown.json):
                shown = self.answer
                yield shown
        self.finish()
        if shown is None or (shown.steps, shown.json) != (self.answer.steps, self.answer.json):
            yield self.answer

    def _lines(self, texts: Iterable[str]) -> Iterator[str]:
        """Lines with their ends; a part of a line is read at once, unless it is JSON."""
        begun = ""
        for text in texts:
            for part in LINE.findall(text):
                begun += part
                if part.endswith("\n") or not self._model.encoder.is_numeric:
                    yield begun
                    begun = ""
        if begun:
            yield begun

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._pending = self._cut(self._reader.pending(), self._state.steps)
        self._answer = None

    @property
    def answer(self) -> StreamAnswer:
        """The answer for everything read so far."""
        if self._answer is None:
            self._answer = self._compute()
        return self._answer

    def decided(self, threshold: float) -> bool:
        refuse_threshold(threshold)
        answer = self.answer
        if answer.confidence is None:
            raise ConfigError("This model predicts numbers, which have no probability. Read to the end.")
        return answer.steps > 0 and answer.confidence >= threshold

    def _compute(self) -> StreamAnswer:
        model, network = self._model, self._model.network
        with torch.inference_mode(), few_threads(network, tokens=len(self._pending)):
            state = streaming.read(network, self._state, self._values(self._pending))
            outputs = streaming.output(network, state).float()
            refuse_huge_outputs(outputs)
            answers = network.answers(outputs)[0]  # (1, C) -> (C,)
        task: SequenceTask = model.task  # type: ignore[assignment]
        return task.stream_answer(model, answers, state.steps)

    def _read(self, tokens: Tokens) -> None:
        complete = self._cut(tokens.complete, self._state.steps)
        network = self._model.network
        if len(complete):
            with torch.inference_mode(), few_threads(network, tokens=len(complete)):
                self._state = streaming.read(network, self._state, self._values(complete))
        self._pending = self._cut(tokens.pending, self._state.steps)
        self._answer = None

    def _cut(self, values: np.ndarray, steps: int) -> np.ndarray:
        """The values that fit within `max_length` after `steps` steps."""
        limit = self._model.encoder.max_length
        return values if limit is None else values[: max(limit - steps, 0)]

    def _values(self, values: np.ndarray) -> Tensor:
        encoder: SequenceEncoder = self._model.encoder
        scaled = encoder.standardized(values) if encoder.is_numeric else values
        return torch.from_numpy(scaled).to(self._model.network.device)
