"""What the estimators of tasks with one target for each sequence share."""

import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ostinato.data.examples import Records
from ostinato.data.inputs import as_sequences, identity, infer_tokenizer, records_of
from ostinato.errors import ConfigError, DataError
from ostinato.tasks.base import Model, TaskData
from ostinato.tasks.estimator import Estimator, NoAudit
from ostinato.tasks.sequences.prepare import encode, fit_encoder, refuse_empty, rows_without_known_tokens
from ostinato.training import predict_outputs
from ostinato.training.vectors import read_for

if TYPE_CHECKING:
    from ostinato.tasks.sequences.task import SequenceTask


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceEstimator(Estimator):
    """The arguments and methods of estimators that read whole sequences."""

    position: str | None = None
    conv_size: int | None = None
    kernel_size: int = 5
    conv_pool: int = 1
    pooling: str | Sequence[str] = "last"
    tokenizer: str | None = None
    max_length: int | None = None
    truncate: str = "head"

    def _fit(
        self, X: Iterable[Any], y: Iterable[Any], validation_data: Any, *, codec: Any = None, **replaced: Any
    ) -> None:
        """Train; a `codec` replaces the one that is fitted to the training rows' targets."""
        task: SequenceTask = self.task  # type: ignore[assignment]
        config = self._config(**replaced)
        rows = records_of(X, y, "sequence")
        validation = self._validation(rows, validation_data, config.training.seed)
        train, held = validation if validation is not None else (rows, None)
        tokenizer = config.data.tokenizer or infer_tokenizer(train.sequences)  # type: ignore[attr-defined]
        encoder = fit_encoder(train, config.data, tokenizer)  # type: ignore[arg-type]
        codec = codec or task.fit_codec(config.data, train)  # type: ignore[arg-type]
        task.target_kind.refuse_unusable("y", train.targets)
        vectors = read_for(config.data, encoder.vocabulary, encoder.tokenizer)
        if vectors is not None:
            encoder = encoder.with_extra(vectors.extra_words)
        parts = {"train": train} | ({} if held is None else {"validation": held})
        splits = {name: encode(encoder, codec, part) for name, part in parts.items()}
        for name, part in parts.items():
            refuse_empty(splits[name].sequences, part.sources)
        data = TaskData(config.data, "X", "y", parts, splits, encoder, codec, NoAudit(), vectors)
        trained = self._train(config, data)
        self._take(Model(task, config, encoder, codec, trained.network), trained)

    def _validation(self, rows: Records, given: Any, seed: int) -> tuple[Records, Records] | None:
        """Rows to train on and rows to validate on; None: train on everything."""
        if given is not None:
            X, y = given
            return rows, records_of(X, y, "validation sequence")
        return None if self.validation_fraction is None else self._hold_out(rows, seed)

    def _hold_out(self, rows: Records, seed: int) -> tuple[Records, Records]:
        """A random part for validation; copies of a sequence stay together."""
        task: SequenceTask = self.task  # type: ignore[assignment]
        copies: dict[Hashable, str] = {}
        groups = [copies.setdefault(identity(each), str(row)) for row, each in enumerate(rows.sequences)]
        distinct = groups if len(copies) < len(groups) else None
        sizes = (None, float(self.validation_fraction or 0), 0)
        try:
            kept, held, _ = task.target_kind.split(self._strata(rows), distinct, sizes, seed)
        except (ConfigError, DataError) as error:
            raise DataError(
                f"No rows can be held out for validation: {error} Or pass validation_fraction=None, or validation_data."
            ) from None
        return rows.select(kept), rows.select(held)

    def _strata(self, rows: Records) -> list[Any]:
        """What the split of held-out rows is stratified by."""
        return rows.targets

    def _outputs(self, X: Iterable[Any]) -> Tensor:
        """The network's outputs for sequences. Returns (n, C)."""
        model = self._fitted("")
        sequences = model.encoder.encode(as_sequences(X))
        refuse_empty(sequences, [f"sequence {row}" for row in range(len(sequences))])
        unknown = rows_without_known_tokens(model.encoder, sequences)
        if len(unknown):
            warnings.warn(
                f"{len(unknown)} sequences have only out-of-vocabulary tokens; the first is sequence {unknown[0]}",
                stacklevel=4,
            )
        return predict_outputs(model.network, sequences)

    def _answers(self, X: Iterable[Any]) -> np.ndarray:
        """What the network answers for sequences, as the user reads it. Returns (n, C)."""
        outputs = self._outputs(X)
        answers: np.ndarray = self._fitted("").network.answers(outputs).cpu().numpy()
        return answers


def text_of_labels(labels: Iterable[Hashable]) -> list[str]:
    """A text for each label, different for labels that differ."""
    names: dict[Hashable, str] = {}
    return [names.setdefault(label, repr(label)) for label in labels]
