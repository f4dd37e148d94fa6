"""Read one sequence in pieces with an exported model, without PyTorch."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ostinato.data.incremental import Tokens, incremental_reader
from ostinato.errors import ConfigError
from ostinato.tasks.portable import NEXT, Arrays, StreamAnswer, refuse_threshold

if TYPE_CHECKING:
    from ostinato.export.runner import Runner


class RunnerStream:
    """The answer to a sequence that arrives in pieces, as that of `model.stream()`.

    Args:
        runner: of a file that was exported with states.

    Raises:
        ConfigError: the file has no states, or its tokenizer needs whole sequences.
    """

    def __init__(self, runner: "Runner") -> None:
        self._runner = runner
        self._states = runner.first_states(1)
        if not self._states:
            raise ConfigError(
                "This file reads whole sequences only. Export the run again with --stateful, or use runner.predict."
            )
        self._reader = incremental_reader(runner.encoding)
        self._steps = 0
        self._is_finished = False
        self._answer = self._of(self._reader.pending())

    @property
    def answer(self) -> StreamAnswer:
        """The answer for everything read so far."""
        return self._answer

    def push(self, piece: Any) -> StreamAnswer:
        """Read a piece, and answer for everything read so far.

        Args:
            piece: text, UTF-8 bytes, a list of tokens, or an array of steps; it may end inside a word or a character.

        Raises:
            ConfigError: the stream is finished.
            DataError: the piece is of another kind than in training, or is not valid.
        """
        if self._is_finished:
            raise ConfigError("This stream is finished. Start another one with runner.stream().")
        return self._read(self._reader.push(piece))

    def finish(self) -> StreamAnswer:
        """End the sequence: a last word is complete. The answer is final.

        Raises:
            DataError: the sequence ends inside a character.
        """
        if not self._is_finished:
            self._read(self._reader.finish())
            self._is_finished = True
        return self._answer

    def decided(self, threshold: float) -> bool:
        """Whether the answer so far has reached this probability, so that reading could stop.

        Raises:
            ConfigError: the model predicts numbers; `threshold` is not above 0 and at most 1.
        """
        refuse_threshold(threshold)
        if self._answer.confidence is None:
            raise ConfigError("This model predicts numbers, which have no probability. Read to the end.")
        return self._answer.steps > 0 and self._answer.confidence >= threshold

    def _read(self, tokens: Tokens) -> StreamAnswer:
        complete = self._cut(tokens.complete)
        if len(complete):
            output = self._run(complete)
            self._states = {name: output[NEXT + name] for name in self._states}
            self._steps += len(complete)
        self._answer = self._of(self._cut(tokens.pending))
        return self._answer

    def _of(self, pending: np.ndarray) -> StreamAnswer:
        """The answer with the pending tokens, without going on from them."""
        output = {name: array[0] for name, array in self._run(pending).items()}
        return self._runner.portable.stream_answer(output, self._steps + len(pending))

    def _cut(self, values: np.ndarray) -> np.ndarray:
        limit = self._runner.encoding.max_length
        return values if limit is None else values[: max(limit - self._steps, 0)]

    def _run(self, values: np.ndarray) -> Arrays:
        name, dtype = ("tokens", np.int64) if values.ndim == 1 else ("values", np.float32)
        length = np.array([len(values)])
        padded = values if len(values) else np.zeros((1, *values.shape[1:]))  # a graph needs a step, if only of padding
        session = self._runner.session
        names = [each.name for each in session.get_outputs()]
        found = session.run(names, {name: padded[None].astype(dtype), "lengths": length, **self._states})
        return dict(zip(names, found, strict=True))
