"""Leaving a run: it ends whatever its parts do with a cancellation, and sends nothing more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from customvision_async._batch.work_item import Done, Outcome, WorkItem

from ..support.engine import FakeTransport, Fatal, Poison, account, batch, no_tasks_left
from ..support.virtual_loop import run


class Deaf(FakeTransport):
    """A service whose client swallows a cancellation and then raises or returns something else."""

    def __init__(self, response: Callable[[int], Sequence[Outcome]]) -> None:
        super().__init__()
        self.response = response

    async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
        """Send one request."""
        self.sent.append([unit.payload for unit in units])
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return self.response(len(units))


def _poison(count: int) -> Sequence[Outcome]:
    raise Poison("one of them is bad")


@pytest.mark.parametrize(
    "response", [_poison, lambda count: [Done()] * count], ids=["refused", "landed"]
)
@pytest.mark.parametrize("watched", [True, False])
def test_a_cancellation_that_sending_keeps_for_itself_ends_the_run(
    response: Callable[[int], Sequence[Outcome]], watched: bool
) -> None:
    """Nothing is sent afterwards, and no chunk is halved. Known outcomes are in the report.

    Nobody waits for a reader.
    """

    async def main() -> None:
        service = Deaf(response)
        one = batch(range(1000), service, max_in_flight=8)
        sent = 0

        async def watch() -> None:
            async with one:
                await asyncio.sleep(1000)

        task = asyncio.ensure_future(watch() if watched else asyncio.wait_for(one, 1000))
        await asyncio.sleep(0.5)
        sent = len(service.sent)
        assert sent == 8
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.get_running_loop().time() == 0.5
        assert len(service.sent) == sent
        assert account(one.report)
        assert one.report.succeeded == (0 if response is _poison else 80)
        assert len(one.report.pending_items) == one.report.pending
        assert no_tasks_left()

    run(main())


def test_a_cancellation_that_preparing_keeps_for_itself_ends_the_run() -> None:
    """Items in preparation are pending. They are not sent, and no further items are pulled."""

    async def prepare(start: int, items: Sequence[int]) -> list[WorkItem]:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return [WorkItem(start + n, item, item) for n, item in enumerate(items)]

    async def main() -> None:
        service = FakeTransport()
        one = batch(range(1000), service, count=4, prepare=prepare)
        async with one:
            await asyncio.sleep(0.5)
        assert service.sent == []
        assert one.report.submitted == one.report.pending == len(one.report.pending_items) == 4
        assert no_tasks_left()

    run(main())


def test_leaving_while_a_source_is_let_go_after_the_run_was_ended() -> None:
    """A source that is slow to close does not keep the run from ending, with its results unread."""

    async def source() -> AsyncIterator[int]:
        try:
            for item in range(27):
                yield item
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(30)

    def third_is_fatal(items: list[Any]) -> None:
        if 20 in items:
            raise Fatal("nothing lands any more")

    async def main() -> None:
        one = batch(source(), FakeTransport(third_is_fatal), count=9, max_in_flight=2)
        async with one:
            await asyncio.sleep(20)
        assert account(one.report)
        assert (one.report.succeeded, one.report.failed, one.report.pending) == (18, 9, 0)
        assert no_tasks_left()

    run(main())


def test_a_run_that_is_abandoned_is_cancelled() -> None:
    """Dropping an entered run warns and ends its task. asyncio reports no destroyed task."""
    reported: list[dict[str, Any]] = []
    service = FakeTransport()

    async def enter() -> asyncio.Task[None]:
        one = batch(range(1000), service, max_in_flight=2)
        await one.__aenter__()
        await anext(aiter(one))
        await asyncio.sleep(10)
        assert one._task is not None
        return one._task

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        with pytest.warns(ResourceWarning, match="Unclosed"):
            task = await enter()
        await asyncio.sleep(1)
        assert task.cancelled()
        assert service.in_flight == 0

    run(main())
    gc.collect()
    assert reported == []
