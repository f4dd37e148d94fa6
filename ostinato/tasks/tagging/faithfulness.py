"""Mask sentences to measure how faithful a tagger's explanations are. The explained word is never masked."""

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import numpy as np

from ostinato.explanation.explanation import Explanation
from ostinato.explanation.faithfulness import MaskableInput, check_label, check_length
from ostinato.explanation.masking import opened
from ostinato.tasks.records import Model
from ostinato.tasks.tagging.sentence_vectors import Reader, readers_of


class SentenceMasking:
    """Masks all words of a sentence except the explained one.

    Explanations of the same sentence form a group, because they are not independent.
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @cached_property
    def readers(self) -> list[Reader]:
        """The model or its members. Access them only within `opened`, where dropout is off."""
        return readers_of(self.model)

    def opened(self) -> AbstractContextManager[Any]:
        return opened(self.model.network)

    def input(self, explanation: Explanation, row: int) -> MaskableInput:
        sentence, token = explanation.sentence, explanation.token
        assert token is not None, "an explanation of a tag has a token"
        tag = check_label(explanation, row, self.model.codec.names)
        check_length(explanation, row, len(sentence.words))
        encoded = self.model.encoder.encode([sentence])
        read = [(reader.weight, reader.vectors(sentence)) for reader in self.readers]

        def answer(masks: np.ndarray) -> np.ndarray:
            probabilities = np.zeros(len(masks))
            for weight, vectors in read:
                log_probabilities = vectors.masked(masks, np.array([token]))[:, 0, tag]  # (K, 1, C) -> (K,)
                probabilities += weight * log_probabilities.double().exp().cpu().numpy()
            return probabilities

        others = np.delete(np.arange(len(sentence.words)), token)
        group = (tuple(sentence.words), *map(tuple, sentence.features))
        return MaskableInput(others, answer, (token, int(encoded.digest(), 16)), group)
