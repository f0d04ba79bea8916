"""The public class of a batch: start it, iterate over its results, or await its end.

A run has a task of its own, outside the caller's scope. It may therefore be entered in one task and
left in another, as happens in fixtures and abandoned async generators. It never cancels other
tasks.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterable, Coroutine, Generator, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self

import anyio

from .feeder import Feeder
from .outbox import Outbox
from .report import BatchReport, ItemResult, Progress, T, V, batch_error
from .source import check_source, known_length
from .spec import BatchSpec

__all__ = ["BatchRun"]

_running_tasks: set[asyncio.Task[None]] = set()
"""Hold strong references, so that an abandoned run is cancelled at loop shutdown, not
garbage-collected. The event loop itself only holds weak references."""

_NOT_WATCHED = "iterate over a run inside 'async with run:', or await it"


class BatchRun(Generic[T, V]):
    """A batch of any number of items.

    ``await run`` waits for the end and returns the :class:`BatchReport`. It raises
    :class:`~customvision_async.BatchError`, with `.report`, if an item failed.

    ``async with run`` starts the run, and ``async for result in run`` yields an :class:`ItemResult`
    for each item as it settles. Failed items then raise no error. Leaving the block early cancels
    the requests in flight. A run can be used once.

    Results are delivered one list per chunk through a bounded queue, so a slow consumer applies
    backpressure to the source. A timeout or cancellation around ``anext(run)`` loses no result: the
    next ``anext`` returns it. If the block was left early, iterating again yields the remaining
    results of items that had settled.

    An error of the source ends the reading. Chunks in flight settle, and then the error is raised
    unchanged. An error after which no item can succeed, such as a rejected key, is raised the same
    way while iterating. When the run is awaited, it is the cause of the BatchError.

    Attributes:
        progress: The current counts, a :class:`~customvision_async.Progress`. Any task may read it.

    Raises:
        TypeError: The source cannot be iterated over, or is a single item.
    """

    # In Python 3.11, tracemalloc knows where an object was created only if it has no __dict__.
    __slots__ = ("__weakref__", "_account", "_feeder", "_outbox", "_started", "_task", "progress")

    def __init__(self, source: Iterable[object] | AsyncIterable[object], spec: BatchSpec) -> None:
        # True until the source is accepted, so that a rejected run does not warn in __del__.
        self._started = True
        self._task: asyncio.Task[None] | None = None
        check_source(source)
        self.progress: Progress = spec.progress
        self.progress.total = known_length(source)
        self._outbox: Outbox[ItemResult[T, V]] = Outbox(
            spec.max_in_flight, RuntimeError(_NOT_WATCHED)
        )
        self._feeder: Feeder[T, V] = Feeder(source, spec, self._outbox)
        self._account = self._feeder.account
        self._started = False

    @property
    def report(self) -> BatchReport[T, V]:
        """The current report. It is complete once the run has ended."""
        return self._account.report()

    # --- awaited

    def __await__(self) -> Generator[object, None, BatchReport[T, V]]:
        return self._finish().__await__()

    async def _finish(self) -> BatchReport[T, V]:
        task = self._start(watched=False)
        try:
            await asyncio.wait([task])
        finally:
            await self._stop()
        report = self.report
        abort_cause, fatal = report.abort_cause, self._feeder.settler.fatal
        if abort_cause is not None and (fatal is None or not report.failed):
            raise abort_cause
        if report.failed:
            raise batch_error(report) from abort_cause
        return report

    # --- watched

    async def __aenter__(self) -> Self:
        self._start(watched=True)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stop()

    def __aiter__(self) -> Self:
        self._check_watched()
        return self

    def __anext__(self) -> Coroutine[object, object, ItemResult[T, V]]:
        # One coroutine per result, because there may be millions.
        return self._outbox.take()

    def _check_watched(self) -> None:
        if not self._account.watched:
            raise RuntimeError(_NOT_WATCHED)

    # --- its task

    def _start(self, *, watched: bool) -> asyncio.Task[None]:
        if self._started:
            raise RuntimeError("a run can be used once; create another from a new source")
        self._started, self._account.watched = True, watched
        if watched:
            self._outbox.open()
        self.progress.start()
        self._task = task = asyncio.ensure_future(self._feeder.run())
        _running_tasks.add(task)
        task.add_done_callback(_running_tasks.discard)
        # The task holds no reference to the run, so that an abandoned run is collected.
        outbox, account = self._outbox, self._account
        task.add_done_callback(lambda _: outbox.close(account.abort_cause))
        return task

    async def _stop(self) -> None:
        """Cancel all tasks, and wait until they have ended.

        A caller that is cancelled a second time stops waiting. The tasks still end.
        """
        task, self._task = self._task, None
        if task is None:
            return
        self._feeder.settler.cancelled = True
        task.cancel()
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
        finally:
            self.progress.end()
        if not task.cancelled():
            # Raise an error of the engine itself.
            task.result()

    def __del__(self) -> None:
        if not self._started:
            warnings.warn(
                f"{type(self).__name__} was never awaited: nothing was sent",
                RuntimeWarning,
                source=self,
                stacklevel=2,
            )
        elif self._task is not None:
            warnings.warn(f"Unclosed {self!r}", ResourceWarning, source=self, stacklevel=2)
            # The garbage collector may run in any thread, and after the loop was closed.
            with suppress(RuntimeError):
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
