"""The prediction of many files on a cluster: each file is one call on a node, which is tried again if it is lost.

Ray's plain tasks serve better than Ray Data or actors here. The answers to a file are written in one step or not at
all, so order, rows and restarts need no more than its name. A process loads the model once, as an actor would, but
unlike actors, tasks hold no CPU between files, so nothing waits for a place when a node is lost.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ostinato.cluster.answering import AnsweredFile, ModelCopy, answer_file
from ostinato.cluster.files import ERRORS, InputFile, Stamp, is_answered
from ostinato.cluster.nodes import Cluster
from ostinato.cluster.pool import Lost
from ostinato.config import DataConfig
from ostinato.progress import Progress
from ostinato.storage import make_folder, write_atomically
from ostinato.storage.lock import locked
from ostinato.tasks.model_file import model_file

Reading = Callable[[Path], DataConfig]  # how a file is read


class Predicted(NamedTuple):
    """What became of a file.

    Args:
        rows, failed: how many rows were answered, and how many could not be read; 0 if the file failed.
        reason: why the file as a whole failed.
    """

    file: InputFile
    rows: int
    failed: int
    reason: str | None


def predict_files(
    cluster: Cluster,
    run: Path,
    files: Sequence[InputFile],
    out: Path,
    *,
    reading: Reading,
    device: str = "auto",
    progress: Progress,
) -> list[Predicted]:
    """Predict the files that have no answers in the folder yet.

    Returns:
        What became of those files, in the order in which they ended.

    Raises:
        RunError: the folder holds other answers, another process is using it, it cannot be written, or the connection
            to the cluster is lost.
        ConfigError: no node has what the device needs.
        KeyboardInterrupt: files that were answered are written; called again, the prediction continues.
    """
    make_folder(out)
    with locked(out):
        content = model_file(run).read_bytes()
        copy = ModelCopy(hashlib.sha256(content).hexdigest(), [cluster.put(content)], device)
        missing = list(_missing(files, out, copy.digest, reading))
        if len(missing) < len(files):
            progress.say(f"{len(files) - len(missing)} of {len(files)} files are already answered.")
        found = []
        for each in _predict(cluster, copy, missing, out):
            found.append(each)
            progress.say(f"[{len(files) - len(missing) + len(found)}/{len(files)}] {each.file}: {_in_words(each)}")
        return found


class _Missing(NamedTuple):
    file: InputFile
    config: DataConfig
    stamp: Stamp


def _missing(files: Iterable[InputFile], out: Path, model: str, reading: Reading) -> Iterator[_Missing]:
    for file in files:
        config = reading(file.path)
        settings = config.model_dump_json(exclude={"path"})
        stamp = Stamp(model, file.digest(), hashlib.sha256(settings.encode()).hexdigest())
        if not is_answered(out / file.name, stamp):
            yield _Missing(file, config, stamp)


def _predict(cluster: Cluster, copy: ModelCopy, missing: Sequence[_Missing], out: Path) -> Iterator[Predicted]:
    """Predict the files, and write the answers to each as soon as they are there."""
    if not missing:
        return
    share = cluster.share(len(missing), device=copy.device)
    waiting = deque(missing)
    with cluster.pool(answer_file, share) as pool:
        while waiting or len(pool):
            while waiting and len(pool) < share.parallel:
                file, config, stamp = waiting.popleft()
                pool.submit(file, copy, str(file), file.content(), config, stamp)
            yield _written(out, *pool.take())


def _written(out: Path, file: InputFile, result: AnsweredFile | Lost | str) -> Predicted:
    """Write the answers to a file, after its errors: answers without their errors would look complete."""
    if isinstance(result, Lost):
        return Predicted(file, 0, 0, result.reason)
    if isinstance(result, str):
        return Predicted(file, 0, 0, result)
    if result.errors is not None:
        _write(out / ERRORS / file.name, result.errors)
    _write(out / file.name, result.answers)
    return Predicted(file, result.rows, result.failed, None)


def _write(path: Path, content: bytes) -> None:
    make_folder(path.parent)
    write_atomically(path, content)


def _in_words(predicted: Predicted) -> str:
    if predicted.reason is not None:
        return f"failed: {predicted.reason}"
    unread = f", {predicted.failed:,} could not be read" if predicted.failed else ""
    return f"{predicted.rows:,} row{'' if predicted.rows == 1 else 's'}{unread}"
