"""Requests that arrive together are answered together, by a single thread.

While one batch is computed, the next one fills. An answer depends on its own sequence alone, so batches are invisible.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple

from ostinato.errors import OstinatoError
from ostinato.serving.faults import ServiceError
from ostinato.serving.settings import Limits

MOST_OTHERS = 8  # explanations and traces that wait for the thread
RETRY = {"Retry-After": "1"}

Answers = list[Any]  # for each row what `answer` gives, or the OstinatoError that prevented it


class InferenceThread:
    """The one thread that runs networks: PyTorch's and the kernel's threads serve one computation at a time."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="inference")
        self._others = 0

    async def run(self, function: Callable[[], Any]) -> Any:
        """Call a function on the thread, after all that wait for it already."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, function)

    async def run_other(self, function: Callable[[], Any]) -> Any:
        """As `run`, for what takes long: at most `MOST_OTHERS` wait.

        Raises:
            ServiceError: 429, too many wait.
        """
        if self._others >= MOST_OTHERS:
            raise ServiceError(
                429, f"{self._others} explanations are waiting, the most allowed. Try again later.", RETRY
            )
        self._others += 1
        try:
            return await self.run(function)
        finally:
            self._others -= 1

    def close(self) -> None:
        """Finish what runs, and drop the rest."""
        self._executor.shutdown(wait=True, cancel_futures=True)


class Job:
    """The rows of one request, and their answers as they come."""

    def __init__(self, rows: Sequence[Any]) -> None:
        self.rows = rows
        self.answers: Answers = [None] * len(rows)
        self.missing = len(rows)
        self.done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()

    def answer(self, number: int, answer: Any) -> None:
        """Note the answer to one row."""
        self.answers[number] = answer
        self.missing -= 1
        if not self.missing and not self.done.done():
            self.done.set_result(self.answers)


class Waiting(NamedTuple):
    """One row of a job that waits for its answer."""

    job: Job
    number: int


class Batcher:
    """The queue of one model.

    Args:
        answer: answers rows together; on the inference thread.
        thread: runs `answer`.
        limits: sizes of batch and queue.
        observe: called with the size of each batch.
    """

    def __init__(
        self,
        answer: Callable[[list[Any]], Answers],
        thread: InferenceThread,
        limits: Limits,
        observe: Callable[[int], None],
    ) -> None:
        self._answer, self._thread, self._limits, self._observe = answer, thread, limits, observe
        self._waiting: deque[Waiting] = deque()
        self._full = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """The rows that wait."""
        return len(self._waiting)

    def refuse_many(self, count: int) -> None:
        """Refuse more rows than the queue ever takes.

        Raises:
            ServiceError: 422.
        """
        most = self._limits.max_queue
        if count > most:
            raise ServiceError(422, f"{count} inputs in one request. Send at most {most} (--max-queue).")

    async def submit(self, rows: Sequence[Any]) -> Answers:
        """The answers to rows, in order; an `OstinatoError` in place of one that there is none for.

        Raises:
            ServiceError: 422, the rows would never fit into the queue; 429, they do not fit now.
        """
        self.refuse_many(len(rows))
        if len(self._waiting) + len(rows) > self._limits.max_queue:
            raise ServiceError(429, f"The queue is full: {len(self._waiting)} inputs wait. Try again later.", RETRY)
        job = Job(rows)
        self._waiting.extend(Waiting(job, number) for number in range(len(rows)))
        if len(self._waiting) >= self._limits.max_batch_size:
            self._full.set()
        if self._runner is None or self._runner.done():
            self._runner = asyncio.create_task(self._run())
        return await job.done

    async def _run(self) -> None:
        """Answer batches until nothing waits."""
        while self._waiting:
            await self._fill()
            batch = self._take()
            if not batch:  # all were given up
                continue
            self._observe(len(batch))
            rows = [each.job.rows[each.number] for each in batch]
            computed = asyncio.ensure_future(self._thread.run(partial(answer_each, self._answer, rows)))
            await asyncio.wait([computed])
            self._finish(batch, computed)

    async def _fill(self) -> None:
        """Wait for a full batch, at most as long as the limits say."""
        if self._limits.max_batch_wait_ms and len(self._waiting) < self._limits.max_batch_size:
            self._full.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._full.wait(), self._limits.max_batch_wait_ms / 1000)

    def _take(self) -> list[Waiting]:
        batch: list[Waiting] = []
        while self._waiting and len(batch) < self._limits.max_batch_size:
            first = self._waiting.popleft()
            if not first.job.done.done():  # else its client has left, or its time is up
                batch.append(first)
        return batch

    def _finish(self, batch: list[Waiting], computed: "asyncio.Future[Answers]") -> None:
        error = computed.exception()
        if error is None:
            for each, answer in zip(batch, computed.result(), strict=True):
                each.job.answer(each.number, answer)
            return
        for each in batch:
            if not each.job.done.done():
                each.job.done.set_exception(error)


def answer_each(answer: Callable[[list[Any]], Answers], rows: list[Any]) -> Answers:
    """Answer rows together, or one by one where one of them spoils the batch."""
    try:
        return answer(rows)
    except OstinatoError as error:
        if len(rows) == 1:
            return [error]
    return [answer_each(answer, [row])[0] for row in rows]
