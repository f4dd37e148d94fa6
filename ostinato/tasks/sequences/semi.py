"""Self-training: a teacher labels the rows without labels, and the network learns from all rows together.

Source: the idea of Yarowsky (1995); soft labels as in Hinton, Vinyals & Dean (2015).
"""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch.nn import functional as F

from ostinato.data.examples import Records
from ostinato.data.ragged import Ragged
from ostinato.data.stored import StoredFields
from ostinato.errors import DataError, RunError
from ostinato.evaluation.baselines.teacher import Taught, teach
from ostinato.nn import SequenceNetwork, WideNgrams
from ostinato.storage import Stored, load_tensors, save_tensors
from ostinato.tasks.records import TaskData
from ostinato.tasks.sequences.baselines import baseline_kind
from ostinato.tasks.sequences.prepare import encode_unlabelled
from ostinato.tasks.sequences.rivals import lsa_key
from ostinato.tasks.sequences.teacher import teach_from_run
from ostinato.training.objective import Labelled

if TYPE_CHECKING:
    from torch import Tensor

TEACHER = "teacher.safetensors"  # in the folder of the checkpoints


def with_soft_labels(
    network: SequenceNetwork,
    data: TaskData,
    train: Labelled,
    *,
    teacher: str | None = None,
    confidence: float = 0.0,
    seed: int,
    folder: Path | None,
) -> Labelled:
    """The training split followed by unlabelled rows, with a probability of each class or label as target.

    A labelled row has the probabilities 0 and 1. The teacher's labels are saved next to the checkpoints, so that a
    training that resumes learns from the same ones.

    Args:
        train: encoded, in the order of `data.rows["train"]`.
        teacher: a run whose model is the teacher; None: linear models, which are fitted to train.
        confidence: of the rows that are used, at least.
        seed: of linear models.

    Raises:
        DataError: no row has this confidence.
    """
    assert data.unlabelled is not None
    rows, sequences = encode_unlabelled(data.encoder, data.unlabelled)
    C = network.head.out_features
    identity = {"train": train.digest(), "unlabelled": sequences.digest(), "seed": seed, "run": teacher}
    path = None if folder is None else folder / TEACHER
    soft = _labels(data, train, rows, C, identity, path, confidence)
    used = torch.nonzero(_confidence(soft, train.targets) >= confidence).squeeze(-1)
    if len(used) == 0:
        raise DataError(
            f"training.confidence {confidence:g}: none of the {len(rows):,} unlabelled rows reaches it; the highest "
            f"confidence is {_confidence(soft, train.targets).max():.3f}. Set it lower."
        )
    soft, sequences = soft[used], sequences.select(used)
    hard = train.targets if train.targets.is_floating_point() else F.one_hot(train.targets, C).float()
    weights = None if train.weights is None else torch.cat([train.weights, torch.ones(len(used))])
    offsets = None if train.offsets is None else torch.cat([train.offsets, _wide_outputs(network, sequences)])
    return Labelled(_joined(train.sequences, sequences), torch.cat([hard, soft]), weights, offsets)


def _confidence(soft: "Tensor", targets: "Tensor") -> "Tensor":
    """The probability (U,) of the most probable class, or of the answer to the label that is least certain."""
    if targets.is_floating_point():
        return torch.maximum(soft, 1 - soft).amin(dim=1)
    return soft.amax(dim=1)


def _labels(
    data: TaskData,
    train: Labelled,
    rows: Records,
    num_outputs: int,
    identity: dict[str, Any],
    path: Path | None,
    confidence: float,
) -> "Tensor":
    """The teacher's probabilities (U, C), read from the file if it exists.

    One teacher serves every network that is trained on the same rows, such as the candidates of `ostinato train FILE`.
    """
    if path is not None and path.exists():
        return _read(path, identity)
    key = (TEACHER, *identity.values())
    if key not in data.known and identity["run"] is not None:
        data.known[key] = teach_from_run(Path(identity["run"]), data, rows)
    elif key not in data.known:
        labelled = data.rows["train"].sequences
        data.known[key] = teach(
            labelled,
            train.targets.numpy(),
            rows.sequences,
            kind=baseline_kind(data.encoder.tokenizer, labelled[0]),
            num_outputs=num_outputs,
            seed=identity["seed"],
            weights=None if train.weights is None else train.weights.double().numpy(),
        )
    taught: Taught = data.known[key]
    if taught.lsa is not None:
        data.known[lsa_key(data)] = taught.lsa
    soft = torch.from_numpy(taught.labels)
    if path is not None:
        used = int((_confidence(soft, train.targets) >= confidence).sum())
        choice = {"confidence": confidence, "used": used}
        save_tensors(path, {"labels": soft}, {"kind": "teacher", **identity, **choice, **asdict(taught.teacher)})
    return soft


def _read(path: Path, identity: dict[str, object]) -> "Tensor":
    stored, facts = _stored(path)
    changed = [name for name, value in identity.items() if getattr(facts, name) != value]
    if changed:
        raise RunError(
            f"{path}: the teacher labelled other data: {', '.join(changed)} changed since. Restore them, or train in a "
            "new folder."
        )
    return stored.tensors["labels"]


class TeacherFacts(StoredFields):
    """The contents of `TEACHER` besides the labels: the rows, and the fields of `Teacher`."""

    kind: Literal["teacher"]
    train: str
    unlabelled: str
    seed: int
    run: str | None
    confidence: float
    used: int
    members: list[str]
    losses: dict[str, float]
    loss: float | None
    temperature: float


def read_teacher(checkpoints: Path) -> TeacherFacts | None:
    """The teacher of a training; None if its folder has none.

    Raises:
        RunError: the file is damaged.
    """
    path = checkpoints / TEACHER
    return _stored(path)[1] if path.exists() else None


def _stored(path: Path) -> tuple[Stored, TeacherFacts]:
    stored = load_tensors(path)
    try:
        facts = TeacherFacts.read(stored.facts, "facts")
    except RunError as error:
        raise RunError(
            f"{path}: does not hold the labels of a teacher ({str(error).split('. ')[0]}). Copy the run folder again, "
            "or train again."
        ) from None
    if "labels" not in stored.tensors:
        raise RunError(f"{path}: does not hold the labels of a teacher. Copy the run folder again, or train again.")
    return stored, facts


def _joined(first: Ragged, second: Ragged) -> Ragged:
    return Ragged(torch.cat([first.values, second.values]), torch.cat([first.lengths, second.lengths]))


def _wide_outputs(network: SequenceNetwork, sequences: Ragged) -> "Tensor":
    """The outputs (U, C) of the network's linear part, which was fitted without unlabelled rows, for those rows."""
    from ostinato.tasks.sequences.wide import ngram_features

    wide = network.wide
    assert isinstance(wide, WideNgrams)
    outputs = ngram_features(wide, sequences) @ wide.weight.detach().numpy()
    return torch.from_numpy(np.asarray(outputs)).float()
