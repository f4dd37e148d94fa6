"""Streams: the answer to one sequence that arrives in pieces. What the streams of all tasks share."""

import base64
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ostinato.data.incremental import Held
from ostinato.data.stored import Text
from ostinato.errors import ConfigError, RunError
from ostinato.nn import streaming
from ostinato.storage import digest_of
from ostinato.tasks.portable import StreamAnswer

if TYPE_CHECKING:
    from ostinato.tasks.records import Model

FORMAT = 1  # of states
MOST_STEPS = 2**53  # beyond it, JSON readers in other languages round
UNCHANGED = "Pass what state() returned, unchanged."


class StoredStream(BaseModel):
    """What `Stream.state` returns."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    kind: Literal["stream"]
    format: int
    model: str
    finished: bool
    steps: int = Field(ge=0, le=MOST_STEPS)
    text: Text
    undecoded: Annotated[str, Field(pattern="^([0-9a-f]{2}){0,3}$")]
    has_begun: bool
    tensors: dict[str, str]


class Stream(ABC):
    """Reads one sequence in pieces, in constant memory and time per step.

    Example:
        stream = model.stream()
        for piece in pieces:
            answer = stream.push(piece)
            if stream.decided(0.95):
                break
    """

    _state: streaming.State

    def __init__(self, model: "Model") -> None:
        self._model = model
        self._is_finished = False
        problems = self.obstacles(model)
        if problems:
            raise ConfigError("\n".join(problems))

    @classmethod
    def obstacles(cls, model: "Model") -> list[str]:
        """Why the model cannot answer before the end of a sequence, each with what to do."""
        if not streaming.reads_ahead(model.network):
            return []
        return [
            "This model reads every sequence from its end, too (model.bidirectional), so it has no answer before the "
            "end. Train again with model.bidirectional = false."
        ]

    @property
    @abstractmethod
    def _held(self) -> Held:
        """The text that is held back."""

    @abstractmethod
    def push(self, piece: Any) -> StreamAnswer:
        """Read a piece of the sequence and answer for everything read so far.

        Args:
            piece: text, UTF-8 bytes, a list of tokens, or an array of steps: what `predict` takes for a sequence. It
                may end inside a word or a character.

        Raises:
            ConfigError: the stream is finished.
            DataError: the piece is of another kind than in training, or is not valid. The stream stays as it was.
        """

    @abstractmethod
    def finish(self) -> StreamAnswer:
        """End the sequence: a last word is complete. The answer is final.

        Raises:
            DataError: the sequence ends inside a character.
        """

    @abstractmethod
    def follow(self, texts: Iterable[str]) -> Iterator[StreamAnswer]:
        """Read a text of lines to its end, and yield an answer whenever it is new.

        A sequence is answered after every line, and at the end. A tagger answers for the words that are complete. A
        line of a numeric series is a JSON array of steps.

        Raises:
            DataError: a line cannot be read.
        """

    def decided(self, threshold: float) -> bool:
        """Whether the answer so far has reached this probability, so that reading could stop.

        Raises:
            ConfigError: the model has no probability of a whole sequence; `threshold` is not above 0 and at most 1.
        """
        raise ConfigError("This model has no probability of one answer for a whole sequence. Read to the end.")

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs to continue to the last bit, as JSON values."""
        return {
            "kind": "stream",
            "format": FORMAT,
            "model": self._fingerprint,
            "finished": self._is_finished,
            "steps": self._state.steps,
            **self._held.state(),
            "tensors": {name: to_base64(tensor) for name, tensor in self._state.tensors.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state`, of this or of another stream of the same model.

        Raises:
            RunError: the state is of another model or format, or damaged. The stream stays as it was.
        """
        try:
            stored = StoredStream.model_validate(state)
        except ValidationError as error:
            problem = error.errors()[0]
            name = ".".join(map(str, ("state", *problem["loc"])))
            raise RunError(f"{name}: {problem['msg']}. {UNCHANGED}") from None
        if stored.format != FORMAT:
            raise RunError(
                f"state: format {stored.format}. Expected {FORMAT}, which this version of Ostinato reads: use the "
                "version that wrote it, or start another stream."
            )
        if stored.model != self._fingerprint:
            raise RunError(
                "state: belongs to another model. Load the model whose stream it is, or start another stream with "
                "model.stream()."
            )
        tensors = self._tensors(stored.tensors)
        self._held.restore(stored.model_dump(include={"text", "undecoded", "has_begun"}))
        self._state = streaming.State(stored.steps, tensors)
        self._is_finished = stored.finished

    def _tensors(self, stored: dict[str, str]) -> dict[str, Tensor]:
        """The stored tensors, which must have the names and sizes of the present ones."""
        if stored.keys() != self._state.tensors.keys():
            name = min(stored.keys() ^ self._state.tensors.keys())
            problem = "the model has no such tensor" if name in stored else "missing"
            raise RunError(f"state.tensors.{name:.60}: {problem}. {UNCHANGED}")
        return {name: from_base64(stored[name], like, name) for name, like in self._state.tensors.items()}

    def _refuse_finished(self) -> None:
        if self._is_finished:
            raise ConfigError("This stream is finished. Start another one with model.stream().")

    @cached_property
    def _fingerprint(self) -> str:
        """SHA-256 of everything in the model that an answer depends on."""
        model = self._model
        facts = {
            "task": model.task.name,
            "model": model.config.model.model_dump(mode="json"),
            "encoder": model.encoder.to_json(),
            "codec": model.codec.to_json(),
        }
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.network.state_dict().items()}
        return digest_of(weights, json.dumps(facts, sort_keys=True))


def to_base64(tensor: Tensor) -> str:
    """The bytes of a tensor."""
    plain = tensor.detach().cpu().contiguous()
    return base64.b64encode(plain.flatten().view(torch.uint8).numpy().tobytes()).decode()


def from_base64(text: str, like: Tensor, name: str) -> Tensor:
    """A tensor of the dtype, shape and device of `like`.

    Raises:
        RunError: the bytes are not those of such a tensor, or not numbers.
    """
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        raise RunError(f"state.tensors.{name}: not base64. {UNCHANGED}") from None
    size = like.numel() * like.element_size()
    if len(content) != size:
        raise RunError(f"state.tensors.{name}: {len(content)} bytes. Expected {size}. {UNCHANGED}")
    tensor = torch.frombuffer(bytearray(content), dtype=like.dtype) if content else like.cpu().new_empty(0)
    if not (tensor < torch.inf).all():
        raise RunError(f"state.tensors.{name}: holds values that are not numbers. {UNCHANGED}")
    return tensor.view(like.shape).to(like.device)
