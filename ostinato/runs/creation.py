"""Making a run's folder."""

from contextlib import suppress
from pathlib import Path

from ostinato.config import Config, to_toml
from ostinato.errors import RunError
from ostinato.runs.folder import CONFIG, environment_of, refuse_occupied
from ostinato.storage import make_folder, write_atomically
from ostinato.storage.lock import locked
from ostinato.training import choose_device


def create_run(config: Config, folder: Path) -> None:
    """Make a run folder with its config, which makes it a run: until then it counts as empty.

    Raises:
        RunError: the path already exists, or cannot be written.
        ConfigError: the config's device is not available.
    """
    refuse_occupied(folder)
    choose_device(config.training.device)
    is_new = not folder.exists()
    make_folder(folder)
    try:
        with locked(folder):
            refuse_occupied(folder)  # another process may have been faster
            write_atomically(folder / CONFIG, to_toml(config))
            environment_of(folder, config)
    except RunError:
        if is_new:
            with suppress(OSError):  # it is not empty: another process is using it
                folder.rmdir()
        raise
