"""export, and predictions of an exported model."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ostinato.cli.arguments import Json, row_groups
from ostinato.cli.streams import say
from ostinato.errors import ConfigError, DataError
from ostinato.printable import to_json

if TYPE_CHECKING:
    from ostinato.export.runner import Runner
    from ostinato.tasks.records import Answered, Model

ROWS_AT_A_TIME = 512


def export(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A finished run folder, a model file, or hf://OWNER/NAME.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="The ONNX file to write.")] = None,
    verify: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare this ONNX file with the run again; writes nothing.")
    ] = None,
    quantize: Annotated[
        str | None,
        typer.Option(metavar="int8", help="Write weights of 8 bits; compared on the run's validation split."),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            metavar="POINTS", help="How much int8 may cost: points, or per cent of a regressor's error; 0.5 by default."
        ),
    ] = None,
    stateful: Annotated[
        bool, typer.Option("--stateful", help="Read sequences in pieces: states are further inputs and outputs.")
    ] = False,
    opset: Annotated[int | None, typer.Option(help="Version of ONNX's operators; 18 by default.")] = None,
    as_json: Json = False,
) -> None:
    """Write the model as one ONNX file, and certify that ONNX Runtime gives the same answers.

    The file holds tokenizer, vocabulary and labels. It answers from raw text without PyTorch: with
    `ostinato.export.Runner`, or with `ostinato predict FILE.onnx`.
    """
    _refuse_conflicting(out, verify, quantize, tolerance)
    if stateful and verify is not None:
        raise ConfigError("--stateful: the file says whether it has states. Leave it out with --verify.")
    from ostinato import export as exporting
    from ostinato.tasks.model_file import load_model

    model = load_model(run)
    if verify is not None:
        certificate = exporting.verify(verify, model, validation=run)
    else:
        assert out is not None
        given = {"opset": opset, "tolerance": tolerance}
        options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        certificate = exporting.to_onnx(model, out, stateful=stateful, quantize=quantize, validation=run, **options)
    file = out or verify
    if as_json:
        say(to_json({"file": str(file), **certificate.to_json()}))
    else:
        say("\n".join([str(file), *certificate.lines()]))
    if not certificate.holds:
        raise typer.Exit(1)


def _refuse_conflicting(out: Path | None, verify: Path | None, quantize: str | None, tolerance: float | None) -> None:
    if (out is None) == (verify is None):
        raise ConfigError("Give either --out FILE, to write a file, or --verify FILE, to check one.")
    if tolerance is not None and quantize is None:
        raise ConfigError(f"--tolerance {tolerance:g}: there is nothing to tolerate without --quantize. Remove it.")
    if verify is not None and quantize is not None:
        raise ConfigError(f"--quantize {quantize}: --verify writes no file. Remove one of them.")


def answers_of_onnx(
    path: Path, file: str | None, text: list[str] | None, settings: list[str], *, strict: bool
) -> "Iterator[Answered]":
    """Answer rows with an exported model; PyTorch is not needed."""
    from ostinato.export.runner import Runner

    runner = Runner(path)
    for rows in row_groups(_stand_in(runner), path, file, text, settings):
        while batch := list(islice(rows, ROWS_AT_A_TIME)):
            yield from _answer_batch(runner, batch, strict)


def _answer_batch(runner: "Runner", batch: list[Any], strict: bool) -> "Iterator[Answered]":
    """Answer rows together, or one by one where one of them cannot be answered."""
    from ostinato.tasks.records import Answered

    try:
        found: Iterable[Any] = runner.answers([_readable(row) for row in batch], [row.source for row in batch])
    except DataError:
        found = (_answer_alone(runner, row) for row in batch)
    for row, answer in zip(batch, found, strict=True):
        if isinstance(answer, DataError):
            if strict:
                raise answer
            yield Answered(row.source, None, str(answer))
            continue
        warning = answer.get("warning")
        if warning is not None and strict:
            raise DataError(f"{row.source}: {warning}. Remove the row, or predict without --strict.")
        yield Answered(row.source, answer, None, warning)


def _answer_alone(runner: "Runner", row: Any) -> Any:
    """The answer to a row, or the error that prevents it."""
    try:
        return runner.answers([_readable(row)], [row.source])[0]
    except DataError as error:
        return error


def _readable(row: Any) -> Any:
    """The sequence of a row.

    Raises:
        DataError: the row could not be read.
    """
    if isinstance(row, DataError):
        raise row
    from ostinato.export.runner import sequence_of

    return sequence_of(row)


def _stand_in(runner: "Runner") -> "Model":
    """A model without codec and network: reading rows needs the task, the config and the tokenizer."""
    from ostinato.config.reading import parse
    from ostinato.tasks import TASKS
    from ostinato.tasks.records import Model

    task = TASKS[runner.task]
    fields = {"task": task.name, **runner.facts["config"]}
    config = parse({task.name: task.config}, fields, "config", needs_data=False, is_old=True)
    return Model(task, config, runner.encoding, None, None)
