"""The base class of estimators with one target per sequence."""

import warnings
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ostinato.config import SequenceData
from ostinato.data.examples import Record, Records
from ostinato.data.inputs import as_sequences, identity, records_of
from ostinato.data.shown import count_of
from ostinato.data.splits import draw_what_fits
from ostinato.errors import ConfigError, DataError
from ostinato.nn.kernel.threads import torch_threads
from ostinato.printable import plain_repr
from ostinato.tasks.estimator import Estimator, NoAudit, too_few_to_validate
from ostinato.tasks.records import Model, TaskData
from ostinato.tasks.sequences.prepare import (
    encode,
    fit_encoder,
    refuse_empty,
    rows_without_known_tokens,
)
from ostinato.tasks.sequences.settle import settle_data, tokenizer_of
from ostinato.tasks.sequences.unlabelled import select_unlabelled
from ostinato.training import predict_outputs
from ostinato.training.vectors import read_for

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceEstimator(Estimator):
    """The arguments and methods of estimators with one target per sequence."""

    position: str | None = "auto"
    conv_size: int | str | None = "auto"
    kernel_size: int | str = "auto"
    conv_pool: int | str = "auto"
    pooling: str | Sequence[str] = "mean+max"
    wide: str | None = None
    wide_order: int | None = None
    wide_letters: int = 0
    wide_ends: bool = False
    wide_size: int | None = None
    tokenizer: str | None = "auto"
    max_length: int | str | None = "auto"
    truncate: str = "auto"
    scale: str = "auto"

    def _fit(
        self,
        X: Iterable[Any],
        y: Iterable[Any],
        validation_data: Any,
        *,
        sample_weight: Any = None,
        codec: Any = None,
        unlabelled: Iterable[Any] | None = None,
        **replaced: Any,
    ) -> None:
        """Train on sequences and targets.

        Args:
            sample_weight: (n,) weight of each row; None: 1.
            codec: replaces the codec that would be fitted to the training targets.
            unlabelled: sequences without a target, for `semi`.
            replaced: arguments of the estimator, with the values to use instead.
        """
        task: SequenceTask = self.task  # type: ignore[assignment]
        config = self._config(**replaced)
        rows = records_of(X, y, "sequence", sample_weight)
        if not len(rows):
            raise DataError("X has no sequences. Expected at least one, with its target in y.")
        task.target_kind.refuse_unusable("y", rows.targets)
        validation = self._validation(rows, validation_data, config.training.seed)
        train, held_out = validation if validation is not None else (rows, None)
        assert isinstance(config.data, SequenceData)
        tokenizer = tokenizer_of(config.data, train.sequences)
        data_config = settle_data(config.data, train.sequences, tokenizer, size_matters=task.size_matters)
        parts = {"train": train} | ({} if held_out is None else {"validation": held_out})
        extra = self._unlabelled(unlabelled, parts, tokenizer)
        encoder = fit_encoder(train, data_config, tokenizer, extra)
        codec = codec or task.fit_codec(data_config, train)
        task.target_kind.refuse_unusable("y", train.targets)
        vectors = read_for(config.data, encoder.vocabulary, encoder.tokenizer)
        if vectors is not None:
            encoder = encoder.with_extra(vectors.extra_words)
        splits = {name: encode(encoder, codec, part) for name, part in parts.items()}
        for name, part in parts.items():
            refuse_empty(splits[name].sequences, part.sources)
        data = TaskData(data_config, "X", "y", parts, splits, encoder, codec, NoAudit(), vectors, extra)
        data = self._adopt(config, data)
        config = task.settle(config, data)
        trained = self._train(config, data)
        self._take(Model(task, config, data.encoder, codec, trained.network), trained)

    def _unlabelled(self, X: Iterable[Any] | None, parts: Mapping[str, Records], tokenizer: str) -> Records | None:
        """The sequences without a target to learn from; None: none are given.

        Raises:
            ConfigError: `semi` needs them, or does not use them.
            DataError: most are also in validation, or too few are new.
        """
        semi = getattr(self, "semi", None)
        if (semi is None) != (X is None):
            raise ConfigError(
                f"semi is {semi!r}: fit needs unlabelled=, sequences without labels."
                if X is None
                else 'unlabelled is not used, because semi is None. Set semi="self-training", or leave it out.'
            )
        if X is None:
            return None
        sequences = as_sequences(X)
        records = [Record(each, None, None, None, f"unlabelled {row}") for row, each in enumerate(sequences)]
        return select_unlabelled(records, parts, tokenizer)[0]

    def _validation(self, rows: Records, validation_data: Any, seed: int) -> tuple[Records, Records] | None:
        """The rows to train on and the rows to validate on; None: train on all rows."""
        if validation_data is not None:
            X, y = validation_data
            return rows, records_of(X, y, "validation sequence")
        return None if self.validation_fraction is None else self._hold_out(rows, seed)

    def _hold_out(self, rows: Records, seed: int) -> tuple[Records, Records] | None:
        """Hold out random rows for validation; copies of a sequence stay together. None: there are too few rows."""
        task: SequenceTask = self.task  # type: ignore[assignment]
        copies: dict[Hashable, str] = {}
        groups = [copies.setdefault(identity(each), str(row)) for row, each in enumerate(rows.sequences)]
        distinct = groups if len(copies) < len(groups) else None
        sizes = (None, float(self.validation_fraction or 0), 0)
        strata = self._strata(rows)
        try:
            (train, validation, _), left_out = draw_what_fits(
                lambda chosen: task.target_kind.split(strata, distinct, chosen, seed), sizes, len(rows)
            )
        except (ConfigError, DataError) as error:
            raise DataError(
                f"Cannot hold out rows for validation: {error} Or pass validation_data or validation_fraction=None."
            ) from None
        if left_out:
            warnings.warn(too_few_to_validate(len(rows), "row"), stacklevel=5)
            return None
        return rows.select(train), rows.select(validation)

    def _strata(self, rows: Records) -> list[Any]:
        """The targets by which the held-out rows are stratified."""
        return rows.targets

    def _outputs(self, X: Iterable[Any]) -> Tensor:
        """The network's outputs for sequences, (n, C)."""
        model = self._fitted("")
        sequences = model.encoder.encode(as_sequences(X))
        refuse_empty(sequences, [f"sequence {row}" for row in range(len(sequences))])
        unknown = rows_without_known_tokens(model.encoder, sequences)
        if len(unknown):
            found = count_of(len(unknown), "sequence")
            warnings.warn(f"Only out-of-vocabulary tokens in {found}; the first is sequence {unknown[0]}", stacklevel=4)
        return predict_outputs(model.network, sequences)

    def _answers(self, X: Iterable[Any]) -> np.ndarray:
        """The network's answers to sequences, such as probabilities, (n, C)."""
        outputs = self._outputs(X)
        with torch_threads(1):
            answers: np.ndarray = self._fitted("").network.answers(outputs).cpu().numpy()
        return answers


def text_of_labels(labels: Sequence[Hashable]) -> list[str]:
    """A string for each label; different labels get different strings."""
    names: dict[Hashable, str] = {}
    taken: set[str] = set()
    for label in labels:
        if label not in names:
            text = str(label)
            names[label] = plain_repr(label) if text in taken else text  # 1 and "1" are different labels
            taken.add(text)
    return [names[label] for label in labels]
