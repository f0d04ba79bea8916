"""Outages: a service that is down, errors that end the run, and failing preparation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchError, ItemResult
from customvision_async._batch.work_item import WorkItem

from ..support.engine import (
    Down,
    FakeTransport,
    Fatal,
    account,
    batch,
    cancels_itself,
    no_tasks_left,
    poisoned,
)
from ..support.virtual_loop import run


@pytest.mark.parametrize("endless", [True, False])
def test_a_fatal_error_stops_the_run_and_nothing_hangs(endless: bool) -> None:
    """After the first fatal error nothing is pulled. Every item taken has an outcome."""
    pulled = 0

    async def source() -> AsyncIterator[int]:
        nonlocal pulled
        while endless or pulled < 30:
            pulled += 1
            yield pulled
            if pulled == 400:
                await asyncio.sleep(10**9)

    def act(items: list[int]) -> None:
        if max(items) > 20:
            raise Fatal("the key is refused")

    async def main() -> None:
        nonlocal pulled
        one = batch(source(), FakeTransport(act))
        with pytest.raises(BatchError) as caught:
            await one
        assert isinstance(caught.value.__cause__, Fatal)
        assert isinstance(one.report.abort_cause, Fatal)
        assert "the key is refused" in str(caught.value)
        assert (one.report.succeeded, one.report.pending) == (20, 0)
        assert one.report.failed == one.report.submitted - 20
        assert pulled <= 200
        assert anyio.current_time() < 100
        assert no_tasks_left()

        pulled = 0
        two, shown = batch(source(), FakeTransport(act)), 0
        with pytest.raises(Fatal):
            async with two:
                async for _ in two:
                    shown += 1
        assert shown == two.report.submitted

    run(main())


def test_a_preparation_that_fails_is_the_failure_of_all() -> None:
    """The tags cannot be listed: the run ends with that error, and so does every item taken."""

    async def prepare(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
        if start > 20:
            raise Fatal("no list")
        return [WorkItem(start + n, item, None, 1) for n, item in enumerate(items)]

    async def main() -> None:
        one = batch(range(1000), FakeTransport(), prepare=prepare)
        with pytest.raises(BatchError) as caught:
            await one
        assert isinstance(caught.value.__cause__, Fatal)
        assert one.report.pending == 0
        assert one.report.succeeded + one.report.failed == one.report.submitted < 100

    run(main())


@pytest.mark.parametrize("chunks", [1, 8, 64])
def test_a_service_that_is_down_is_not_flooded(chunks: int) -> None:
    """Every request fails: after one chunk was divided for it, the rest are not."""

    def act(items: list[int]) -> None:
        raise Down("500")

    service = FakeTransport(act)

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(20_000), service, count=64, max_in_flight=chunks)
        assert caught.value.report.failed == 20_000

    run(main())
    assert len(service.sent) <= 1.2 * (20_000 / 64) + 64


def test_a_service_that_comes_back_is_used_again() -> None:
    """After a time of 500s, later chunks succeed, and bad items are searched for again."""
    calls = 0

    def act(items: list[int]) -> None:
        nonlocal calls
        calls += 1
        if calls < 200:
            raise Down("500")
        poisoned(items, {19_999})

    async def main() -> None:
        one = batch(range(20_000), FakeTransport(act), count=64, max_in_flight=8)
        with pytest.raises(BatchError):
            await one
        failed = {result.item for result in one.report.failures}
        assert 19_999 in failed
        assert len(failed) <= 200 * 64
        assert 19_998 not in failed

    run(main())


def test_a_prepare_that_ends_in_a_cancellation_of_its_own_fails_its_items() -> None:
    """Its items fail and say so."""

    async def prepare(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
        await cancels_itself()
        return []

    async def main() -> None:
        with pytest.raises(
            BatchError, match="the preparation of the items awaited something that was cancelled"
        ):
            await batch([1, 2, 3], FakeTransport(), prepare=prepare)
        assert no_tasks_left()

    run(main())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), max_size=120))
def test_a_group_whose_preparation_raises_is_prepared_item_by_item(good: list[bool]) -> None:
    """Exactly the items that raise fail, with their error. Each item is settled once."""

    async def prepare(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
        for item in items:
            if not good[item]:
                raise LookupError(f"no {item}")
        return [WorkItem(start + n, item, None, 1) for n, item in enumerate(items)]

    async def main() -> None:
        async with batch(range(len(good)), FakeTransport(), prepare=prepare) as one:
            results = [result async for result in one]
        said = {result.index: result.error and str(result.error) for result in results}
        assert len(results) == len(good)
        assert said == {
            item: None if good[item] else f"LookupError: no {item}" for item in range(len(good))
        }
        assert (one.report.failed, one.report.abort_cause) == (good.count(False), None)
        assert account(one.report)

    run(main())


def test_an_error_of_the_service_while_items_are_prepared_one_by_one_ends_the_run() -> None:
    """Nothing more is prepared, and every item taken has an outcome."""
    prepared: list[Any] = []

    async def prepare(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
        if len(items) > 1:
            raise LookupError("one of them")
        prepared.append(items[0])
        if items[0] == 5:
            raise Fatal("refused")
        return [WorkItem(start, items[0], None, 1)]

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(1000), FakeTransport(), prepare=prepare)
        report = caught.value.report
        assert prepared == [0, 1, 2, 3, 4, 5]
        assert isinstance(report.abort_cause, Fatal)
        assert account(report)
        assert report.pending == 0

    run(main())
