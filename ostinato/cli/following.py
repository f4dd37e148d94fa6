"""predict --follow: the answer to a text that grows."""

import codecs
import os
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ostinato.cli.arguments import load_on
from ostinato.cli.streams import CHUNK, say
from ostinato.errors import ConfigError, DataError
from ostinato.printable import to_json

SECONDS_BETWEEN_LOOKS = 0.1  # at a file that has not grown


def follow(run: Path, file: str, device: str) -> None:
    """Print the answer to the text of a file or of standard input whenever it changes.

    Raises:
        ConfigError: the model needs the end of a sequence; the file holds rows of a data format.
        DataError: the text cannot be read.
    """
    from ostinato.data.files import ending_of
    from ostinato.data.formats import endings

    if run.suffix == ".onnx":
        raise ConfigError(f"{run}: --follow reads with a run or a model file, not with an ONNX file. Name the run.")
    if ending_of(Path(file)) in endings():
        raise ConfigError(
            f"{file}: --follow reads plain text as one sequence that grows, not rows. Leave --follow out, or pipe the "
            "text of the sequence."
        )
    model = load_on(run, device)
    stream = model.task.stream(model)
    with interruptible() as until_interrupted, closing(_texts(file, until_interrupted)) as texts:
        for answer in stream.follow(texts):
            say(to_json({"steps": answer.steps, **answer.json}))


@contextmanager
def interruptible() -> Iterator[Callable[[Callable[[], bytes]], bytes | None]]:
    """Call a function that waits; after Ctrl-C it returns None, and the rest of the program goes on to its end."""
    state = {"is_waiting": False, "is_over": False}

    def stop(number: int, frame: Any) -> None:
        state["is_over"] = True
        if state["is_waiting"]:
            raise KeyboardInterrupt

    def call(wait: Callable[[], bytes]) -> bytes | None:
        try:
            state["is_waiting"] = True
            return None if state["is_over"] else wait()
        except KeyboardInterrupt:
            return None
        finally:
            state["is_waiting"] = False

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield call
    finally:
        signal.signal(signal.SIGINT, before)


def _texts(file: str, until_interrupted: Callable[[Callable[[], bytes]], bytes | None]) -> Generator[str, None, None]:
    """The text as it arrives: to the end of standard input, or for ever; or until Ctrl-C.

    Raises:
        DataError: it cannot be read, or is not UTF-8.
    """
    name = "standard input" if file == "-" else file
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with _reader(file) as read:
            while (chunk := until_interrupted(read)) is not None:
                yield decoder.decode(chunk, final=not chunk)
                if not chunk:
                    return
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: not UTF-8 (byte 0x{error.object[error.start]:02x}). Convert it, for example: "
            "iconv -f latin1 -t utf-8"
        ) from None
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror}). Name another file.") from None


@contextmanager
def _reader(file: str) -> Iterator[Callable[[], bytes]]:
    """A function that waits for the next bytes; standard input ends with none."""
    if file == "-":
        if sys.stdin is None:
            raise DataError("standard input is closed. Pipe the text into it, or name a file.")
        stream: Any = sys.stdin.buffer
        yield lambda: stream.read1(CHUNK)
        return
    with Path(file).open("rb") as growing:

        def read() -> bytes:
            while not (chunk := growing.read(CHUNK)):
                if os.fstat(growing.fileno()).st_size < growing.tell():
                    raise DataError(f"{file}: became shorter while it was read. Start again with the new file.")
                time.sleep(SECONDS_BETWEEN_LOOKS)
            return chunk

        yield read
