"""Timeouts around a run: a result that the caller did not receive is returned again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchRun, ItemResult
from customvision_async._batch.work_item import Failed

from ..support.engine import FakeTransport, account, batch, no_tasks_left
from ..support.virtual_loop import run

Next = Callable[[BatchRun[Any, Any], float], Awaitable[ItemResult[Any, Any] | None]]
"""Wait for the next result for so many seconds. None if it did not come."""


async def _wait_for(one: BatchRun[Any, Any], seconds: float) -> ItemResult[Any, Any] | None:
    try:
        return await asyncio.wait_for(anext(one), seconds)
    except TimeoutError:
        return None


async def _timeout(one: BatchRun[Any, Any], seconds: float) -> ItemResult[Any, Any] | None:
    try:
        async with asyncio.timeout(seconds):
            return await anext(one)
    except TimeoutError:
        return None


async def _move_on(one: BatchRun[Any, Any], seconds: float) -> ItemResult[Any, Any] | None:
    with anyio.move_on_after(seconds):
        return await anext(one)
    return None


async def _cancelled(one: BatchRun[Any, Any], seconds: float) -> ItemResult[Any, Any] | None:
    """A task of its own, cancelled by a timer, whose result counts if it has one."""
    task = asyncio.ensure_future(_next(one))
    asyncio.get_running_loop().call_later(seconds, task.cancel)
    await asyncio.wait([task])
    return None if task.cancelled() else task.result()


async def _next(one: BatchRun[Any, Any]) -> ItemResult[Any, Any]:
    return await anext(one)


WAYS = [_wait_for, _timeout, _move_on, _cancelled]


async def _all_of(one: BatchRun[Any, Any], way: Next, seconds: float) -> list[int]:
    """The places of every result, taken with a timeout around each."""
    seen: list[int] = []
    async with one:
        while True:
            try:
                result = await way(one, seconds)
            except StopAsyncIteration:
                return seen
            if result is not None:
                seen.append(result.index)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(seconds=st.sampled_from([0.05, 0.1, 0.25, 0.5, 1.0, 0.3]), chunks=st.integers(1, 6))
def test_a_timeout_around_anext_loses_no_result(way: Next, seconds: float, chunks: int) -> None:
    """Timeouts fall on the moment at which results come, and each result is given exactly once."""

    async def main() -> None:
        service = FakeTransport(seconds=1.0)
        one = batch(range(120), service, max_in_flight=chunks)
        assert sorted(await _all_of(one, way, seconds)) == list(range(120))
        assert one.report.succeeded == 120
        assert no_tasks_left()

    run(main())


@pytest.mark.parametrize("turns", range(12))
def test_a_cancellation_at_each_turn_loses_no_result(turns: int) -> None:
    """A reader cancelled any number of turns after a chunk has settled loses nothing."""

    async def main() -> None:
        one = batch(range(40), FakeTransport(seconds=1.0), max_in_flight=2)
        seen: list[int] = []
        async with one:
            for _ in range(2):
                task = asyncio.ensure_future(_next(one))
                await asyncio.sleep(1.0 - asyncio.get_running_loop().time() % 1.0)
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    seen.append(task.result().index)
            seen += [result.index async for result in one]
        assert sorted(seen) == list(range(40))

    run(main())


def test_several_readers_share_the_results_and_lose_none() -> None:
    """Each result goes to one of the readers, although all of them give up and come again."""

    async def main() -> None:
        one = batch(range(300), FakeTransport(seconds=1.0), max_in_flight=4)
        seen: list[int] = []

        async def reader(seconds: float) -> None:
            while True:
                try:
                    result = await _wait_for(one, seconds)
                except StopAsyncIteration:
                    return
                if result is not None:
                    seen.append(result.index)

        async with one, asyncio.TaskGroup() as readers:
            for seconds in (0.1, 0.25, 0.5, 1.0):
                readers.create_task(reader(seconds))
        assert sorted(seen) == list(range(300))

    run(main())


def test_what_was_settled_and_not_taken_can_be_taken_after_leaving() -> None:
    """Every item in the account as settled has its result with the caller, during the block or
    after it.
    """

    async def main() -> None:
        service = FakeTransport(lambda items: [Failed("bad")] * len(items), seconds=1.0)
        one = batch(range(400), service, max_in_flight=4)
        seen: list[int] = []
        async with one:
            async for result in one:
                seen.append(result.index)
                if len(seen) == 15:
                    break
            await asyncio.sleep(2.5)
        rest = [result.index async for result in one]
        assert len(set(seen) | set(rest)) == len(seen) + len(rest) == one.report.failed > 40
        assert account(one.report)
        assert [result async for result in one] == []

    run(main())


@pytest.mark.parametrize("seconds", [0.5, 1.0, 1.5, 2.0, 3.0])
def test_a_cancelled_run_gives_up_what_was_settled(seconds: float) -> None:
    """Cancelled from outside: the results of the account are all there, taken or not."""

    async def source() -> AsyncIterator[int]:
        for number in range(1000):
            yield number

    async def main() -> None:
        one = batch(source(), FakeTransport(seconds=1.0), max_in_flight=4)
        seen: list[int] = []

        async def watch() -> None:
            async with one:
                async for result in one:
                    seen.append(result.index)
                    await asyncio.sleep(0.125)

        task = asyncio.ensure_future(watch())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.wait([task])
        rest = [result.index async for result in one]
        assert len(set(seen + rest)) == len(seen) + len(rest) == one.report.succeeded
        assert no_tasks_left()

    run(main())


async def _first(one: BatchRun[Any, Any], number: int) -> AsyncIterator[ItemResult[Any, Any]]:
    for _ in range(number):
        yield await anext(one)


def test_a_reader_that_waits_holds_back_the_sending() -> None:
    """Results wait in a bounded number of lists: a slow reader slows the requests."""

    async def main() -> None:
        service = FakeTransport(seconds=0.01)
        one = batch(range(100_000), service, max_in_flight=4)
        async with one:
            await anext(one)
            await asyncio.sleep(100)
            sent = len(service.sent)
            assert sent <= 2 * 4 + 2
            await asyncio.sleep(100)
            assert len(service.sent) == sent
            assert len([result async for result in _first(one, 1000)]) == 1000
            assert len(service.sent) > sent

    run(main())
