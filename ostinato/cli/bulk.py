"""predict --on ray: many files, on a cluster."""

import signal
from pathlib import Path

import typer

from ostinato.cli.arguments import interrupt, load_on, reading
from ostinato.cli.streams import INTERRUPTED, say
from ostinato.cluster.connection import check_on
from ostinato.errors import ConfigError


def predict_on_cluster(run: Path, pattern: str, settings: list[str], out: Path, device: str, on: str) -> None:
    """Predict the files of a pattern into a folder; exit status 1 if a row or a file could not be read.

    Raises:
        OstinatoError: nothing can be predicted.
    """
    check_on(on)
    if run.suffix == ".onnx":
        raise ConfigError(f"{run}: --on predicts with a run or a model file, not with an ONNX file. Name the run.")
    from ostinato.cluster import connected
    from ostinato.cluster.files import ERRORS, find_inputs
    from ostinato.cluster.prediction import predict_files
    from ostinato.progress import Progress

    files = find_inputs(pattern)
    model = load_on(run, "cpu")  # how files are read depends on it
    progress = Progress()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with connected(on, progress) as cluster:
            assert cluster is not None
            found = predict_files(
                cluster,
                run,
                files,
                out,
                reading=lambda path: reading(run, path, settings, model),
                device=device,
                progress=progress,
            )
    except KeyboardInterrupt:
        progress.say(f"Interrupted; the answers in {out} are complete files. Run the same command again to continue.")
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
    rows, failed = sum(each.rows for each in found), sum(each.failed for each in found)
    say(f"{out}: {rows:,} rows of {len(found):,} files answered.")
    if failed:
        say(f"{failed:,} rows could not be read; {out / ERRORS} holds their errors.", err=True)
    if failed or any(each.reason is not None for each in found):
        raise typer.Exit(1)
