"""Leaving a run for good: whatever its parts make of being cancelled, it ends, and sends nothing more."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from customvision_async._batch.work_item import Done, Outcome, Span, WorkItem, payloads_of

from ..support.engine import FakeTransport, Fatal, Poison, account, alone, batch
from ..support.virtual_loop import run


async def _span(start: int, items: Sequence[int]) -> Span:
    return Span(start, items, items)


class Deaf(FakeTransport):
    """A service whose client keeps being cancelled for itself, and says something else then."""

    def __init__(self, answer: Callable[[int], Sequence[Outcome]]) -> None:
        super().__init__()
        self.answer = answer

    async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
        """One request."""
        self.sent.append(list(payloads_of(units)))
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return self.answer(len(units))


def _poison(count: int) -> Sequence[Outcome]:
    raise Poison("one of them is bad")


@pytest.mark.parametrize(
    "answer", [_poison, lambda count: [Done()] * count], ids=["refused", "landed"]
)
@pytest.mark.parametrize("watched", [True, False])
def test_a_cancellation_that_sending_keeps_for_itself_ends_the_run(
    answer: Callable[[int], Sequence[Outcome]], watched: bool
) -> None:
    """Nothing is sent after that, above all not in halves; what is known by then is in the account; nobody waits for a reader."""

    async def main() -> None:
        service = Deaf(answer)
        one = batch(range(1000), service, chunks=8, prepare=_span)
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
        assert one.report.succeeded == (0 if answer is _poison else 80)
        assert len(one.report.pending_items) == one.report.pending
        assert alone()

    run(main())


def test_a_cancellation_that_preparing_keeps_for_itself_ends_the_run() -> None:
    """What was being prepared is pending, and neither is it sent nor is more asked of the source."""

    async def prepare(start: int, items: Sequence[int]) -> Span:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(1.0)
        return Span(start, items, items)

    async def main() -> None:
        service = FakeTransport()
        one = batch(range(1000), service, count=4, prepare=prepare)
        async with one:
            await asyncio.sleep(0.5)
        assert service.sent == []
        assert one.report.submitted == one.report.pending == len(one.report.pending_items) == 4
        assert alone()

    run(main())


def test_leaving_while_a_source_is_let_go_after_the_run_was_ended() -> None:
    """A source that takes its time over its end does not keep the run from ending, with its results unread."""

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
        one = batch(source(), FakeTransport(third_is_fatal), count=9, chunks=2, prepare=_span)
        async with one:
            await asyncio.sleep(20)
        assert account(one.report)
        assert (one.report.succeeded, one.report.failed, one.report.pending) == (18, 9, 0)
        assert alone()

    run(main())


def test_a_run_that_is_forgotten_is_not_torn_apart_by_the_collector() -> None:
    """It stands still, since nobody reads, until its loop ends; nothing is said of tasks that were destroyed."""
    said: list[dict[str, Any]] = []

    async def forgotten() -> weakref.ref[asyncio.Task[None]]:
        one = batch(range(1000), FakeTransport(), chunks=2, prepare=_span)
        await one.__aenter__()
        await anext(aiter(one))
        await asyncio.sleep(10)
        assert one._life is not None
        return weakref.ref(one._life)

    async def main() -> weakref.ref[asyncio.Task[None]]:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))
        life = await forgotten()
        await asyncio.sleep(1)
        gc.collect()
        await asyncio.sleep(1)
        task = life()
        assert task is not None
        assert not task.done()
        return life

    life = run(main())
    with pytest.warns(ResourceWarning, match="Unclosed"):  # so it is of whoever forgets it
        gc.collect()
    assert said == []
    assert life() is None
