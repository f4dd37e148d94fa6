"""What the HTTP service asks of a model with one target per sequence."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from ostinato.data.encoding import NUMERIC
from ostinato.data.joined import JoinedEncoder
from ostinato.data.ragged import Ragged
from ostinato.data.tokenizers import make_tokenizer
from ostinato.errors import DataError
from ostinato.explanation.attribution import methods_of
from ostinato.explanation.trace import why_not_traced
from ostinato.tasks.records import Answered
from ostinato.tasks.served import ModelFacts, ServedModel
from ostinato.training.predict import predict_outputs


class TokenIds(NamedTuple):
    """A row that is encoded already: (T,) int32."""

    ids: np.ndarray
    source: str


class ServedSequences(ServedModel):
    """A model with one target per sequence."""

    @property
    @abstractmethod
    def is_calibrated(self) -> bool:
        """Whether the answers are calibrated probabilities."""

    @property
    def facts(self) -> ModelFacts:
        encoder, network = self.model.encoder, self.model.network
        return ModelFacts(
            kind=self._kind(),
            tokenizer=encoder.tokenizer,
            labels=list(self.model.codec.names) if network.quantity == "probability" else None,
            channels=encoder.channels,
            quantity=network.quantity,
            calibrated=self.is_calibrated,
            explanation_methods=list(methods_of(self.model)),
            traces=why_not_traced(self.model) is None,
            ids=not encoder.is_numeric and not isinstance(encoder, JoinedEncoder),
        )

    def _kind(self) -> str:
        tokenizer = self.model.encoder.tokenizer
        if tokenizer in (NUMERIC, "events"):
            return str(tokenizer)
        has_alphabet = make_tokenizer(tokenizer).vocabulary is not None or tokenizer.startswith("kmers")
        return "symbols" if has_alphabet else "text"

    def count_tokens(self, row: Any, enough: int) -> int:
        return len(row.ids) if isinstance(row, TokenIds) else self.count_in_piece(row.sequence, enough)

    def count_in_piece(self, piece: Any, enough: int) -> int:
        if len(piece) <= enough or not isinstance(piece, str) or self.model.encoder.is_numeric:
            return len(piece)  # a token has at least one character
        return len(make_tokenizer(self.model.encoder.tokenizer).offsets(piece))

    def cut(self, row: Any, length: int) -> Any:
        if isinstance(row, TokenIds):
            return row._replace(ids=row.ids[:length])
        sequence = row.sequence
        if isinstance(sequence, str):
            offsets = make_tokenizer(self.model.encoder.tokenizer).offsets(sequence)
            return replace(row, sequence=sequence[: offsets[:length][-1][1]] if offsets else "")
        return replace(row, sequence=sequence[:length])

    def row_of_ids(self, ids: Sequence[int], source: str) -> TokenIds:
        vocabulary = self.model.encoder.vocabulary
        if isinstance(self.model.encoder, JoinedEncoder):
            raise DataError(
                f"{source}: the members of this ensemble read different tokens. Send the input `text` instead."
            )
        if vocabulary is None:
            raise DataError(f"{source}: tokenizer {NUMERIC!r} has no token ids. Send the input `values` instead.")
        size = len(vocabulary) + len(vocabulary.extra)
        for at, number in enumerate(ids):
            if not 0 <= number < size:
                raise DataError(f"{source}, token {at}: the id {number} is out of range. Expected 0 to {size - 1}.")
        if not len(ids):
            raise DataError(f"{source}: the sequence is empty. Send at least one token.")
        return TokenIds(np.array(ids, np.int32), source)

    def answer(self, rows: Sequence[Any]) -> list[Answered]:
        of_ids = [number for number, row in enumerate(rows) if isinstance(row, TokenIds)]
        if not of_ids:
            return super().answer(rows)
        answers: list[Any] = [None] * len(rows)
        for number, answered in zip(of_ids, self._answer_ids([rows[each] for each in of_ids]), strict=True):
            answers[number] = answered
        others = [number for number, row in enumerate(rows) if not isinstance(row, TokenIds)]
        for number, answered in zip(others, super().answer([rows[each] for each in others]), strict=True):
            answers[number] = answered
        return answers

    def _answer_ids(self, rows: Sequence[TokenIds]) -> list[Answered]:
        network, encoder = self.model.network, self.model.encoder
        cut = [row.ids[encoder.kept(len(row.ids))] for row in rows]
        encoded = Ragged(torch.from_numpy(np.concatenate(cut)), torch.tensor([len(ids) for ids in cut]))
        answers = network.answers(predict_outputs(network, encoded))
        return [Answered(row.source, answer) for row, answer in zip(rows, answers, strict=True)]
