"""Guarantees of a run: results as they settle, exact counts at every step, and nothing left
behind.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchError, BatchRun, ItemError, ItemResult
from customvision_async._batch.work_item import Done, Failed, Outcome, WorkItem

from ..support.engine import FakeTransport, Poison, account, awaited, batch, no_tasks_left
from ..support.virtual_loop import run


def test_awaiting_a_run_goes_to_the_end() -> None:
    """The report is complete, and its counts agree."""
    service = FakeTransport()
    report = run(awaited(batch(range(95), service)))
    assert (
        report.submitted,
        report.succeeded,
        report.failed,
        report.pending,
        report.pending_items,
    ) == (95, 95, 0, 0, ())
    assert sorted(item for items in service.sent for item in items) == list(range(95))
    assert service.most_in_flight == 4
    assert report.seconds == pytest.approx(3.0)


def test_results_come_as_they_settle_with_their_place_in_the_input() -> None:
    """A slow chunk does not delay the others. .index and .item identify a result."""

    class Uneven(FakeTransport):
        async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
            await asyncio.sleep(10.0 if units[0].item == "i0" else 1.0)
            return [Done(value=unit.item.upper()) for unit in units]

    async def main() -> list[ItemResult[Any, Any]]:
        async with batch([f"i{n}" for n in range(30)], Uneven()) as one:
            results = [result async for result in one]
        assert no_tasks_left()
        assert one.report.succeeded == 30
        return results

    results = run(main())
    assert [result.index for result in results[-10:]] == list(range(10))
    assert all(
        result.item == f"i{result.index}" and result.value == f"I{result.index}" and result.ok
        for result in results
    )


@pytest.mark.parametrize("number", [1, 20, 21, 300])
def test_what_failed_is_raised_as_a_group_of_ten_and_ten(number: int) -> None:
    """BatchError is an ExceptionGroup of the first and last ten errors.

    It has the number of those in between, and the full report.
    """
    service = FakeTransport(
        lambda items: [
            Failed(f"{item} is bad", "ErrorX") if item < number else Done() for item in items
        ]
    )

    async def main() -> BatchError:
        with pytest.raises(BatchError) as caught:
            await batch(range(500), service)
        assert no_tasks_left()
        return caught.value

    error = run(main())
    assert isinstance(error, ExceptionGroup)
    assert error.report.failed == len(error.report.failures) == number
    assert error.report.succeeded == 500 - number
    assert len(error.exceptions) == min(20, number)
    assert error.dropped == max(0, number - 20)
    assert f"{number} of 500" in str(error)
    assert (str(error.dropped) in str(error)) or not error.dropped
    assert all(
        isinstance(one, ItemError) and one.status == "ErrorX" and str(one) == f"{one.item} is bad"
        for one in error.exceptions
    )
    assert [one.index for one in error.report.failures] == [
        one.item for one in error.report.failures
    ]


def test_what_was_shown_is_not_raised() -> None:
    """A watched run ends without an error although items failed."""

    async def main() -> None:
        async with batch(
            range(30), FakeTransport(lambda items: [Failed("bad")] * len(items))
        ) as one:
            shown = [result.ok async for result in one]
        assert shown == [False] * 30
        assert one.report.failed == 30

    run(main())


@settings(max_examples=60, deadline=None)
@given(after=st.integers(0, 120), grain=st.booleans())
def test_leaving_early_leaves_nothing_behind(after: int, grain: bool) -> None:
    """After `break` or an error of the reader, no task or request is left.

    The report tells which items are pending.
    """
    service = FakeTransport()
    closed: list[bool] = []

    async def source() -> AsyncIterator[int]:
        try:
            for number in range(100):
                yield number
        finally:
            closed.append(True)

    async def main() -> None:
        one = batch(source(), service)
        seen = 0
        try:
            async with one:
                async for _ in one:
                    seen += 1
                    assert account(one.progress)
                    assert len(one.report.pending_items) == one.progress.pending
                    if seen > after:
                        if grain:
                            raise KeyError("the reader's own")
                        break
        except KeyError:
            assert grain
        assert no_tasks_left()
        assert service.in_flight == 0
        assert closed == [True]
        report = one.report
        assert account(report)
        assert report.pending == len(report.pending_items)
        assert report.succeeded >= seen
        assert {index for index, _ in report.pending_items} <= set(range(report.submitted))

    run(main())


@settings(max_examples=80, deadline=None)
@given(steps=st.integers(1, 150), watched=st.booleans())
def test_being_cancelled_leaves_nothing_behind(steps: int, watched: bool) -> None:
    """Cancelled after any number of steps of the loop: no task, no request, and the counts
    add up.
    """
    service = FakeTransport(seconds=0.0)

    async def work(one: BatchRun[Any, Any]) -> None:
        if watched:
            async with one:
                async for _ in one:
                    await asyncio.sleep(0)
        else:
            await one

    async def main() -> None:
        one = batch(iter(range(200)), service)
        task = asyncio.ensure_future(work(one))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert no_tasks_left()
        assert service.in_flight == 0
        assert account(one.report)
        assert one.report.pending == len(one.report.pending_items)

    run(main())


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 60),
    bad=st.sets(st.integers(0, 59)),
    settled=st.sets(st.integers(0, 59)),
    kinds=st.integers(1, 5),
    weight=st.integers(1, 20),
    held=st.integers(0, 300),
)
def test_the_account_adds_up_at_every_step(
    count: int, bad: set[int], settled: set[int], kinds: int, weight: int, held: int
) -> None:
    """At every turn of the loop, the counts add up, and each pending item is named once."""

    def act(items: list[int]) -> list[Outcome] | None:
        if bad & set(items):
            raise Poison("no")
        return None

    async def prepare(start: int, items: Sequence[int]) -> list[WorkItem | ItemResult[Any, Any]]:
        await asyncio.sleep(0.1)
        return [
            ItemResult(
                start + n,
                item,
                False,
                "",
                skipped=item % 2 == 0,
                error=ItemError("no", index=start + n, item=item),
            )
            if item in settled
            else WorkItem(
                start + n, item, None, 1 + item % weight, affinity=item % kinds, memory=held
            )
            for n, item in enumerate(items)
        ]

    async def watch(one: BatchRun[Any, Any]) -> None:
        turns = 0
        while True:
            report = one.report
            assert account(report)
            assert report.pending == len(report.pending_items) == len(dict(report.pending_items))
            turns += 1
            await asyncio.sleep(0 if turns % 5 else 0.05)

    async def main() -> None:
        one = batch(range(count), FakeTransport(act), size=30, prepare=prepare)
        watcher = asyncio.ensure_future(watch(one))
        results: list[int] = []
        async with one:
            async for result in one:
                results.append(result.index)
                assert not watcher.done()
        watcher.cancel()
        assert sorted(results) == list(range(count))
        expected = {item for item in bad - settled if item < count}
        failed = {item for item in settled if item < count and item % 2}
        assert {one.item for one in one.report.failures} == expected | failed

    run(main())


def test_a_run_goes_once_and_is_iterated_inside_the_block() -> None:
    """Misuse raises an error."""

    async def main() -> None:
        one = batch(range(3), FakeTransport())
        with pytest.raises(RuntimeError, match="async with"):
            aiter(one)
        await one
        with pytest.raises(RuntimeError, match="once"):
            await one

    run(main())


def test_an_abandoned_generator_around_a_run_cancels_nobody_else() -> None:
    """A generator with a run inside is abandoned: the loop closes it in another task."""

    async def names() -> AsyncIterator[Any]:
        async with batch(range(10_000), FakeTransport()) as one:
            async for result in one:
                yield result.item

    async def main() -> None:
        async for _ in names():
            break
        gc.collect()
        await asyncio.sleep(10)
        assert no_tasks_left()

    run(main())


def test_a_run_may_be_entered_in_one_task_and_left_in_another() -> None:
    """Fixtures do that."""

    async def main() -> None:
        one = batch(range(100), FakeTransport())
        await asyncio.create_task(_entered(one))
        assert len([result async for result in one]) == 100
        await asyncio.create_task(one.__aexit__(None, None, None))
        assert no_tasks_left()

    async def _entered(one: BatchRun[Any, Any]) -> None:
        await one.__aenter__()

    run(main())
