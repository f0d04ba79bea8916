"""Pull items from the source, prepare them, and send them in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Iterable, Sequence
from contextlib import aclosing
from typing import Any, Generic, cast

import anyio

from ..errors import CustomVisionError, words_of
from .account import Account
from .admission import Admission
from .cancellation import raise_foreign_cancellation
from .chunker import Chunker
from .outbox import Outbox
from .report import ItemResult, T, V
from .settler import FailureAction, Settler
from .source import Groups, groups_of
from .spec import BatchSpec
from .work_item import Failed, WorkItem

__all__ = ["Feeder"]

_FIRST_GROUP = 8
"""Size of the first group. That of later groups depends on the memory of their items."""

Prepared = WorkItem | ItemResult[T, V]


class Feeder(Generic[T, V]):
    """Move the items of a source through a run. One task reads, and one task sends each chunk."""

    def __init__(
        self,
        source: Iterable[object] | AsyncIterable[object],
        spec: BatchSpec,
        outbox: Outbox[ItemResult[T, V]],
    ) -> None:
        self._source = source
        self._spec = spec
        self._outbox = outbox
        self._chunker = Chunker(spec.limits, max_memory=spec.max_memory)
        self._admission = Admission(max_in_flight=spec.max_in_flight, max_memory=spec.max_memory)
        self.settler = Settler(spec.send, spec.classify_error, spec.limits)
        self.account: Account[T, V] = Account(spec.progress, outbox, self._chunker.waiting_items)

    async def run(self) -> None:
        """Send all items of the source, and wait for their outcomes."""
        # asyncio's task group takes a third of the time of anyio's.
        async with asyncio.TaskGroup() as tasks:
            await self._feed(tasks)
        self._spec.progress.end()

    async def _feed(self, tasks: asyncio.TaskGroup) -> None:
        try:
            with raise_foreign_cancellation("the source"):
                source = groups_of(self._source)
        except Exception as error:  # noqa: BLE001  # an error of the source
            self.account.abort(error)
            return

        account = self.account

        def on_fatal(error: Exception) -> None:
            account.abort(error)
            source.interrupt()

        self.settler.on_fatal = on_fatal
        try:
            await self._pull(source, tasks)
        finally:
            with anyio.CancelScope(shield=True):
                await self._close_source(source)
        self.settler.raise_if_cancelled()
        if (fatal := self.settler.fatal) is not None:
            self.account.fail_unprepared(self.settler.give_up(fatal))
        await self._send_all(self._flush(), tasks)

    async def _close_source(self, source: Groups) -> None:
        try:
            with raise_foreign_cancellation("the source"):
                await source.aclose()
        except Exception as error:  # noqa: BLE001  # chunks in flight still settle
            self.account.abort(error)
        finally:
            self.account.add_unprepared(source.left)

    async def _pull(self, source: Groups, tasks: asyncio.TaskGroup) -> None:
        maximum, linger = self._spec.limits.count, self._spec.linger
        count = min(maximum, _FIRST_GROUP)
        # Seconds that work items in open chunks have waited for the source.
        waited = 0.0
        while self.settler.fatal is None:
            began = anyio.current_time()
            try:
                items = await source.next_group(
                    count, max(0.0, linger - waited) if self._chunker.waiting else None
                )
            except StopAsyncIteration:
                return
            except Exception as error:  # noqa: BLE001  # chunks in flight still settle
                self.account.abort(error)
                return
            waited = waited + anyio.current_time() - began if self._chunker.waiting else 0.0
            if not items:
                # The source is slow. Send the items that are waiting.
                waited = 0.0
                await self._send_all(self._flush(), tasks)
                continue
            largest = await self._feed_group(items, tasks)
            count = min(
                maximum,
                2 * count,
                max(1, self._spec.max_memory // 4 // largest) if largest else maximum,
            )

    async def _feed_group(self, items: Sequence[Any], tasks: asyncio.TaskGroup) -> int:
        """Prepare items and send the chunks that they fill.

        Return the memory in bytes of the largest work item.
        """
        prepared = await self._prepare(self.account.begin_preparing(items), items)
        work_items, results = _partition(prepared)
        chunks = self.account.mark_in_flight(self._chunker.feed(work_items))
        self.account.end_preparing(results)
        self.settler.raise_if_cancelled()
        if results:
            await self._outbox.room()
        await self._send_all(chunks, tasks)
        return max([work_item.memory for work_item in work_items], default=0)

    async def _prepare(self, start: int, items: Sequence[Any]) -> Sequence[Prepared[T, V]]:
        """Prepare a group. If that raises, prepare each item alone, so that a bad item fails alone.

        An error of this package, such as a failure to list the tags, would affect all items, so it
        ends the run.
        """
        try:
            with raise_foreign_cancellation("the preparation of the items"):
                return await self._spec.prepare(start, items)
        except Exception as error:  # noqa: BLE001  # an object of the caller may raise anything
            if (
                isinstance(error, CustomVisionError)
                or self._spec.classify_error(error) is FailureAction.FATAL
            ):
                return self.account.failed_results(start, items, self.settler.give_up(error))
            if len(items) == 1:
                failure = Failed(words_of(error), cause=error)
                return self.account.failed_results(start, items, failure)
        prepared: list[Prepared[T, V]] = []
        for index, item in enumerate(items, start):
            fatal = self.settler.fatal
            prepared += (
                await self._prepare(index, [item])
                if fatal is None
                else self.account.failed_results(index, [item], self.settler.give_up(fatal))
            )
        return prepared

    def _flush(self) -> list[Sequence[WorkItem]]:
        return self.account.mark_in_flight(self._chunker.flush())

    async def _send_all(
        self, chunks: Sequence[Sequence[WorkItem]], tasks: asyncio.TaskGroup
    ) -> None:
        """Start a task for each chunk, as the limits admit it."""
        for chunk in chunks:
            memory = sum([work_item.memory for work_item in chunk])
            await self._admission.enter(memory)
            tasks.create_task(self._send_chunk(chunk, memory))

    async def _send_chunk(self, chunk: Sequence[WorkItem], memory: int) -> None:
        began, failed = anyio.current_time(), 0
        progress, settler = self._spec.progress, self.settler
        try:
            async with aclosing(settler.settle(chunk)) as settling:
                async for work_items, outcomes in settling:
                    failed -= progress.failed
                    self.account.settle(chunk, work_items, outcomes)
                    failed += progress.failed
                    if not settler.cancelled:
                        await self._outbox.room()
        finally:
            self._admission.leave(memory)
        self.account.end_flight(chunk)
        if self._spec.on_chunk is not None:
            seconds = anyio.current_time() - began
            self._spec.on_chunk(len(chunk), len(chunk) - failed, failed, seconds)


def _partition(
    prepared: Sequence[Prepared[T, V]],
) -> tuple[Sequence[WorkItem], list[ItemResult[T, V]]]:
    """Separate work items from results."""
    # Fast path: most items can be sent.
    if set(map(type, prepared)) == {WorkItem}:
        return cast("Sequence[WorkItem]", prepared), []
    return (
        [one for one in prepared if isinstance(one, WorkItem)],
        [one for one in prepared if isinstance(one, ItemResult)],
    )
