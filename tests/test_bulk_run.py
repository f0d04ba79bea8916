"""What a run promises: results as they settle, an account that is right at every step, and nothing left behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import BatchError, BatchReport, BatchRun, ItemError, ItemResult
from customvision_async._bulk.settle import Verdict
from customvision_async._bulk.unit import Again, Done, Failed, Outcome, Unit

from .support.engine import Down, Fatal, Lost, Poison, Pretended, TooLarge, batch
from .support.vloop import run


def account(one: BatchReport | Any) -> bool:
    """The law of the account."""
    return bool(one.submitted == one.succeeded + one.failed + one.skipped + one.pending)


def alone() -> bool:
    """Whether no task but this one is left."""
    return asyncio.all_tasks() == {asyncio.current_task()}


def test_awaiting_a_run_goes_to_the_end() -> None:
    """The report has it all, and the numbers agree."""
    service = Pretended()
    report = run(_awaited(batch(range(95), service)))
    assert (report.submitted, report.succeeded, report.failed, report.pending, report.unsettled) == (95, 95, 0, 0, ())
    assert sorted(item for items in service.sent for item in items) == list(range(95))
    assert service.most_in_flight == 4
    assert report.seconds == pytest.approx(3.0)


async def _awaited(one: BatchRun[Any, Any]) -> BatchReport:
    report = await one
    assert alone()
    return report


def test_results_come_as_they_settle_with_their_place_in_the_input() -> None:
    """A chunk that takes longer does not hold up the others; .index and .item tell which is which."""

    class Uneven(Pretended):
        async def send(self, units: Sequence[Unit]) -> Sequence[Outcome]:
            await asyncio.sleep(10.0 if units[0].item == "i0" else 1.0)
            return [Done(value=unit.item.upper()) for unit in units]

    async def main() -> list[ItemResult[Any, Any]]:
        async with batch([f"i{n}" for n in range(30)], Uneven()) as one:
            results = [result async for result in one]
        assert alone()
        assert one.report.succeeded == 30
        return results

    results = run(main())
    assert [result.index for result in results[-10:]] == list(range(10))
    assert all(result.item == f"i{result.index}" and result.value == f"I{result.index}" and result.ok for result in results)


@pytest.mark.parametrize("number", [1, 20, 21, 300])
def test_what_failed_is_raised_as_a_group_of_ten_and_ten(number: int) -> None:
    """BatchError: an ExceptionGroup with the first and last ten errors, how many lie between, and the report with all."""
    service = Pretended(lambda items: [Failed(f"{item} is bad", "ErrorX") if item < number else Done() for item in items])

    async def main() -> BatchError:
        with pytest.raises(BatchError) as caught:
            await batch(range(500), service)
        assert alone()
        return caught.value

    error = run(main())
    assert isinstance(error, ExceptionGroup)
    assert error.report.failed == len(error.report.failures) == number
    assert error.report.succeeded == 500 - number
    assert len(error.exceptions) == min(20, number)
    assert error.dropped == max(0, number - 20)
    assert f"{number} of 500" in str(error)
    assert (str(error.dropped) in str(error)) or not error.dropped
    assert all(isinstance(one, ItemError) and one.status == "ErrorX" and str(one) == f"{one.item} is bad" for one in error.exceptions)
    assert [one.index for one in error.report.failures] == [one.item for one in error.report.failures]


def test_what_was_shown_is_not_raised() -> None:
    """A watched run ends well although items failed."""

    async def main() -> None:
        async with batch(range(30), Pretended(lambda items: [Failed("bad")] * len(items))) as one:
            shown = [result.ok async for result in one]
        assert shown == [False] * 30
        assert one.report.failed == 30

    run(main())


@settings(max_examples=60, deadline=None)
@given(after=st.integers(0, 120), grain=st.booleans())
def test_leaving_early_leaves_nothing_behind(after: int, grain: bool) -> None:
    """After `break`, or an error of the reader: no task, no request under way; the account says what is not known."""
    service = Pretended()
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
                    assert len(one.report.unsettled) == one.progress.pending
                    if seen > after:
                        if grain:
                            raise KeyError("the reader's own")
                        break
        except KeyError:
            assert grain
        assert alone()
        assert service.in_flight == 0
        assert closed == [True]
        report = one.report
        assert account(report)
        assert report.pending == len(report.unsettled)
        assert report.succeeded >= seen
        assert {index for index, _ in report.unsettled} <= set(range(report.submitted))

    run(main())


@settings(max_examples=80, deadline=None)
@given(steps=st.integers(0, 150), watched=st.booleans())
def test_being_cancelled_leaves_nothing_behind(steps: int, watched: bool) -> None:
    """Cancelled after any number of steps of the loop: no task, no request, an account that adds up."""
    service = Pretended(seconds=0.0)

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
        assert alone()
        assert service.in_flight == 0
        assert account(one.report)
        assert one.report.pending == len(one.report.unsettled)

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
def test_the_account_adds_up_at_every_step(count: int, bad: set[int], settled: set[int], kinds: int, weight: int, held: int) -> None:
    """Looked at in every turn of the loop: submitted is the sum, and each item pending is named once."""

    def act(items: list[int]) -> list[Outcome] | None:
        if bad & set(items):
            raise Poison("no")
        return None

    async def prepare(start: int, items: Sequence[int]) -> list[Unit | ItemResult[Any, Any]]:
        await asyncio.sleep(0.1)
        return [
            ItemResult(start + n, item, False, "", skipped=item % 2 == 0, error=ItemError("no", index=start + n, item=item))
            if item in settled
            else Unit(start + n, item, None, 1 + item % weight, kind=item % kinds, held=held)
            for n, item in enumerate(items)
        ]

    async def watch(one: BatchRun[Any, Any]) -> None:
        turns = 0
        while True:
            report = one.report
            assert account(report)
            assert report.pending == len(report.unsettled) == len(dict(report.unsettled))
            turns += 1
            await asyncio.sleep(0 if turns % 5 else 0.05)

    async def main() -> None:
        one = batch(range(count), Pretended(act), weight=30, prepare=prepare)
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


@pytest.mark.parametrize("kind", ["sync", "async", "aiter", "iter"])
@pytest.mark.parametrize("number", [0, 3, 25])
def test_an_error_of_the_source_comes_up_bare_after_what_is_in_flight(kind: str, number: int) -> None:
    """A source that fails ends the feeding: what it gave before still lands, and its error is raised as it is."""

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
        one = batch(source(), Pretended())
        with pytest.raises(LookupError, match="the source's own") as caught:
            await one
        assert not isinstance(caught.value, ExceptionGroup)
        assert (one.report.succeeded, one.report.pending) == (landing, 0)
        assert one.report.stopped_by is caught.value
        two, shown = batch(source(), Pretended()), 0
        with pytest.raises(LookupError, match="the source's own"):
            async with two:
                async for result in two:
                    shown += result.ok
        assert shown == landing
        assert alone()

    run(main())


def test_an_error_of_the_source_is_bare_though_items_failed() -> None:
    """The programming error is not hidden behind a group of items."""

    def source() -> Iterator[int]:
        yield 1
        raise LookupError("the source's own")

    async def main() -> None:
        one = batch(source(), Pretended(lambda items: [Failed("bad")]))
        with pytest.raises(LookupError):
            await one
        assert one.report.failed == 1

    run(main())


def test_a_source_that_cannot_be_closed_costs_nothing_that_is_in_flight() -> None:
    """The cleaning up of an async generator raises: what was fed lands, then that error comes up."""

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
        one = batch(Source(), Pretended())
        with pytest.raises(OSError, match="cannot be closed"):
            await one
        assert one.report.succeeded == 15

    run(main())


def test_an_unbounded_source_is_pulled_only_as_fast_as_results_are_read() -> None:
    """A reader that stops reading stops the pulling, with a bounded number of items taken."""
    pulled = 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    async def main() -> None:
        async with batch(endless(), Pretended()) as one:
            read = 0
            async for _ in one:
                read += 1
                if read % 100 == 0:
                    await asyncio.sleep(100)
                    assert pulled - read <= 10 * (4 + 4 + 3)  # in flight, in the stream, on the way
                if read == 1000:
                    break
        assert alone()

    run(main())


def test_memory_that_items_hold_is_bounded() -> None:
    """Items of 100 bytes of memory, 1,000 of which may be held: fewer are pulled at a time, and fewer are under way."""
    alive = most = 0

    class Item:
        def __init__(self) -> None:
            nonlocal alive, most
            alive += 1
            most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    async def prepare(start: int, items: Sequence[Any]) -> list[Unit | ItemResult[Any, Any]]:
        return [Unit(start + n, item, None, 1, held=100, kind=(start + n) % 7) for n, item in enumerate(items)]

    async def main() -> None:
        service = Pretended()
        service.sent = type("Forgetful", (list,), {"append": lambda self, items: None})()
        service.act = lambda items: [Done() for _ in items]
        async with batch((Item() for _ in range(500)), service, held=1000, prepare=prepare) as one:
            async for _ in one:
                pass

    run(main())
    assert most <= 60


def test_a_slow_source_lingers_then_is_sent_what_there_is() -> None:
    """An item each 0.4 s: what waits is sent a second after the first of it came, not when a chunk is full; a fast one fills chunks."""

    async def source(pause: float) -> AsyncIterator[int]:
        for number in range(12):
            await asyncio.sleep(pause)
            yield number

    slow, fast, silent = Pretended(), Pretended(), Pretended()

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


@pytest.mark.parametrize("endless", [True, False])
def test_a_fatal_error_stops_the_run_and_nothing_hangs(endless: bool) -> None:
    """From the first one on nothing is pulled any more; what was taken has its outcome; the error is the cause."""
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
        one = batch(source(), Pretended(act))
        with pytest.raises(BatchError) as caught:
            await one
        assert isinstance(caught.value.__cause__, Fatal)
        assert isinstance(one.report.stopped_by, Fatal)
        assert "the key is refused" in str(caught.value)
        assert (one.report.succeeded, one.report.pending) == (20, 0)
        assert one.report.failed == one.report.submitted - 20
        assert pulled <= 200
        assert anyio.current_time() < 100
        assert alone()

        pulled = 0
        two, shown = batch(source(), Pretended(act)), 0
        with pytest.raises(Fatal):
            async with two:
                async for _ in two:
                    shown += 1
        assert shown == two.report.submitted

    run(main())


def test_a_preparation_that_fails_is_the_failure_of_all() -> None:
    """The tags cannot be listed: the run ends with that error, and every item taken has it as its own."""

    async def prepare(start: int, items: Sequence[Any]) -> list[Unit | ItemResult[Any, Any]]:
        if start > 20:
            raise Fatal("no list")
        return [Unit(start + n, item, None, 1) for n, item in enumerate(items)]

    async def main() -> None:
        one = batch(range(1000), Pretended(), prepare=prepare)
        with pytest.raises(BatchError) as caught:
            await one
        assert isinstance(caught.value.__cause__, Fatal)
        assert one.report.pending == 0
        assert one.report.succeeded + one.report.failed == one.report.submitted < 100

    run(main())


def test_a_lost_chunk_costs_its_own_items_alone() -> None:
    """One chunk does not land: its items say why, the others land."""

    def act(items: list[int]) -> None:
        if 15 in items:
            raise Lost("no answer")

    async def main() -> None:
        one = batch(range(100), Pretended(act))
        with pytest.raises(BatchError):
            await one
        failed = [result.item for result in one.report.failures]
        assert 15 in failed
        assert len(failed) == 10
        assert all(
            "no answer" in str(result.error) and isinstance(result.error.__cause__, Lost) for result in one.report.failures if result.error
        )

    run(main())


def test_halving_finds_the_bad_ones_and_takes_the_least_requests() -> None:
    """One bad item of 64: 7 halvings, each with one refused half; the good ones all land."""
    service = Pretended(lambda items: _poisoned(items, {13}))

    async def main() -> None:
        one = batch(range(64), service, count=64)
        with pytest.raises(BatchError) as caught:
            await one
        assert [result.item for result in caught.value.report.failures] == [13]

    run(main())
    assert len(service.sent) == 1 + 2 * 6


def _poisoned(items: list[int], bad: set[int]) -> None:
    if bad & set(items):
        raise Poison("bad request")


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 200), bad=st.sets(st.integers(0, 199), max_size=30), chunks=st.integers(1, 30))
def test_every_bad_item_is_found_and_no_good_one_is_lost(count: int, bad: set[int], chunks: int) -> None:
    """Opaque refusals, any number of bad items anywhere, any number of chunks under way: exactly the bad ones fail."""
    service = Pretended(lambda items: _poisoned(items, bad))

    async def main() -> None:
        one = batch(range(count), service, count=16, chunks=chunks)
        async with one:
            ok = {result.item: result.ok async for result in one}
        assert ok == {item: item not in bad for item in range(count)}
        mine = len({item for item in bad if item < count})
        assert len(service.sent) <= -(-count // 16) + 2 * 5 * mine

    run(main())


def test_a_vague_status_is_asked_again_alone() -> None:
    """ErrorUnknown for a whole chunk, because of one: the others land, and that one was asked twice alone."""
    service = Pretended(lambda items: [Again(Failed("ErrorUnknown", "ErrorUnknown"))] * len(items) if 5 in items else None)

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(16), service, count=16)
        assert [(one.item, one.status) for one in caught.value.report.failures] == [(5, "ErrorUnknown")]

    run(main())
    assert service.sent.count([5]) == 2


def test_a_short_answer_is_no_success() -> None:
    """Fewer outcomes than units: nobody's success is assumed, they are asked again."""
    short = iter([True])

    def act(items: list[int]) -> list[Outcome] | None:
        return [Done()] * 3 if next(short, False) else None

    service = Pretended(act)
    report = run(_awaited(batch(range(8), service)))
    assert report.succeeded == 8
    assert sorted(map(len, service.sent)) == [4, 4, 8]


def test_too_large_makes_the_next_chunks_smaller() -> None:
    """Chunks of over 5 are refused as too heavy: that is learnt, and few are refused."""

    def act(items: list[int]) -> None:
        if len(items) > 5:
            raise TooLarge("413")

    service = Pretended(act)
    report = run(_awaited(batch(range(400), service, weight=10, chunks=2)))
    assert report.succeeded == 400
    assert sum(len(items) > 5 for items in service.sent) <= 4
    assert len(service.sent) <= 90


def test_one_item_that_is_always_too_large_does_not_make_the_others_go_alone() -> None:
    """A refusal for size that is one item's own: chunks are as large as before once its company has landed."""

    def act(items: list[int]) -> None:
        if 3 in items:
            raise TooLarge("413")

    service = Pretended(act)

    async def main() -> None:
        one = batch(range(1000), service, weight=10, chunks=1)
        with pytest.raises(BatchError):
            await one
        assert one.report.failed == 1

    run(main())
    assert len(service.sent) <= 220


@pytest.mark.parametrize("chunks", [1, 8, 64])
def test_a_service_that_is_down_is_not_flooded(chunks: int) -> None:
    """Every request fails as if the service were at fault: after one chunk was divided for it, the rest fail as they are."""

    def act(items: list[int]) -> None:
        raise Down("500")

    service = Pretended(act)

    async def main() -> None:
        with pytest.raises(BatchError) as caught:
            await batch(range(20_000), service, count=64, chunks=chunks)
        assert caught.value.report.failed == 20_000

    run(main())
    assert len(service.sent) <= 1.2 * (20_000 / 64) + 64


def test_a_service_that_comes_back_is_used_again() -> None:
    """500s for a while, then well: the later chunks land, and bad ones are looked for again."""
    calls = 0

    def act(items: list[int]) -> None:
        nonlocal calls
        calls += 1
        if calls < 200:
            raise Down("500")
        _poisoned(items, {19_999})

    async def main() -> None:
        one = batch(range(20_000), Pretended(act), count=64, chunks=8)
        with pytest.raises(BatchError):
            await one
        failed = {result.item for result in one.report.failures}
        assert 19_999 in failed
        assert len(failed) <= 200 * 64
        assert 19_998 not in failed

    run(main())


def test_a_run_goes_once_and_is_iterated_inside_the_block() -> None:
    """Misuse is told."""

    async def main() -> None:
        one = batch(range(3), Pretended())
        with pytest.raises(RuntimeError, match="async with"):
            aiter(one)
        await one
        with pytest.raises(RuntimeError, match="once"):
            await one

    run(main())


@pytest.mark.parametrize("source", ["text", b"bytes", {"a": 1}, 5, None, object()])
def test_what_is_no_source_is_refused_at_once(source: object) -> None:
    """A TypeError where the run is made, that says to give a list."""
    with pytest.raises(TypeError, match="list"):
        batch(source, Pretended())


def test_an_empty_source_is_a_run_of_nothing() -> None:
    """No item, no request, no error."""
    service = Pretended()
    report = run(_awaited(batch([], service)))
    assert (report.submitted, len(service.sent)) == (0, 0)


def test_known_lengths_are_told() -> None:
    """progress.total is the length of a sized source, and None where it is not known or was wrong."""

    async def main() -> None:
        one = batch([1, 2, 3], Pretended())
        assert one.progress.total == 3
        assert batch(iter([1]), Pretended()).progress.total is None
        await one
        assert one.progress.rate > 0
        assert "3 of 3" in repr(one.progress)

    run(main())


async def _cancels_itself() -> None:
    """What awaits a shared task that somebody else has cancelled meets this."""
    shared = asyncio.ensure_future(asyncio.sleep(10))
    shared.cancel()
    await shared


def test_a_source_that_ends_in_a_cancellation_of_its_own_is_an_error() -> None:
    """What it gave lands, then the error comes up: the run does not end as if all were well."""

    async def source() -> AsyncIterator[int]:
        for number in range(25):
            yield number
        await _cancels_itself()

    async def main() -> BatchReport:
        one = batch(source(), Pretended())
        with pytest.raises(RuntimeError, match="the source awaited something that was cancelled"):
            await one
        assert alone()
        return one.report

    report = run(main())
    assert (report.submitted, report.succeeded, report.pending) == (25, 25, 0)


def test_a_send_that_ends_in_a_cancellation_of_its_own_is_the_fault_of_its_units() -> None:
    """They are tried again, and the others do not notice."""

    class Shaky(Pretended):
        async def send(self, units: Sequence[Unit]) -> Sequence[Outcome]:
            if units[0].item == 10 and len(units) == 10:
                await _cancels_itself()
            return await super().send(units)

    report = run(_awaited(batch(range(30), Shaky(), judges={RuntimeError: Verdict.DIVIDE})))
    assert (report.succeeded, report.pending) == (30, 0)


def test_a_prepare_that_ends_in_a_cancellation_of_its_own_ends_the_run() -> None:
    """Its items fail, and say so."""

    async def prepare(start: int, items: Sequence[Any]) -> list[Unit | ItemResult[Any, Any]]:
        await _cancels_itself()
        return []

    async def main() -> None:
        with pytest.raises(BatchError, match="what prepares the items awaited something that was cancelled"):
            await batch([1, 2, 3], Pretended(), prepare=prepare)
        assert alone()

    run(main())


def test_an_abandoned_generator_around_a_run_cancels_nobody_else() -> None:
    """Somebody's `async for` over a generator with a run inside is broken out of: the loop closes that generator in another task."""

    async def names() -> AsyncIterator[Any]:
        async with batch(range(10_000), Pretended()) as one:
            async for result in one:
                yield result.item

    async def main() -> None:
        async for _ in names():
            break
        gc.collect()
        await asyncio.sleep(10)
        assert alone()

    run(main())


def test_a_run_may_be_entered_in_one_task_and_left_in_another() -> None:
    """As fixtures are."""

    async def main() -> None:
        one = batch(range(100), Pretended())
        await asyncio.create_task(_entered(one))
        assert len([result async for result in one]) == 100
        await asyncio.create_task(one.__aexit__(None, None, None))
        assert alone()

    async def _entered(one: BatchRun[Any, Any]) -> None:
        await one.__aenter__()

    run(main())


def test_a_source_with_an_attribute_called_groups_is_a_source_like_any_other() -> None:
    """A plain iterable with something of that name is taken item by item."""

    class Dataset(list[int]):
        groups = "a name that others use too"

    assert run(_awaited(batch(Dataset(range(5)), Pretended()))).succeeded == 5
