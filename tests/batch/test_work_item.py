"""Spans: units in columns. A run with them is the same as one without, whatever happens to them on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import ItemError, ItemResult
from customvision_async._batch.chunker import Chunker, ChunkLimits
from customvision_async._batch.work_item import (
    Done,
    Failed,
    Outcome,
    Span,
    WorkItem,
    attempted,
    payloads_of,
    settle,
    unsettled,
)

from ..support.engine import FakeTransport, Lost, Poison, batch
from ..support.virtual_loop import run


class Columns(FakeTransport):
    """A service that looks at what units stand for and never at a unit. It refuses chunks with a bad item, and answers some by itself."""

    def __init__(self, bad: set[int], failing: set[int], there: set[int]) -> None:
        super().__init__()
        self.bad, self.failing, self.there = bad, failing, there

    async def send(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
        """One request."""
        loads = list(payloads_of(units))
        self.sent.append(loads)
        attempted(units, 1)
        await asyncio.sleep(1.0)
        if self.bad & set(loads):
            raise Poison("one of them is bad")
        if len(loads) == 1 and loads[0] in self.failing:
            raise Lost("this one is lost")
        alike = Done()
        return [
            Failed(f"{load} fails", "ErrorX")
            if load in self.failing
            else Done(duplicate=True)
            if load in self.there
            else alike
            for load in loads
        ]


async def _apart(start: int, items: Sequence[int]) -> Sequence[WorkItem | ItemResult[Any, Any]]:
    return [WorkItem(start + n, item, item, 1) for n, item in enumerate(items)]


async def _span(start: int, items: Sequence[int]) -> Sequence[WorkItem | ItemResult[Any, Any]]:
    return Span(start, items, items)


def _kept(result: ItemResult[Any, Any]) -> tuple[Any, ...]:
    error = (
        None if result.error is None else (str(result.error), result.error.index, result.error.item)
    )
    return (
        result.index,
        result.item,
        result.ok,
        result.status,
        error,
        result.attempts,
        result.duplicate,
        result.in_doubt,
    )


@settings(max_examples=120, deadline=None)
@given(
    count=st.integers(0, 90),
    weight=st.none() | st.integers(1, 12),
    bad=st.sets(st.integers(0, 89), max_size=4),
    failing=st.sets(st.integers(0, 89), max_size=4),
    there=st.sets(st.integers(0, 89), max_size=20),
    looked=st.booleans(),
    watched=st.booleans(),
)
def test_a_run_of_spans_is_the_same_as_a_run_of_units(
    count: int,
    weight: int | None,
    bad: set[int],
    failing: set[int],
    there: set[int],
    looked: bool,
    watched: bool,
) -> None:
    """The same requests, results, attempts and account, with or without somebody who looks at the report on the way."""

    async def whole(prepare: Any) -> tuple[Any, ...]:
        service = Columns(bad, failing, there)
        one = batch(range(count), service, weight=weight, prepare=prepare)

        async def watch() -> None:
            while True:
                report = one.report
                assert report.submitted == report.succeeded + report.failed + report.pending
                assert (
                    report.pending == len(report.pending_items) == len(dict(report.pending_items))
                )
                assert all(index == item for index, item in report.pending_items)
                await asyncio.sleep(0.4)

        watcher = asyncio.ensure_future(watch()) if looked else None
        results: list[tuple[Any, ...]] = []
        if watched:
            async with one:
                results += [_kept(result) async for result in one]
        elif bad | failing:
            await asyncio.gather(one, return_exceptions=True)
        else:
            await one
        if watcher is not None:
            watcher.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watcher
        report = one.report
        failures = sorted(_kept(result) for result in report.failures)
        return (
            sorted(map(sorted, service.sent)), sorted(results), failures, report.submitted, report.succeeded, report.failed,
            report.pending, report.duplicates, report.in_doubt, report.pending_items,
        )  # fmt: skip

    apart, columns = run(whole(_apart)), run(whole(_span))
    assert columns == apart
    assert apart[3] == count


@settings(max_examples=100, deadline=None)
@given(
    pieces=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.integers(1, 3)), max_size=12),
    count=st.integers(1, 15),
    weight=st.none() | st.integers(1, 30),
)
def test_spans_and_units_of_one_source_come_out_once_in_chunks_that_fit(
    pieces: list[tuple[int, bool, int]], count: int, weight: int | None
) -> None:
    """Groups of both sorts in any order, of any weight: each unit is in one chunk, with its own number and item."""
    chunker = Chunker(ChunkLimits(count, weight))
    chunks: list[Sequence[WorkItem]] = []
    start = 0
    for size, columns, each in pieces:
        items = [f"i{start + n}" for n in range(size)]
        chunks += chunker.feed(
            Span(start, items, items, each)
            if columns
            else [WorkItem(start + n, i, i, each) for n, i in enumerate(items)]
        )
        start += size
        assert chunker.waiting == len(chunker.waiting_units()) == start - sum(map(len, chunks))
    chunks += chunker.flush()
    assert chunker.waiting == 0
    assert sorted(unit.index for chunk in chunks for unit in chunk) == list(range(start))
    for chunk in chunks:
        assert len(chunk) <= count
        assert weight is None or sum(unit.size for unit in chunk) <= weight or len(chunk) == 1
        assert all(unit.item == unit.payload == f"i{unit.index}" for unit in chunk)


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 40), max_size=12), count=st.integers(1, 15))
def test_spans_are_cut_into_as_few_chunks_as_there_can_be(sizes: list[int], count: int) -> None:
    """However the source is grouped: full chunks, and one rest. None of them is taken apart."""
    chunker = Chunker(ChunkLimits(count))
    chunks: list[Sequence[WorkItem]] = []
    start = 0
    for size in sizes:
        chunks += chunker.feed(Span(start, range(start, start + size), range(start, start + size)))
        start += size
    chunks += chunker.flush()
    assert [len(chunk) for chunk in chunks] == [count] * (start // count) + [start % count] * (
        start % count > 0
    )
    assert all(isinstance(chunk, Span) and chunk.whole for chunk in chunks)


class _Copied(list[int]):
    """A list that counts what is copied from it and from its parts."""

    copied = 0

    def __getitem__(self, place: Any) -> Any:
        part = super().__getitem__(place)
        if not isinstance(place, slice):
            return part
        _Copied.copied += len(part)
        return _Copied(part)


def test_a_span_that_is_much_longer_than_a_chunk_is_cut_in_one_go() -> None:
    """A source may give a million items at once: each is copied once, whatever comes after it."""
    chunker = Chunker(ChunkLimits(10))
    _Copied.copied = 0
    assert len(chunker.feed(Span(0, _Copied(range(10_000)), range(10_000)))) == 1000
    assert chunker.flush() == []
    assert _Copied.copied == 10_000


def test_what_waits_is_cut_anew_when_less_fits_a_chunk() -> None:
    """What a chunk may weigh is learnt on the way: nothing that is over it is made any more, at the end neither."""
    limits = ChunkLimits(100)
    chunker = Chunker(limits)
    assert chunker.feed(Span(0, range(90), range(90), 2)) == []
    limits.refused(80)
    assert [len(chunk) for chunk in chunker.flush()] == [20, 20, 20, 20, 10]
    assert chunker.feed(Span(0, [], [])) == chunker.flush() == []


def test_items_that_fail_before_they_are_sent_stand_between_spans() -> None:
    """Every item has its own result, whichever way its neighbours go."""

    async def prepare(
        start: int, items: Sequence[int]
    ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
        if any(item % 50 == 7 for item in items):
            error = ItemError("no id", index=0, item=None)
            return [
                ItemResult(start + n, i, False, "", error=error)
                if i % 50 == 7
                else WorkItem(start + n, i, i)
                for n, i in enumerate(items)
            ]
        return Span(start, items, items)

    async def main() -> None:
        service = Columns(set(), set(), set())
        async with batch(range(200), service, prepare=prepare) as one:
            results = sorted([(result.index, result.item, result.ok) async for result in one])
        assert results == [(n, n, n % 50 != 7) for n in range(200)]
        assert len(service.sent) <= 200 // 10 + 1

    run(main())


def test_what_became_of_a_unit_stays_with_it() -> None:
    """A span that was sent and is taken apart then: its units know of it, and are always the same ones."""
    span = Span(5, ["a", "b"], ["A", "B"])
    attempted(span, 2)
    assert span.whole
    assert [(unit.index, unit.item, unit.payload, unit.attempts) for unit in span] == [
        (5, "a", "A", 2),
        (6, "b", "B", 2),
    ]
    assert not span.whole
    attempted(span, 1)
    assert [unit.attempts for unit in span] == [3, 3]
    assert span[1] is next(iter(span[1:]))


@pytest.mark.parametrize("looked", [False, True])
def test_what_is_settled_is_not_unsettled(looked: bool) -> None:
    """Whether a span has been taken apart before or after."""
    span = Span(5, ["a", "b"], ["A", "B"])
    if looked:
        assert [unit.index for unit in unsettled(span)] == [5, 6]
    settle(span)
    assert unsettled(span) == []
    assert all(unit.settled for unit in span)
    assert unsettled(span) == []
