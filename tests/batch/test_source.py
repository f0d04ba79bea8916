"""Sources of a run: accepted types, the speed of pulling, and their errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import anyio
import pytest

from customvision_async import BatchError, BatchReport, ItemResult
from customvision_async._batch.work_item import Done, Failed, WorkItem

from ..support.engine import (
    FakeTransport,
    Fatal,
    account,
    awaited,
    batch,
    cancels_itself,
    no_tasks_left,
)
from ..support.virtual_loop import run


@pytest.mark.parametrize("kind", ["sync", "async", "aiter", "iter"])
@pytest.mark.parametrize("number", [0, 3, 25])
def test_an_error_of_the_source_comes_up_bare_after_what_is_in_flight(
    kind: str, number: int
) -> None:
    """A failing source ends the feeding. Items already taken are sent, and its error is raised as
    is.
    """

    def plain() -> Iterator[int]:
        yield from range(number)
        raise LookupError("the source's own")

    async def slow() -> AsyncIterator[int]:
        for n in range(number):
            await asyncio.sleep(0.01)
            yield n
        raise LookupError("the source's own")

    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise LookupError("the source's own")

        def __aiter__(self) -> AsyncIterator[int]:
            raise LookupError("the source's own")

    class OnlyIter:
        __iter__ = Broken.__iter__

    def source() -> Any:
        return {"sync": plain, "async": slow, "aiter": Broken, "iter": OnlyIter}[kind]()

    landing = 0 if kind in ("aiter", "iter") else number

    async def main() -> None:
        one = batch(source(), FakeTransport())
        with pytest.raises(LookupError, match="the source's own") as caught:
            await one
        assert not isinstance(caught.value, ExceptionGroup)
        assert (one.report.succeeded, one.report.pending) == (landing, 0)
        assert one.report.abort_cause is caught.value
        two, shown = batch(source(), FakeTransport()), 0
        with pytest.raises(LookupError, match="the source's own"):
            async with two:
                async for result in two:
                    shown += result.ok
        assert shown == landing
        assert no_tasks_left()

    run(main())


def test_an_error_of_the_source_is_bare_though_items_failed() -> None:
    """The programming error is not hidden in a group of item errors."""

    def source() -> Iterator[int]:
        yield 1
        raise LookupError("the source's own")

    async def main() -> None:
        one = batch(source(), FakeTransport(lambda items: [Failed("bad")]))
        with pytest.raises(LookupError):
            await one
        assert one.report.failed == 1

    run(main())


def test_a_source_that_cannot_be_closed_costs_nothing_that_is_in_flight() -> None:
    """Closing an async generator raises: items already taken are sent, then that error is
    raised.
    """

    class Source:
        def __init__(self) -> None:
            self.items = iter(range(15))

        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> int:
            for item in self.items:
                return item
            raise StopAsyncIteration

        async def aclose(self) -> None:
            raise OSError("cannot be closed")

    async def main() -> None:
        one = batch(Source(), FakeTransport())
        with pytest.raises(OSError, match="cannot be closed"):
            await one
        assert one.report.succeeded == 15

    run(main())


def test_an_unbounded_source_is_pulled_only_as_fast_as_results_are_read() -> None:
    """If the reader stops, pulling stops after a bounded number of items."""
    pulled = 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    async def main() -> None:
        async with batch(endless(), FakeTransport()) as one:
            read = 0
            async for _ in one:
                read += 1
                if read % 100 == 0:
                    await asyncio.sleep(100)
                    assert pulled - read <= 10 * (
                        4 + 4 + 3
                    )  # in flight, in the stream, or between them
                if read == 1000:
                    break
        assert no_tasks_left()

    run(main())


def test_memory_that_items_hold_is_bounded() -> None:
    """With large items and a small memory limit, fewer items are pulled and in flight at a time."""
    alive = maximum = 0

    class Item:
        def __init__(self) -> None:
            nonlocal alive, maximum
            alive += 1
            maximum = max(maximum, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    async def prepare(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
        return [
            WorkItem(start + n, item, None, 1, memory=100, affinity=(start + n) % 7)
            for n, item in enumerate(items)
        ]

    async def main() -> None:
        service = FakeTransport()
        service.sent = type("Forgetful", (list,), {"append": lambda self, items: None})()
        service.act = lambda items: [Done() for _ in items]
        async with batch(
            (Item() for _ in range(500)), service, max_memory=1000, prepare=prepare
        ) as one:
            async for _ in one:
                pass

    run(main())
    assert maximum <= 60


def test_a_slow_source_lingers_then_is_sent_what_there_is() -> None:
    """An item every 0.4 s: a partial chunk is sent a second after its first item.

    A fast source fills chunks.
    """

    async def source(pause: float) -> AsyncIterator[int]:
        for number in range(12):
            await asyncio.sleep(pause)
            yield number

    slow, fast, silent = FakeTransport(), FakeTransport(), FakeTransport()

    async def pausing() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(3600)
        yield 2

    async def main() -> None:
        await batch(source(0.4), slow)
        await batch(source(0.001), fast)
        async with batch(pausing(), silent) as one:
            first = await anext(aiter(one))
            assert first.item == 1
            assert anyio.current_time() < 60

    run(main())
    assert [len(items) for items in slow.sent] == [3, 3, 3, 3]
    assert [len(items) for items in fast.sent] == [10, 2]


@pytest.mark.parametrize("source", ["text", b"bytes", {"a": 1}, 5, None, object()])
def test_what_is_no_source_is_refused_at_once(source: object) -> None:
    """A TypeError is raised when the run is created. It suggests a list."""
    with pytest.raises(TypeError, match="list"):
        batch(source, FakeTransport())


def test_an_empty_source_is_a_run_of_nothing() -> None:
    """No item, no request, no error."""
    service = FakeTransport()
    report = run(awaited(batch([], service)))
    assert (report.submitted, len(service.sent)) == (0, 0)


def test_known_lengths_are_told() -> None:
    """progress.total is the length of a sized source. It is None if unknown or wrong."""

    async def main() -> None:
        one = batch([1, 2, 3], FakeTransport())
        assert one.progress.total == 3
        other = batch(iter([1]), FakeTransport())
        assert other.progress.total is None
        await other
        await one
        assert one.progress.rate > 0
        assert "3 of 3" in repr(one.progress)

    run(main())


def test_a_source_that_ends_in_a_cancellation_of_its_own_is_an_error() -> None:
    """Items already taken are sent, then the error is raised: the run does not seem complete."""

    async def source() -> AsyncIterator[int]:
        for number in range(25):
            yield number
        await cancels_itself()

    async def main() -> BatchReport:
        one = batch(source(), FakeTransport())
        with pytest.raises(RuntimeError, match="the source awaited something that was cancelled"):
            await one
        assert no_tasks_left()
        return one.report

    report = run(main())
    assert (report.submitted, report.succeeded, report.pending) == (25, 25, 0)


class _Cancelling:
    """An iterable that raises CancelledError at its start, after 25 items or on closing."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __iter__(self) -> Iterator[int]:
        if self.where == "beginning":
            raise asyncio.CancelledError
        return self._items()

    def _items(self) -> Iterator[int]:
        try:
            yield from range(25)
            if self.where == "middle":
                raise asyncio.CancelledError
            yield from range(25, 1000)
        finally:
            if self.where == "end":
                raise asyncio.CancelledError


@pytest.mark.parametrize(("where", "given"), [("beginning", 0), ("middle", 25)])
def test_a_cancellation_that_a_plain_source_raises_is_an_error(where: str, given: int) -> None:
    """Wherever it is raised, items already taken are sent, and the run does not seem complete."""

    async def main() -> BatchReport:
        one = batch(_Cancelling(where), FakeTransport())
        with pytest.raises(RuntimeError, match="the source awaited something that was cancelled"):
            await one
        assert no_tasks_left()
        return one.report

    report = run(main())
    assert (report.submitted, report.succeeded, report.pending) == (given, given, 0)


def test_a_cancellation_that_a_source_raises_when_it_is_let_go_costs_no_outcome() -> None:
    """The run ends early for another reason, and each item taken has its outcome."""

    def closed(items: list[Any]) -> None:
        raise Fatal("nothing lands any more")

    async def main() -> BatchReport:
        one = batch(_Cancelling("end"), FakeTransport(closed), max_in_flight=2)
        with pytest.raises(BatchError):
            await one
        assert no_tasks_left()
        return one.report

    report = run(main())
    assert report.submitted == report.failed > 0
    assert report.pending_items == ()


def test_a_source_with_an_attribute_called_groups_is_a_source_like_any_other() -> None:
    """A plain iterable with an attribute of that name is read item by item."""

    class Dataset(list[int]):
        groups = "a name that others use too"

    assert run(awaited(batch(Dataset(range(5)), FakeTransport()))).succeeded == 5


@pytest.mark.parametrize("kind", ["items", "async", "iter"])
@pytest.mark.parametrize("watched", [False, True])
def test_a_source_that_raises_stop_async_iteration_does_not_end_the_run_silently(
    kind: str, watched: bool
) -> None:
    """Items already taken are sent, and an error says that the source did not end properly."""

    class Items:
        def __init__(self) -> None:
            self.numbers = iter(range(15))

        def __iter__(self) -> Items:
            if kind == "iter":
                raise StopAsyncIteration
            return self

        def __next__(self) -> int:
            for number in self.numbers:
                return number
            raise StopAsyncIteration

    async def slow() -> AsyncIterator[int]:
        for number in Items():
            yield number

    async def main() -> None:
        one, landed = batch(slow() if kind == "async" else Items(), FakeTransport()), 0
        with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
            if watched:
                async with one:
                    async for _ in one:
                        landed += 1
            else:
                await one
        assert one.report.succeeded == (0 if kind == "iter" else 15)
        assert landed == (one.report.succeeded if watched else 0)
        assert isinstance(one.report.abort_cause, RuntimeError)

    run(main())


def test_preparing_that_raises_stop_async_iteration_fails_the_items() -> None:
    """The run does not seem complete: each item fails."""

    async def prepare(start: int, items: Sequence[int]) -> list[WorkItem]:
        raise StopAsyncIteration

    async def main() -> None:
        one = batch(range(30), FakeTransport(), prepare=prepare)
        async with one:
            reasons = [str(result.error) async for result in one]
        assert len(reasons) == one.report.failed == 30
        assert all("StopAsyncIteration" in reason for reason in reasons)

    run(main())


@pytest.mark.parametrize("turns", range(12))
@pytest.mark.parametrize("fails", [False, True])
def test_what_was_taken_from_the_source_is_in_the_account(turns: int, fails: bool) -> None:
    """Left at any turn, or ended by a fatal error, each item taken is settled or pending."""
    given: list[int] = []

    async def source() -> AsyncIterator[int]:
        for number in range(1000):
            if number % 7 == 6:
                await asyncio.sleep(0.0 if number % 2 else 0.5)
            given.append(number)
            yield number

    def act(items: list[Any]) -> None:
        if fails:
            raise Fatal("the key is refused")

    async def main() -> None:
        one = batch(source(), FakeTransport(act))
        async with one:
            await asyncio.sleep(0.5)
            for _ in range(turns):
                await asyncio.sleep(0)
        report = one.report
        assert report.submitted == len(given)
        assert account(report)
        assert report.pending == len(report.pending_items)
        assert all(index == item for index, item in report.pending_items)
        if fails:
            two = batch(source(), FakeTransport(act))
            given.clear()
            with pytest.raises((Fatal, BatchError)):
                await two
            assert two.report.submitted == len(given)
            assert two.report.pending == 0

    run(main())
