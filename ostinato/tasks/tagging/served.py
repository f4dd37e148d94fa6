"""What the HTTP service asks of a tagger."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ostinato.tasks.served import ModelFacts, Output, ServedModel
from ostinato.tasks.tagging.explain import TAG_METHODS
from ostinato.tasks.tagging.spans import tokenize_text


class ServedTagger(ServedModel):
    """A tag for each word."""

    @property
    def facts(self) -> ModelFacts:
        return ModelFacts(
            kind="text",
            tokenizer="words",
            labels=list(self.model.codec.tags),
            channels=None,
            quantity="probability",
            calibrated=False,
            explanation_methods=list(TAG_METHODS),
            traces=False,
            ids=False,
        )

    @property
    def outputs(self) -> Mapping[str, Output]:
        return {"tags": Output("BYTES", (-1, -1)), "probabilities": Output("FP32", (-1, -1))}

    def arrays(self, answer: Any) -> dict[str, np.ndarray]:
        return {"tags": np.array(answer.tags, object), "probabilities": np.array(answer.probabilities, np.float32)}

    def count_tokens(self, row: Any, enough: int) -> int:
        return len(row.words)

    def count_in_piece(self, piece: str | list[Any], enough: int) -> int:
        if len(piece) <= enough or isinstance(piece, list):  # a word has at least one character
            return len(piece)
        return len(tokenize_text(piece))

    def cut(self, row: Any, length: int) -> Any:
        offsets = row.offsets[:length]
        return row._replace(
            words=row.words[:length],
            text=None if row.text is None else row.text[: offsets[-1][1]],
            offsets=offsets,
            features=[values[:length] for values in row.features],
        )
