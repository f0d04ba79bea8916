"""One run of the engine: pull from the source, prepare, cut, admit, send, settle, tell.

A single task feeds; each chunk under way is a task of its own; the results come to whoever iterates in lists, one a
chunk, through a stream of bounded length. So a slow reader slows the sending, and that the reading of the source.

The run lives in a task of its own, not in a scope of the caller's: so it may be entered in one task and left in another, as a
fixture or an abandoned async generator does, and never cancels anybody but itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from ..errors import CustomVisionError, ItemError
from .admission import Admission
from .cancellation import raise_foreign_cancellation
from .chunker import Chunker, ChunkLimits
from .report import BatchReport, ItemResult, Progress, batch_error
from .settler import ErrorClassifier, Send, Settler
from .source import Groups, check_source, groups_of, known_length
from .work_item import (
    Done,
    Failed,
    Span,
    WorkItem,
    accounts_of,
    largest_memory,
    memory_of,
    settle,
    unsettled,
)

__all__ = ["BatchRun", "BatchSpec"]

T = TypeVar("T")
V = TypeVar("V")

_running_tasks: set[asyncio.Task[None]] = set()
"""The loop itself holds tasks weakly: a run that is abandoned is ended when the loop is, not torn apart by the collector."""
_FIRST_GROUP = 8
"""Items pulled at first, until it is known how much memory they hold: then more at a time, or fewer."""

Prepare = Callable[[int, Sequence[Any]], Awaitable[Sequence[WorkItem | ItemResult[Any, Any]]]]
"""Turns items (the first has the given index) into units (a :class:`Span` where they are alike), or into results where they can be
settled without being sent.
What it raises ends the run: an error that is about one item is to be that item's result."""


class BatchSpec:
    """What a run does with its items: the three functions, the limits of a chunk, and how much may be under way.

    `held` bounds the memory of units twice: of those that wait in open chunks, and of those in the `chunks` that are under way.
    """

    def __init__(
        self,
        prepare: Prepare,
        send: Send,
        classify_error: ErrorClassifier,
        limits: ChunkLimits,
        *,
        chunks: int = 64,
        held: int = 64_000_000,
        linger: float = 1.0,
        on_chunk: Callable[[int, int, int, float], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress = progress or Progress()
        self.prepare = prepare
        self.send = send
        self.classify_error = classify_error
        self.limits = limits
        self.chunks = chunks
        self.held = held
        self.linger = linger
        self.on_chunk = on_chunk


class BatchRun(Generic[T, V]):
    """A batch under way, of any number of items.

    ``await run`` goes to the end and gives the :class:`BatchReport`; it raises :class:`~customvision_async.BatchError` (with `.report`)
    if any item failed. ``async with run`` starts it and lets you see each :class:`ItemResult` as it settles
    (``async for result in run``); then nothing is raised for items. Leaving the block early cancels what is under way
    and leaves nothing behind. A run goes once.

    `progress` (:class:`~customvision_async.Progress`) has the figures of the moment, for whoever wants to look, from any task:
    ``run.progress.done``, `.total`, `.rate`, `.bytes_sent`, ... `report` has those of the end, also after leaving early.

    An error of the source stops the feeding: what is in flight still lands, then that error comes up as it is. So does an
    error after which nothing can land (a refused key, a project that is gone) when the run is watched; awaited, it is the cause of the
    BatchError, whose report tells what landed before.

    Raises:
        TypeError: the source cannot be iterated over, or is a single thing where many are meant.
    """

    def __init__(self, source: Any, job: BatchSpec) -> None:
        check_source(source)
        self._job = job
        self._source = source
        self.progress = job.progress
        self.progress.total = known_length(source)
        self._chunker = Chunker(job.limits, held=job.held)
        self._settler = Settler(job.send, job.classify_error, job.limits)
        self._preparing: tuple[int, Sequence[Any]] = (0, ())
        self._under_way: dict[int, Sequence[WorkItem]] = {}
        self._failures: list[ItemResult[T, V]] = []
        self._skips: list[ItemResult[T, V]] = []
        self._abort_cause: Exception | None = None
        self._watched = False
        self._ready: deque[ItemResult[T, V]] = deque()
        self._results: MemoryObjectReceiveStream[Sequence[ItemResult[T, V]]] | None = None
        self._life: asyncio.Task[None] | None = None
        self._started = False

    # --- the two ways to use it

    def __await__(self) -> Generator[Any, None, BatchReport]:
        return self._to_the_end().__await__()

    async def _to_the_end(self) -> BatchReport:
        await self._start(watched=False)
        try:
            assert self._results is not None
            async for _ in self._results:  # nothing is sent unless watched: this waits for the end
                pass
        except BaseException:
            await self._stop()
            raise
        await self._stop()
        report = self.report
        if self._abort_cause is not None and (self._settler.fatal is None or not report.failed):
            raise self._abort_cause
        if report.failed:
            raise batch_error(report) from self._abort_cause
        return report

    async def __aenter__(self) -> BatchRun[T, V]:
        await self._start(watched=True)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    def __aiter__(self) -> AsyncIterator[ItemResult[T, V]]:
        if not self._watched:
            raise RuntimeError("iterate over a run inside 'async with run:', or await it")
        return self

    async def __anext__(self) -> ItemResult[T, V]:
        while not self._ready:
            assert self._results is not None
            try:
                self._ready.extend(await self._results.receive())
            except (anyio.EndOfStream, anyio.ClosedResourceError):
                if self._abort_cause is not None:
                    raise self._abort_cause from None
                raise StopAsyncIteration from None
        return self._ready.popleft()

    @property
    def report(self) -> BatchReport:
        """The account as it stands; whole once the run has ended."""
        progress = self.progress
        waiting = [
            unit
            for chunk in (*self._under_way.values(), self._chunker.waiting_units())
            for unit in unsettled(chunk)
        ]
        pending = [(unit.index, unit.item) for unit in waiting]
        pending += enumerate(self._preparing[1], self._preparing[0])
        return BatchReport(
            submitted=progress.submitted,
            succeeded=progress.succeeded,
            failed=progress.failed,
            skipped=progress.skipped,
            pending=progress.pending,
            duplicates=progress.duplicates,
            in_doubt=progress.in_doubt,
            requests=progress.requests,
            retries=progress.retries,
            bytes_sent=progress.bytes_sent,
            seconds=progress.seconds,
            failures=tuple(self._failures),
            skipped_items=tuple(self._skips),
            pending_items=tuple(sorted(pending, key=lambda pair: pair[0])),
            abort_cause=self._abort_cause,
        )

    # --- its life

    async def _start(self, *, watched: bool) -> None:
        if self._started:
            raise RuntimeError("a run goes once: make another from a fresh source")
        self._started, self._watched = True, watched
        self.progress.start()
        give: MemoryObjectSendStream[Sequence[ItemResult[T, V]]]
        give, self._results = anyio.create_memory_object_stream[Sequence[ItemResult[T, V]]](
            self._job.chunks
        )
        self._life = asyncio.ensure_future(self._feed_and_land(give))
        _running_tasks.add(self._life)
        self._life.add_done_callback(_running_tasks.discard)

    async def _stop(self) -> None:
        """End every task and close the streams. After the natural end there is nothing to cancel.

        Who is cancelled a second time meanwhile does not wait any longer; the tasks end all the same.
        """
        life, self._life = self._life, None
        if life is None:
            return
        self._settler.over = True
        life.cancel()
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait([life])
        finally:
            self.progress.end()
            if self._results is not None:
                self._results.close()
        if not life.cancelled():
            life.result()  # an error of the engine itself

    async def _feed_and_land(
        self, give: MemoryObjectSendStream[Sequence[ItemResult[T, V]]]
    ) -> None:
        with give:
            async with (
                asyncio.TaskGroup() as chunks
            ):  # a third of the cost of anyio's, which at 200 ids a chunk is to be seen
                await self._feed(chunks, give)
            self.progress.end()

    async def _feed(
        self, tasks: asyncio.TaskGroup, give: MemoryObjectSendStream[Sequence[ItemResult[T, V]]]
    ) -> None:
        admission = Admission(chunks=self._job.chunks, held=self._job.held)

        async def send_all(chunks: Sequence[Sequence[WorkItem]]) -> None:
            for chunk in chunks:
                held = memory_of(chunk)
                await admission.enter(held)
                tasks.create_task(self._land(chunk, held, admission, give))

        try:
            with raise_foreign_cancellation("the source"):
                source = groups_of(self._source)
        except Exception as error:  # noqa: BLE001 - the source's own
            self._abort_cause = error
            return
        self._settler.on_fatal = source.interrupt
        try:
            await self._pull(source, send_all, give)
        finally:
            with anyio.CancelScope(shield=True):
                await self._close_source(source)
        self._settler.raise_if_cancelled()
        await send_all(self._flushed())

    async def _close_source(self, source: Groups) -> None:
        try:
            with raise_foreign_cancellation("the source"):
                await source.aclose()
        except Exception as error:  # noqa: BLE001 - the source's own: what is in flight still lands
            if self._abort_cause is None:
                self._abort_cause = error

    async def _pull(
        self,
        source: Groups,
        send_all: Callable[[Sequence[Sequence[WorkItem]]], Awaitable[None]],
        give: MemoryObjectSendStream[Sequence[ItemResult[T, V]]],
    ) -> None:
        most, linger = self._job.limits.count, self._job.linger
        count = min(most, _FIRST_GROUP)
        waited = 0.0  # how long the source has kept units in open chunks waiting
        while self._settler.fatal is None:
            began = anyio.current_time()
            try:
                items = await source.next_group(
                    count, max(0.0, linger - waited) if self._chunker.waiting else None
                )
            except StopAsyncIteration:
                return
            except Exception as error:  # noqa: BLE001 - the source's own: what is in flight still lands
                self._abort_cause = error
                return
            waited = waited + anyio.current_time() - began if self._chunker.waiting else 0.0
            if not items:  # the source is slow: do not let those that wait, wait for it
                waited = 0.0
                await send_all(self._flushed())
                continue
            prepared = await self._prepared(items)
            units, results = _partition(prepared)
            chunks = self._feed_chunker(units)
            self._count(results)
            self._preparing = (0, ())
            self._settler.raise_if_cancelled()
            if results and self._watched:
                await give.send(results)
            await send_all(chunks)
            largest = largest_memory(units)
            count = min(
                most, 2 * count, max(1, self._job.held // 4 // largest) if largest else most
            )
        self._abort_cause = self._abort_cause or self._settler.fatal

    def _feed_chunker(self, units: Sequence[WorkItem]) -> list[Sequence[WorkItem]]:
        """The chunks that `units` make full, which are under way from here on: at any moment each unit stands in just one place."""
        return self._mark_in_flight(self._chunker.feed(units))

    def _flushed(self) -> list[Sequence[WorkItem]]:
        return self._mark_in_flight(self._chunker.flush())

    def _mark_in_flight(self, chunks: list[Sequence[WorkItem]]) -> list[Sequence[WorkItem]]:
        self._under_way.update((id(chunk), chunk) for chunk in chunks)
        return chunks

    async def _prepared(self, items: Sequence[Any]) -> Sequence[WorkItem | ItemResult[T, V]]:
        progress = self.progress
        start = progress.submitted
        self._preparing = (start, items)
        progress.submitted += len(items)
        if progress.total is not None and progress.submitted > progress.total:
            progress.total = None
        try:
            with raise_foreign_cancellation("what prepares the items"):
                return await self._job.prepare(start, items)
        except Exception as error:  # noqa: BLE001 - what is not about one item is about them all, and the next ones too
            failure = self._settler.give_up(error)
            return [
                self._result(WorkItem(start + n, item, None), failure)
                for n, item in enumerate(items)
            ]

    async def _land(
        self,
        chunk: Sequence[WorkItem],
        held: int,
        admission: Admission,
        give: MemoryObjectSendStream[Sequence[ItemResult[T, V]]],
    ) -> None:
        began, failed = anyio.current_time(), 0
        try:
            async with aclosing(self._settler.settle(chunk)) as settling:
                async for units, outcomes in settling:
                    failed -= self.progress.failed
                    results = self._settled(units, outcomes)
                    failed += self.progress.failed
                    if self._watched and not self._settler.over:
                        await give.send(results)
        finally:
            admission.leave(held)
        del self._under_way[id(chunk)]
        self._abort_cause = self._abort_cause or self._settler.fatal
        if self._job.on_chunk is not None:
            self._job.on_chunk(
                len(chunk), len(chunk) - failed, failed, anyio.current_time() - began
            )

    # --- the account

    def _settled(
        self, units: Sequence[WorkItem], outcomes: Sequence[Done | Failed]
    ) -> list[ItemResult[T, V]]:
        """Enter the outcomes in the account, at the same step as their units cease to be unsettled.

        Gives the results. Of what landed there are none in a run that nobody watches: it is only counted.
        """
        settle(units)
        if set(map(type, outcomes)) == {Done}:  # as it is for most
            return self._landed(units, cast("Sequence[Done]", outcomes))
        done = [
            (unit, outcome)
            for unit, outcome in zip(units, outcomes, strict=True)
            if isinstance(outcome, Done)
        ]
        results = [
            self._result(unit, outcome)
            for unit, outcome in zip(units, outcomes, strict=True)
            if isinstance(outcome, Failed)
        ]
        self._count(results)
        return results + self._landed([unit for unit, _ in done], [outcome for _, outcome in done])

    def _landed(
        self, units: Sequence[WorkItem], outcomes: Sequence[Done]
    ) -> list[ItemResult[T, V]]:
        progress = self.progress
        progress.succeeded += len(outcomes)
        progress.duplicates += sum([was.duplicate for was in outcomes])
        if not (isinstance(units, Span) and units.whole):
            progress.in_doubt += sum([unit.in_doubt for unit in units])
        if not self._watched:
            return []
        return [
            ItemResult(
                index, item, True, was.status, was.value, None, attempts, was.duplicate, in_doubt
            )
            for (index, item, attempts, in_doubt), was in zip(
                accounts_of(units), outcomes, strict=True
            )
        ]

    def _count(self, results: Sequence[ItemResult[T, V]]) -> None:
        progress = self.progress
        for result in results:
            if result.ok:
                progress.succeeded += 1
            elif result.skipped:
                progress.skipped += 1
                self._skips.append(result)
            else:
                progress.failed += 1
                self._failures.append(result)
            progress.duplicates += result.duplicate
            progress.in_doubt += result.in_doubt

    @staticmethod
    def _result(unit: WorkItem, failed: Failed) -> ItemResult[T, V]:
        error = ItemError(failed.reason, index=unit.index, item=unit.item, status=failed.status)
        error.__cause__ = failed.cause
        if isinstance(failed.cause, CustomVisionError):
            failed.cause.__traceback__ = (
                None  # it is kept as long as the report, and so would be all that those frames hold
            )
        return ItemResult(
            unit.index,
            unit.item,
            False,
            failed.status,
            failed.value,
            error,
            unit.attempts,
            False,
            unit.in_doubt,
        )


def _partition(
    prepared: Sequence[WorkItem | ItemResult[T, V]],
) -> tuple[Sequence[WorkItem], list[ItemResult[T, V]]]:
    """What is to be sent, and what has its result already."""
    if isinstance(prepared, Span):
        return prepared, []
    units = [one for one in prepared if isinstance(one, WorkItem)]
    return units, [one for one in prepared if isinstance(one, ItemResult)] if len(units) < len(
        prepared
    ) else []
