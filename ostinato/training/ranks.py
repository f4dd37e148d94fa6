"""Data-parallel training: several processes, the ranks, divide each batch and add up their gradients.

The processes are started by torchrun, which tells each its number in the environment. Rank 0 alone writes files and
speaks to people. A step is that of one process with the whole batch, up to rounding: losses and gradients are sums,
divided by the weight of the examples of all ranks.

A rank that dies closes its connections, which ends the others at once. One that is stopped, or whose machine loses its
network, leaves them open: then the others end after `LONGEST_STEP`.
"""

import atexit
import re
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, distributed, nn

from ostinato.errors import ConfigError, LostRankError, TrainingError
from ostinato.versions import installed

LONGEST_WAIT = timedelta(hours=6)  # for a rank that prepares or fits alone
LONGEST_STEP = timedelta(minutes=10)  # for a rank that computes its part of a step or of a split
LARGE_TABLE = 4096  # rows from which it is worth finding those that have a gradient
MOST_RANKS_NAMED = 5  # in an error
SOURCE_LINE = re.compile(r"^\[[^]]*\] ")  # with which gloo starts its errors
VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """The processes that train one model together.

    Args:
        rank: the number of this process.
        size: how many there are.
        steps: a list of one, torch's process group for tensors, which no rank prepares for long; None: the default one.
    """

    rank: int = 0
    size: int = 1
    steps: Sequence[Any] = field(default=(None,), repr=False, compare=False)

    @property
    def is_first(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def part_of(self, indices: Tensor) -> Tensor:
        """The part of a batch that this rank computes.

        A batch is in order of length. The ranks take one index each, in their order and then in reverse, and so on, so
        that their lengths add up to about the same.
        """
        number = torch.arange(len(indices))
        turn, place = number // self.size, number % self.size
        return indices[torch.where(turn % 2 == 0, place, self.size - 1 - place) == self.rank]

    def total(self, *numbers: float) -> list[float]:
        """The sums of numbers over all ranks, the same on each."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64)
        with self._connected():
            distributed.all_reduce(sums, group=self.steps[0])
        found: list[float] = sums.tolist()
        return found

    def add(self, tensor: Tensor) -> Tensor:
        """The sum of a CPU tensor over all ranks, the same on each; the tensor may be overwritten."""
        if self.size > 1:
            with self._connected():
                distributed.all_reduce(tensor, group=self.steps[0])
        return tensor

    def any(self, *flags: bool) -> list[bool]:
        """For each flag, whether it is set on some rank."""
        return [count > 0 for count in self.total(*map(float, flags))]

    def add_gradients(self, parameters: Iterable[nn.Parameter], loss: float) -> float:
        """Replace each gradient by the sum over all ranks; what no rank has stays None. Returns the sum of the losses.

        Of a large table, such as the tokens' vectors, only the rows are exchanged that some rank has a gradient of.
        """
        if self.size == 1:
            return loss
        parameters = list(parameters)
        gradients = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        rows = self._rows_to_exchange(gradients)
        parts = [
            each if some is None else each.index_select(0, some) for each, some in zip(gradients, rows, strict=True)
        ]
        numbers = torch.tensor([*(float(each.grad is not None) for each in parameters), loss])
        flat = self.add(torch.cat([*(each.reshape(-1) for each in parts), numbers.to(gradients[0])]))
        *sums, numbers = torch.split(flat, [*(each.numel() for each in parts), len(numbers)])
        *counts, total = numbers.tolist()
        for parameter, gradient, some, part, found in zip(parameters, gradients, rows, sums, counts, strict=True):
            if some is None:
                gradient = part.view_as(gradient)
            else:
                gradient.index_copy_(0, some, part.view(len(some), gradient.shape[1]))
            parameter.grad = gradient if found else None
        return float(total)

    def _rows_to_exchange(self, gradients: Sequence[Tensor]) -> list[Tensor | None]:
        """The rows of each gradient that are not zero on some rank, the same on each; None: all of them."""
        is_table = [each.dim() == 2 and len(each) >= LARGE_TABLE for each in gradients]
        tables = [each for each, is_one in zip(gradients, is_table, strict=True) if is_one]
        if not tables:
            return [None] * len(gradients)
        # NaN is not 0
        used = torch.cat([each.amax(dim=1).ne(0) | each.amin(dim=1).ne(0) for each in tables]).to(torch.uint8)
        with self._connected():
            distributed.all_reduce(used, op=distributed.ReduceOp.MAX, group=self.steps[0])
        rows = (part.nonzero().squeeze(1) for part in torch.split(used, [len(each) for each in tables]))
        chosen = (some if len(some) < len(table) / 2 else None for some, table in zip(rows, tables, strict=True))
        return [next(chosen) if is_one else None for is_one in is_table]

    def share(self, value: Value) -> Value:
        """The value of rank 0, on every rank; the others' is ignored. It must be picklable."""
        if self.size == 1:
            return value
        box = [value]
        with self._connected():
            distributed.broadcast_object_list(box, src=0)
        return box[0]

    def copy_from_first(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        if self.size > 1:
            for each in tensors:
                with self._connected():
                    distributed.broadcast(each.detach(), src=0, group=self.steps[0])

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all ranks, in order; they must have one shape."""
        if self.size == 1:
            return [tensor]
        found = [torch.empty_like(tensor) for _ in range(self.size)]
        with self._connected():
            distributed.all_gather(found, tensor, group=self.steps[0])
        return found

    def collect(self, value: Value) -> list[Value]:
        """The values of all ranks, in order. They must be picklable."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with self._connected():
            distributed.all_gather_object(found, value)
        return found

    def agree(self, facts: Mapping[str, str], advice: str, problem: str | None = None) -> None:
        """End all ranks if one has a problem, or lacks a fact of rank 0.

        Rank 0 raises the error. The other processes end after it, with status 2 and without a message.

        Args:
            facts: by name.
            advice: what to do, a sentence.
            problem: what keeps this rank, not rank 0, from training, in sentences.

        Raises:
            TrainingError: names the ranks and what differs.
            SystemExit: this is another rank, and rank 0 has ended.
        """
        with self.led_by_first():
            found = self.collect(RankFacts(socket.gethostname(), dict(facts), problem))
        problems = _problems(found)
        if not problems:
            return
        with self.led_by_first():
            if self.is_first:
                raise TrainingError("\n".join(f"{each} {advice}" for each in problems))
            self.share(None)  # which fails when rank 0 has shown the error and ended

    @contextmanager
    def led_by_first(self) -> Iterator[None]:
        """End this process without a message if rank 0 ends meanwhile, whose own error says why."""
        try:
            yield
        except LostRankError:
            if self.is_first:
                raise
            raise SystemExit(2) from None

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Turn PyTorch's error for a lost connection into ours."""
        try:
            yield
        except RuntimeError as error:
            reason = SOURCE_LINE.sub("", str(error).splitlines()[0]).partition(". ")[0]
            raise LostRankError(
                f"Rank {self.rank} of {self.size} has lost its connection to another rank, which has ended or does not "
                f"answer ({reason}). torchrun names it on its machine. Continue from the last checkpoint with --resume."
            ) from None


ALONE = Ranks()


class RankFacts(NamedTuple):
    """What a rank knows about itself before training; see `Ranks.agree`."""

    host: str
    facts: dict[str, str]
    problem: str | None


def _problems(found: Sequence[RankFacts]) -> list[str]:
    """For each rank with a problem, or with other facts than rank 0, a sentence; at most `MOST_RANKS_NAMED` of them."""
    first, problems = found[0], []
    for rank, each in enumerate(found):
        differences = [
            f"{name} is {each.facts.get(name, 'missing')} instead of {value}"
            for name, value in first.facts.items()
            if each.facts.get(name) != value
        ]
        if each.problem is not None:
            problems.append(f"Rank {rank} ({each.host}): {each.problem}")
        elif differences:
            problems.append(f"Rank {rank} ({each.host}) differs from rank 0 ({first.host}): {'; '.join(differences)}.")
    return problems[:MOST_RANKS_NAMED]


@contextmanager
def joined_ranks(environment: Mapping[str, str]) -> Iterator[Ranks]:
    """Meet the other processes that torchrun has started, for as long as the context lasts.

    They exchange tensors on CPUs by gloo, and those on GPUs, of which each process of a machine takes its own, by NCCL.

    Args:
        environment: the variables of torchrun: RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT.

    If the context ends with an error, the connections stay open until the process ends, so that the others end after it
    has shown the error.

    Raises:
        ConfigError: a variable is missing.
        TrainingError: another rank has another version of Ostinato or PyTorch.
    """
    missing = [name for name in VARIABLES if not environment.get(name)]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {environment.get('WORLD_SIZE')}, but other variables of torchrun are missing: "
            f"{', '.join(missing)}. Start all ranks with torchrun, or unset WORLD_SIZE."
        )
    if torch.cuda.is_available():
        torch.cuda.set_device(int(environment["LOCAL_RANK"]) % torch.cuda.device_count())
    distributed.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=LONGEST_WAIT)
    steps = [distributed.new_group(timeout=LONGEST_STEP)]
    ranks = Ranks(int(environment["RANK"]), int(environment["WORLD_SIZE"]), steps)
    versions = {name: str(installed(name)).partition("+")[0] for name in ("ostinato", "torch")}

    def leave() -> None:
        steps.clear()  # with a reference left, its threads would run until Python ends, and abort the process
        distributed.destroy_process_group()

    try:
        ranks.agree(versions, "Install the same versions on all machines.")
        yield ranks
    except BaseException:
        atexit.register(leave)
        raise
    leave()
