"""A run of the batch engine over a fake service, for tests in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from customvision_async._batch.chunker import ChunkLimits
from customvision_async._batch.report import BatchReport, ItemResult
from customvision_async._batch.run import BatchRun
from customvision_async._batch.settler import FailureAction
from customvision_async._batch.spec import BatchSpec
from customvision_async._batch.work_item import Done, Outcome, WorkItem


class Poison(Exception):
    """One item of the chunk is bad."""


class TooLarge(Exception):
    """The chunk is too large."""


class Down(Exception):
    """The service fails."""


class Fatal(Exception):
    """No further request can succeed."""


class Lost(Exception):
    """This chunk fails for good."""


VERDICTS: dict[type[Exception], FailureAction] = {
    Poison: FailureAction.DIVIDE,
    TooLarge: FailureAction.TOO_LARGE,
    Down: FailureAction.DOWN,
    Fatal: FailureAction.FATAL,
    Lost: FailureAction.FINAL,
}


class FakeTransport:
    """A service that takes a second per chunk and lets `act` decide the outcomes."""

    def __init__(
        self,
        act: Callable[[list[Any]], Sequence[Outcome] | None] = lambda items: None,
        seconds: float = 1.0,
    ) -> None:
        self.act = act
        self.seconds = seconds
        self.sent: list[list[Any]] = []
        self.in_flight = self.most_in_flight = 0

    async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
        """Send one chunk."""
        items = [unit.item for unit in units]
        self.sent.append(items)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.seconds)
            outcomes = self.act(items)
            return [Done(value=item) for item in items] if outcomes is None else outcomes
        finally:
            self.in_flight -= 1


async def _plain(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
    return [WorkItem(start + n, item, None, 1) for n, item in enumerate(items)]


def batch(
    source: Any,
    service: FakeTransport,
    *,
    count: int = 10,
    size: int | None = None,
    max_in_flight: int = 4,
    max_memory: int = 1000,
    linger: float = 1.0,
    prepare: Callable[
        [int, Sequence[Any]], Awaitable[Sequence[WorkItem | ItemResult[Any, Any]]]
    ] = _plain,
    judges: dict[type[Exception], FailureAction] | None = None,
) -> BatchRun[Any, Any]:
    """Return a run over `source`."""
    known = VERDICTS | (judges or {})
    return BatchRun(
        source,
        BatchSpec(
            prepare,
            service.send,
            lambda error: known.get(type(error), FailureAction.DIVIDE),
            ChunkLimits(count, size),
            max_in_flight=max_in_flight,
            max_memory=max_memory,
            linger=linger,
        ),
    )


def account(one: BatchReport | Any) -> bool:
    """Return whether the counts of a report add up."""
    return bool(one.submitted == one.succeeded + one.failed + one.skipped + one.pending)


def no_tasks_left() -> bool:
    """Return whether the current task is the only one."""
    return asyncio.all_tasks() == {asyncio.current_task()}


async def awaited(one: BatchRun[Any, Any]) -> BatchReport:
    """Await a run and return its report. Check that no task is left."""
    report = await one
    assert no_tasks_left()
    return report


def poisoned(items: list[int], bad: set[int]) -> None:
    """Raise Poison, without naming the item, if the chunk holds a bad one."""
    if bad & set(items):
        raise Poison("bad request")


async def cancels_itself() -> None:
    """Raise CancelledError as if a shared task had been cancelled by another user of it."""
    shared = asyncio.ensure_future(asyncio.sleep(10))
    shared.cancel()
    await shared
