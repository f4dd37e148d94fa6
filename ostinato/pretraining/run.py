"""A pre-training in its folder: from a config to an encoder, resumable at any moment."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from ostinato.config.memory import available_bytes, refuse_more_than
from ostinato.data.inputs import as_sequences
from ostinato.data.tokenizer_choice import choose_tokenizer
from ostinato.errors import ConfigError, DataError, RunError
from ostinato.nn import Network
from ostinato.pretraining.config import NEXT_STEP, PretrainingConfig, from_settings, read_own_config
from ostinato.pretraining.corpus import Corpus, build_corpus
from ostinato.pretraining.objective import baseline_loss, build_network, objective_of
from ostinato.pretraining.reading import Unlabelled, read_unlabelled
from ostinato.progress import Progress
from ostinato.runs.creation import create_run
from ostinato.runs.finished import digests_of, finished_metrics, lost_files
from ostinato.runs.folder import CONFIG, environment_of, is_pretraining, refuse_occupied, write_json
from ostinato.runs.log import Log, epoch_line, write_history
from ostinato.runs.training import CHECKPOINTS, stop_signals
from ostinato.storage import METRICS, make_subfolder
from ostinato.storage.lock import locked
from ostinato.training import TrainingState, train
from ostinato.training.pretrained import ENCODER_FILE, save_pretrained

VOCABULARY, HISTORY = "vocabulary.json", "metrics.jsonl"
COPIES = 4  # weights, gradients, and AdamW's two moments


def pretrain(
    sequences: Iterable[Any], out: str | Path, *, resume: bool = False, verbose: bool = False, **settings: Any
) -> dict[str, Any]:
    """Learn from sequences without labels to predict steps from those around them; writes the folder `out`.

    An estimator takes the folder as `init`, and a config as `model.init`.

    Args:
        sequences: strings, lists of tokens, or arrays (T,) or (T, channels); a list, pandas Series or array of them.
        out: the folder to create.
        resume: continue an interrupted pre-training in `out` with its own settings; give the same sequences.
        verbose: show progress.
        settings: keys of the config without their tables, such as `hidden_size=128` or `tokenizer="characters"`; see
            docs/pretraining.md.

    Returns:
        The content of `metrics.json`.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint.
        ConfigError: a setting is unknown or invalid.
        DataError: a sequence is invalid, or there are too few.
        RunError: the folder already exists and `resume` is off, or it cannot be written.

    Example:
        >>> import tempfile, ostinato
        >>> folder = tempfile.mkdtemp()
        >>> texts = [f"the {size} {animal} sleeps" for size in ("big", "old") for animal in ("cat", "dog", "fox")]
        >>> metrics = ostinato.pretrain(texts, folder, embedding_size=8, hidden_size=8, max_epochs=1)
        >>> metrics["validation"]["perplexity"] > 1
        True
    """
    folder, given = Path(out), as_sequences(sequences)
    progress = Progress(quiet=not verbose)
    if resume:
        if settings:
            raise ConfigError(f"resume=True uses the settings of {folder}. Remove {', '.join(settings)}.")
        return resume_pretraining(folder, given=_in_memory(given, read_own_config(folder)), progress=progress)
    config = from_settings(settings)
    return start_pretraining(config, folder, given=_in_memory(given, config), progress=progress)


def start_pretraining(
    config: PretrainingConfig, folder: Path, *, given: Unlabelled | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Create a folder and pre-train in it; see `resume_pretraining`. Creates nothing if the data cannot be used.

    Args:
        given: the sequences, if the config does not name them.

    Raises:
        RunError: the path already exists, or cannot be written.
        KeyboardInterrupt, OstinatoError: as in `resume_pretraining`.
    """
    refuse_occupied(folder)
    config = _with_absolute_paths(config)
    read = given or read_unlabelled(config.data)
    config = config.model_copy(update={"data": config.data.model_copy(update={"tokenizer": read.tokenizer})})
    corpus = build_corpus(config, read)
    _refuse_oversized(config, corpus)
    create_run(config, folder)
    return resume_pretraining(folder, corpus=corpus, progress=progress)


def resume_pretraining(
    folder: Path,
    *,
    given: Unlabelled | None = None,
    corpus: Corpus | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Pre-train as the folder's config says, from its last checkpoint on. Returns the metrics.

    Args:
        given: the sequences, if the config does not name them.
        corpus: the prepared sequences, if the caller has them already.

    Raises:
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after a checkpoint.
        RunError: the folder is not one of a pre-training, another process is using it, or a file is damaged.
        OstinatoError: a problem of the config, the data, the training or the disk.
    """
    if (folder / CONFIG).exists() and not is_pretraining(folder):
        raise RunError(f"{folder}: is a run of ostinato train. Resume it with: ostinato train --resume {folder}")
    progress = progress or Progress(quiet=True)
    done = finished_metrics(folder)
    if done is not None and not lost_files(folder, done):
        return done
    with locked(folder):
        config = read_own_config(folder)
        if corpus is None:
            if given is None and config.data.path is None and config.data.name is None:
                raise ConfigError(
                    f"{folder}: its sequences were given in Python, and its config names no files. Call "
                    "ostinato.pretrain(sequences, out, resume=True) with the same sequences."
                )
            corpus = build_corpus(config, given or read_unlabelled(config.data))
        return _train(folder, config, corpus, progress)


def _in_memory(sequences: list[Any], config: PretrainingConfig) -> Unlabelled:
    sources = [f"sequence {row}" for row in range(len(sequences))]
    filled = [row for row, sequence in enumerate(sequences) if len(sequence)]
    if not filled:
        raise DataError("There is no sequence with tokens. Give at least two.")
    chosen = [sequences[row] for row in filled]
    tokenizer = config.data.tokenizer or choose_tokenizer(chosen)[0]
    return Unlabelled("sequences", "given in Python", chosen, [sources[row] for row in filled], tokenizer)


def _with_absolute_paths(config: PretrainingConfig) -> PretrainingConfig:
    """The same config, readable from any folder."""
    data: dict[str, Any] = {}
    if config.data.path is not None:
        data["path"] = [str(Path(pattern).absolute()) for pattern in config.data.path]
    if config.data.exclude is not None:
        data["exclude"] = [
            str(Path(each).absolute()) if each.endswith(".toml") else each for each in config.data.exclude
        ]
    model = {} if config.model.init is None else {"init": str(Path(config.model.init).absolute())}
    return config.model_copy(
        update={"data": config.data.model_copy(update=data), "model": config.model.model_copy(update=model)}
    )


def _refuse_oversized(config: PretrainingConfig, corpus: Corpus) -> None:
    """Refuse sizes whose weights, gradients and moments alone need more memory than is available."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build_network(config, corpus)
    needed = COPIES * sum(each.numel() * each.element_size() for each in network.parameters())
    remedy = "Reduce model.hidden_size, model.num_layers, model.embedding_size or data.max_size."
    refuse_more_than(available_bytes(), needed, "This pre-training", remedy)


def _train(folder: Path, config: PretrainingConfig, corpus: Corpus, progress: Progress) -> dict[str, Any]:
    log, checkpoints = Log(folder / "training.log", progress), folder / CHECKPOINTS
    for line in corpus.lines:
        log.say(line)
    write_json(folder / VOCABULARY, {"encoder": corpus.encoder.to_json()})
    make_subfolder(checkpoints)

    def save_history(state: TrainingState) -> None:
        write_history(folder, state)
        log.note(epoch_line(state))

    with torch.random.fork_rng(), stop_signals() as stop_requested:
        torch.manual_seed(config.training.seed)
        network = build_network(config, corpus, corpus.pretrained)
        state = train(
            network,
            corpus.train,
            corpus.validation,
            config.training,
            objective=objective_of(config, corpus),  # type: ignore[arg-type]  # it fits the network that it is built for
            folder=checkpoints,
            identity={
                "run": environment_of(folder, config).get("run"),
                "vocabulary": corpus.encoder.to_json(),
                "table [model] of the config": config.model.model_dump(mode="json", exclude={"engine"}),
            },
            progress=progress,
            on_epoch=save_history,
            stop_requested=stop_requested,
        )
        if stop_requested():
            raise KeyboardInterrupt
    write_history(folder, state)
    save_pretrained(folder / ENCODER_FILE, config.model_dump(mode="json"), corpus.encoder, network, corpus.rows)
    metrics = _describe(config, corpus, network, state)
    metrics["files"] = digests_of(folder, (VOCABULARY, HISTORY, ENCODER_FILE))
    write_json(folder / METRICS, metrics)
    return metrics


def _describe(config: PretrainingConfig, corpus: Corpus, network: Network, state: TrainingState) -> dict[str, Any]:
    """What was trained on what, how well it predicts held-out sequences, and how long it took."""
    best = next(entry for entry in state.history if entry["epoch"] == state.best_epoch + 1)
    held_out = {name.removeprefix("validation_"): value for name, value in best.items() if "validation_" in name}
    steps = len(corpus.train.sequences.values)
    return {
        "task": config.task,
        "data": {
            "name": corpus.name,
            "source": corpus.source,
            "digests": {"train": corpus.train.digest(), "validation": corpus.validation.digest()},
        },
        "model": {
            "cell": config.model.cell if config.training.objective == NEXT_STEP else "none",
            "engine": network.engine,
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
        },
        "training": {
            "seconds": round(state.seconds, 3),
            "epochs": state.epoch,
            "best_epoch": state.best_epoch + 1,
            "seconds_per_epoch": round(state.seconds / max(state.epoch, 1), 3),
        },
        "steps": steps,
        "tokens": None if corpus.counts is None else len(corpus.counts),
        "validation": {**held_out, "baseline_loss": baseline_loss(config, corpus)},
    }
