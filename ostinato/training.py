"""The training loop, in plain sight.

Randomness comes from `config.seed` alone; order and dropout resume exactly where a checkpoint was taken, so on a
CPU a killed and resumed training ends with the bits of an uninterrupted one.
"""

import hashlib
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ostinato.checkpoint import Keeper, TrainingState
from ostinato.config import TrainingConfig
from ostinato.data.ragged import Ragged
from ostinato.data.sampler import BucketSampler
from ostinato.errors import ConfigError, TrainingError
from ostinato.evaluation.metrics import epoch_metrics
from ostinato.models import Classifier, few_threads, predict_logits
from ostinato.progress import Progress


class Labelled(NamedTuple):
    """Encoded sequences and their label indices (B,)."""

    sequences: Ragged
    targets: Tensor

    def digest(self) -> str:
        """SHA-256 of sequences and labels."""
        return hashlib.sha256(self.sequences.digest().encode() + self.targets.numpy().tobytes()).hexdigest()


def train(
    model: Classifier,
    data: Labelled,
    validation: Labelled | None,
    config: TrainingConfig,
    *,
    class_weight: Tensor | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    on_epoch: Callable[[TrainingState], None] = lambda state: None,
    stop_requested: Callable[[], bool] = lambda: False,
) -> TrainingState:
    """Fit `model` in place; it ends with the weights of its best epoch, or of the last without `validation`.

    Args:
        class_weight: (C,) weight of each class in the loss.
        folder: where `last.safetensors` and `best.safetensors` are kept; training goes on from what is there.
        on_epoch: called after each epoch.
        stop_requested: asked after each step and each epoch; when true, a checkpoint is written and KeyboardInterrupt raised.

    Raises:
        TrainingError: the loss or the gradient is not finite; names epoch and batch.
        RunError: a checkpoint does not fit this training, or cannot be written.
    """
    device = choose_device(config.device)
    model.to(device)
    torch.manual_seed(config.seed)
    sampler = BucketSampler(data.sequences.lengths, batch_size=config.batch_size, max_tokens=config.max_tokens, seed=config.seed)
    optimizer = make_optimizer(model, config)
    average = {name: tensor.clone() for name, tensor in model.state_dict().items()} if config.ema_decay else None
    parameters = list(model.parameters())
    keeper = Keeper(folder, fingerprints(data, validation, config), model, optimizer, average)
    state = keeper.restore()
    class_weight = None if class_weight is None else class_weight.to(device)
    progress = progress or Progress(quiet=True)
    started, saved = time.monotonic() - state.seconds, time.monotonic()

    with few_threads(model), progress.training(config.max_epochs, state.epoch):
        while not state.finished:
            model.train()
            num_batches = sampler.num_batches(state.epoch)
            batches = sampler.batches(state.epoch, start=state.batch)
            while group := [data_at(data, indices, device) for indices in islice(batches, config.accumulate)]:
                loss, weight = backward(model, group, class_weight, config)
                norm = clip(parameters, config.clip_norm)
                refuse_broken(loss, norm, state, config)
                state.batch += len(group)
                set_learning_rate(optimizer, config, (state.epoch + state.batch / num_batches) / config.max_epochs)
                optimizer.step()
                optimizer.zero_grad()
                state.step += 1
                if average is not None:
                    update_average(average, model, config.ema_decay or 0.0, state.step)
                state.loss_sum += loss * weight
                state.weight_sum += weight
                state.seconds = time.monotonic() - started
                progress.step(state.batch / num_batches, sum(len(sequences.values) for sequences, _ in group), state.loss_sum / state.weight_sum)
                if stop_requested():
                    keeper.save_last(state)
                    raise KeyboardInterrupt
                if time.monotonic() - saved > config.checkpoint_every_s:
                    keeper.save_last(state)
                    saved = time.monotonic()
            with swapped(model, average):
                end_epoch(state, config, model, validation, keeper)
            state.seconds = time.monotonic() - started
            progress.epoch()
            keeper.save_last(state)
            saved = time.monotonic()
            on_epoch(state)
            if stop_requested():
                raise KeyboardInterrupt
    keeper.load_best(state)
    return state


def fingerprints(data: Labelled, validation: Labelled | None, config: TrainingConfig) -> dict[str, str]:
    """What a resumed training must share with the one that was stopped."""
    prints = {"training data": data.digest(), "validation data": validation.digest() if validation is not None else "none"}
    return prints | {"table [training] of the config": config.model_dump_json(exclude={"device", "checkpoint_every_s"})}


def backward(model: Classifier, group: list[Labelled], class_weight: Tensor | None, config: TrainingConfig) -> tuple[float, float]:
    """Leave the gradient of one step's loss, the mean over the examples of all its batches; return loss and their weight."""
    weight = sum(len(targets) if class_weight is None else float(class_weight[targets].sum()) for _, targets in group)
    total = 0.0
    for sequences, targets in group:
        with autocast(sequences.values.device, config.precision):
            logits = model(sequences.values, sequences.lengths)
        # summed, then divided by the weight of the whole group: a smaller last batch counts as what it is
        loss = F.cross_entropy(logits.float(), targets, weight=class_weight, reduction="sum", label_smoothing=config.label_smoothing) / weight
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total, weight


def clip(parameters: list[nn.Parameter], limit: float | None) -> float:
    """Scale the gradients down to a norm of `limit` where they are above it; return their norm before."""
    norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if limit is not None and norm > limit:
        nn.utils.clip_grads_with_norm_(parameters, limit, norm)
    return float(norm)


def refuse_broken(loss: float, norm: float, state: TrainingState, config: TrainingConfig) -> None:
    """Stop before a step that would leave weights that are no numbers."""
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise TrainingError(
            f"Epoch {state.epoch + 1}, batch {state.batch + 1}: the loss is {loss:g} and the gradient's norm {norm:g}. "
            f"Lower training.lr (now {config.lr:g}), or set training.clip_norm (now {config.clip_norm or 'none'})."
        )


def end_epoch(state: TrainingState, config: TrainingConfig, model: Classifier, validation: Labelled | None, keeper: Keeper) -> None:
    """Validate, keep the weights when they are the best so far, and decide whether to go on."""
    entry: dict[str, Any] = {"epoch": state.epoch + 1, "step": state.step, "train_loss": state.loss_sum / state.weight_sum}
    score = float(state.epoch)  # without validation the latest epoch is the best
    if validation is not None:
        metrics = epoch_metrics(validation.targets.numpy(), predict_logits(model, validation.sequences).numpy())
        entry |= {f"validation_{name}": value for name, value in metrics.items()}
        score = -metrics["loss"] if config.monitor == "loss" else metrics[config.monitor]
    state.history.append(entry | {"seconds": round(state.seconds, 3)})
    if state.best is None or score > state.best:
        state.best, state.best_epoch = score, state.epoch
        keeper.save_best()
    waited = state.epoch - state.best_epoch
    state.epoch, state.batch, state.loss_sum, state.weight_sum = state.epoch + 1, 0, 0.0, 0.0
    out_of_patience = validation is not None and config.patience is not None and waited >= config.patience
    state.finished = state.epoch >= config.max_epochs or out_of_patience


def data_at(data: Labelled, indices: Tensor, device: torch.device) -> Labelled:
    return Labelled(data.sequences.select(indices).to(device), data.targets[indices].to(device))


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter 2019), fused; weight matrices decay, embeddings, biases and norms do not."""
    decaying: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        (decaying if parameter.dim() > 1 and not name.startswith(("embed", "position")) else others).append(parameter)
    groups = [{"params": decaying, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, fused=True)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrainingConfig, progress: float) -> None:
    """Rise in a straight line, then fall along half a cosine to a hundredth (Loshchilov & Hutter 2017), or stay.

    Args:
        progress: share of all steps done, from 0 to 1.
    """
    if progress < config.warmup:
        scale = progress / config.warmup
    elif config.schedule == "cosine":
        scale = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup)))
    else:
        scale = 1.0
    for group in optimizer.param_groups:
        group["lr"] = config.lr * scale


def update_average(average: dict[str, Tensor], model: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the weights, quicker over the first steps. Source: Polyak & Juditsky (1992)."""
    share = 1 - min(decay, (1 + step) / (10 + step))
    for name, tensor in model.state_dict().items():
        average[name].lerp_(tensor, share)


@contextmanager
def swapped(model: nn.Module, weights: dict[str, Tensor] | None) -> Iterator[None]:
    """The model with `weights` inside the block, and with its own after it."""
    if weights is None:
        yield
        return
    own = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    yield
    model.load_state_dict(own)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Run the model in bfloat16 where it helps: on GPUs that have it, or when asked."""
    helps = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    wanted = precision == "bfloat16" or (precision == "auto" and helps)
    return torch.autocast(device.type, torch.bfloat16) if wanted else nullcontext()


def choose_device(name: str) -> torch.device:
    """The device that `name` stands for; `auto` takes a CUDA GPU when there is one.

    Raises:
        ConfigError: the name is no device, or the device is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"Unknown device {name!r}. Choose from: auto, cpu, cuda, cuda:0, …") from None
    if device.type not in ("cpu", "cuda"):
        raise ConfigError(f"Device {name!r} is not supported. Choose from: auto, cpu, cuda, cuda:0, …")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(f"Device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} CUDA GPUs. Set training.device=cpu.")
    return device
