"""The training loop.

All randomness comes from `config.seed`; batch order and dropout resume exactly at a checkpoint, so that on a CPU an
interrupted and resumed training ends with the same bits as an uninterrupted one. Several ranks take the steps of one,
up to rounding; dropout differs, since each rank draws its own.
"""

import math
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ostinato.config import TrainingConfig
from ostinato.data.sampler import BucketSampler
from ostinato.errors import TrainingError
from ostinato.nn.threads import few_threads, flush_denormals
from ostinato.progress import Progress
from ostinato.training.averaging import WeightAverage
from ostinato.training.checkpoint import TRAINING_TABLE, Checkpointer, TrainingState
from ostinato.training.device import choose_device
from ostinato.training.objective import AnyNetwork, Data, Examples, Objective
from ostinato.training.optimizer import AdamW, make_optimizer, set_learning_rate
from ostinato.training.ranks import ALONE, Ranks
from ostinato.training.regularisation import training_loss


def train(
    model: AnyNetwork,
    data: Data,
    validation: Data | None,
    config: TrainingConfig,
    *,
    objective: Objective[AnyNetwork, Data],
    folder: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    ranks: Ranks = ALONE,
    spent_s: float = 0.0,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    stop_requested: Callable[[], bool] = lambda: False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> TrainingState:
    """Train `model` in place; it ends with the weights of its best epoch, or of the last without `validation`.

    Epoch 0, without training, is one of them if `model.starts_fitted`. A model that `is_linear` has only this one.

    Args:
        objective: the task's loss and validation metrics.
        folder: where `last.safetensors` and `best.safetensors` are saved; training resumes from them.
        identity: what must be equal for the training to resume, apart from its data and settings.
        ranks: the processes that train the model together, each with the same arguments; rank 0 alone has a `folder`.
        spent_s: seconds that a fresh training has taken already.
        on_epoch: called after each epoch.
        stop_requested: called after each step and epoch; if true, writes a checkpoint and raises KeyboardInterrupt.
        out_of_time: called after each step once an epoch has been judged; if true, training is finished, as after
            `patience` epochs without improvement.

    Raises:
        TrainingError: the loss or the gradient is not finite; names epoch and batch.
        RunError: a checkpoint does not fit this training, or cannot be written.
    """
    device = choose_device(config.device)
    model.to(device)
    torch.manual_seed((config.seed + ranks.rank) % 2**63)
    optimizer = make_optimizer(model, config)
    average = WeightAverage(model, config)
    prints = {**fingerprints(data, validation, config), **(identity or {})}
    checkpointer = Checkpointer(folder, prints, model, optimizer, average.weights, ranks)
    state = checkpointer.restore()
    sampler = BucketSampler(
        data.lengths,
        batch_size=config.batch_size,
        max_tokens=config.max_tokens,
        seed=config.seed,
        world_size=checkpointer.planned_ranks,
    )
    state.seconds = state.seconds or spent_s
    progress = progress or Progress(quiet=True)
    started = time.monotonic() - state.seconds

    tokens = int(data.lengths.sum()) / max(1, sampler.num_batches(0))
    with few_threads(model, tokens=tokens), progress.training(config.max_epochs, state.epoch):
        if model.starts_fitted and state.best is None:
            begin(state, config, model, data, validation, objective, checkpointer, sampler)
            on_epoch(state)
        while not state.finished:
            model.train()
            model.embed.requires_grad_(not is_frozen(config, state.epoch))
            num_batches = sampler.num_batches(state.epoch)
            batches = sampler.batches(state.epoch, start=state.batch)
            while chosen := list(islice(batches, config.gradient_accumulation_steps)):
                parts = [part for part in map(ranks.part_of, chosen) if len(part)]
                group = [data.at(part, device) for part in parts]
                state.batch += len(chosen)
                with flush_denormals():
                    take_step(model, group, objective, config, optimizer, state, num_batches, ranks)
                    average.after_step(state.step)
                state.seconds = time.monotonic() - started
                progress.step(
                    state.batch / num_batches,
                    sum(int(data.lengths[indices].sum()) for indices in chosen),
                    state.loss_sum / state.weight_sum,
                )
                stop, is_over, is_due = ranks.any(
                    stop_requested(),
                    bool(state.history) and out_of_time(),
                    checkpointer.seconds_since_last() > config.checkpoint_every_s,
                )
                if stop or is_due:
                    checkpointer.save_last(state)
                if stop:
                    raise KeyboardInterrupt
                if is_over:
                    state.finished = True
                    break
            if state.finished:  # in the middle of an epoch
                checkpointer.save_last(state)
                break
            with average.after_epoch(state.epoch):
                end_epoch(state, config, model, validation, objective, checkpointer)
            state.seconds = time.monotonic() - started
            progress.epoch()
            checkpointer.save_last(state)
            on_epoch(state)
            if any(ranks.any(stop_requested())):
                raise KeyboardInterrupt
    model.embed.requires_grad_(True)
    checkpointer.load_best(state.best_epoch)
    return state


def take_step(
    model: AnyNetwork,
    group: list[Data],
    objective: Objective[AnyNetwork, Data],
    config: TrainingConfig,
    optimizer: AdamW,
    state: TrainingState,
    num_batches: int,
    ranks: Ranks,
) -> None:
    """One optimizer step on this rank's part of a group of batches; `num_batches` is that of the whole epoch."""
    loss, weight = backward(model, group, objective, config, ranks)
    set_learning_rate(optimizer, config, (state.epoch + state.batch / num_batches) / config.max_epochs)
    refuse_infinite(loss, optimizer.update(config.max_grad_norm), state, config)
    for table in optimizer.param_groups:  # model.parameters() is slow
        for each in table["params"]:
            each.grad = None
    state.step += 1
    state.loss_sum += loss * weight
    state.weight_sum += weight


def is_frozen(config: TrainingConfig, epoch: int) -> bool:
    """Whether the tokens' vectors are not trained in an epoch, counted from 0."""
    frozen = config.freeze_vectors
    return frozen == "always" or (isinstance(frozen, int) and epoch < frozen)


def fingerprints(data: Examples, validation: Examples | None, config: TrainingConfig) -> dict[str, Any]:
    """What must be equal for a training to resume."""
    return {
        "training data": data.digest(),
        "validation data": validation.digest() if validation is not None else "none",
        TRAINING_TABLE: config.model_dump(mode="json", exclude={"device", "checkpoint_every_s"}),
    }


def backward(
    model: AnyNetwork,
    group: list[Data],
    objective: Objective[AnyNetwork, Data],
    config: TrainingConfig,
    ranks: Ranks = ALONE,
) -> tuple[float, float]:
    """Accumulate the gradient of one step's loss, the mean over the examples of its batches on all ranks.

    Returns:
        The loss and the examples' weight.
    """
    (weight,) = ranks.total(sum(map(objective.weight, group)))
    total = 0.0
    for batch in group:
        # summed, then divided by the weight of the whole group: a smaller last batch counts less
        loss = training_loss(model, batch, objective, config) / weight
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return ranks.add_gradients(model.parameters(), total), weight


def refuse_infinite(loss: float, norm: float, state: TrainingState, config: TrainingConfig) -> None:
    """Raise if the loss or the gradient is NaN or infinite; an infinite gradient has changed no weight."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise TrainingError(
            f"Epoch {state.epoch + 1}, batch {state.batch}: the loss is {loss:g} and the gradient's norm {norm:g}. "
            f"Lower training.lr (now {config.lr:g}), or set training.max_grad_norm (now "
            f"{config.max_grad_norm or 'none'})."
        )


def end_epoch(
    state: TrainingState,
    config: TrainingConfig,
    model: AnyNetwork,
    validation: Data | None,
    objective: Objective[AnyNetwork, Data],
    checkpointer: Checkpointer,
) -> None:
    """Validate, save the weights if they are the best so far, and decide whether training is finished."""
    judge(state, state.epoch, state.loss_sum / state.weight_sum, config, model, validation, objective, checkpointer)
    waited = state.epoch - state.best_epoch
    state.epoch, state.batch, state.loss_sum, state.weight_sum = state.epoch + 1, 0, 0.0, 0.0
    out_of_patience = validation is not None and config.patience is not None and waited >= config.patience
    state.finished = state.epoch >= config.max_epochs or out_of_patience


def begin(
    state: TrainingState,
    config: TrainingConfig,
    model: AnyNetwork,
    data: Data,
    validation: Data | None,
    objective: Objective[AnyNetwork, Data],
    checkpointer: Checkpointer,
    sampler: BucketSampler,
) -> None:
    """Judge the weights that a training starts from, and save them."""
    loss, weight, ranks = 0.0, 0.0, checkpointer.ranks
    with torch.no_grad():
        for indices in filter(len, map(ranks.part_of, sampler.batches(0))):
            batch = data.at(indices, model.device)
            loss += objective.loss(model, batch, config).item()
            weight += objective.weight(batch)
    loss, weight = ranks.total(loss, weight)
    judge(state, -1, loss / weight, config, model, validation, objective, checkpointer)
    state.finished = model.is_linear
    checkpointer.save_last(state)


def judge(
    state: TrainingState,
    epoch: int,
    train_loss: float,
    config: TrainingConfig,
    model: AnyNetwork,
    validation: Data | None,
    objective: Objective[AnyNetwork, Data],
    checkpointer: Checkpointer,
) -> None:
    """Add an epoch, counted from 0, to the history, and save its weights if they are the best so far."""
    entry: dict[str, Any] = {"epoch": epoch + 1, "step": state.step, "train_loss": train_loss}
    score = float(epoch)  # without validation the latest epoch is the best
    if validation is not None:
        ranks = checkpointer.ranks
        figures = ranks.share(objective.metrics(model, validation, ranks))
        entry |= {f"validation_{name}": value for name, value in figures.items()}
        score = -figures[config.monitor] if config.minimises else figures[config.monitor]
    state.history.append(entry | {"seconds": round(state.seconds, 3)})
    if state.best is None or score > state.best:
        state.best, state.best_epoch = score, epoch
        checkpointer.save_best(epoch)
