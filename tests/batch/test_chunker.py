"""Invariants of the chunker: every item in exactly one chunk, every limit kept, chunks full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from itertools import combinations
from random import Random

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from customvision_async._batch.chunker import Chunker, ChunkLimits
from customvision_async._batch.work_item import WorkItem

LABELS = "abcdefghij"


@st.composite
def streams(draw: st.DrawFn) -> list[WorkItem]:
    """Generate items of a few partitions and affinities, with sizes, labels, keys and memory."""
    count = draw(st.integers(0, 70))
    lanes = draw(st.integers(1, 2))
    sets = draw(
        st.lists(st.frozensets(st.sampled_from(LABELS), max_size=4), min_size=1, max_size=6)
    )
    units = []
    for index in range(count):
        labels = draw(st.sampled_from(sets))
        plain = draw(st.booleans())
        weight = draw(st.integers(1, 30))
        units.append(
            WorkItem(
                index,
                None,
                None,
                weight,
                labels,
                key=draw(st.sampled_from([None, None, 1, 2])),
                partition=draw(st.integers(1, lanes)),
                affinity=labels if plain else None,
                memory=draw(st.sampled_from([0, 0, weight])),
                mixed_overhead=weight // 3 if plain else 0,
            )
        )
    return units


def limits_of(draw: st.DrawFn) -> ChunkLimits:
    """Generate limits of each kind, or None."""
    weight = draw(st.none() | st.integers(10, 120))
    labels = draw(st.none() | st.integers(4, 8))
    return ChunkLimits(draw(st.integers(1, 12)), weight, labels)


limits = st.composite(limits_of)()


def mixed(chunk: list[WorkItem]) -> bool:
    """Return whether a chunk has items of several affinities."""
    return len({unit.affinity for unit in chunk}) > 1


def size_of(chunk: list[WorkItem]) -> int:
    """Return the size of a chunk, which depends on whether it is mixed."""
    return sum(unit.size + (unit.mixed_overhead if mixed(chunk) else 0) for unit in chunk)


def fits(chunk: list[WorkItem], maximum: ChunkLimits) -> bool:
    """Return whether these items may be one chunk."""
    keys = [unit.key for unit in chunk if unit.key is not None]
    return (
        len(chunk) <= maximum.count
        and (maximum.size is None or size_of(chunk) <= maximum.size or len(chunk) == 1)
        and (
            maximum.labels is None
            or len(frozenset().union(*(unit.distinct_labels for unit in chunk))) <= maximum.labels
        )
        and len(keys) == len(set(keys))
        and len({unit.partition for unit in chunk}) <= 1
    )


def feed(chunker: Chunker, units: list[WorkItem], step: int) -> list[list[WorkItem]]:
    """Feed the items, `step` at a time, and return the chunks."""
    return [
        chunk
        for start in range(0, len(units), step)
        for chunk in chunker.feed(units[start : start + step])
    ]


@settings(max_examples=150, deadline=None)
@given(
    units=streams(),
    maximum=limits,
    step=st.integers(1, 30),
    waiting=st.integers(1, 40),
    memory=st.integers(1, 200),
)
def test_every_unit_is_in_one_chunk_and_every_limit_is_kept(
    units: list[WorkItem], maximum: ChunkLimits, step: int, waiting: int, memory: int
) -> None:
    """Each item is in one chunk that fits, in the order of its affinity, however items are fed."""
    chunker = Chunker(maximum, max_waiting=waiting, max_memory=memory)
    chunks = []
    for start in range(0, len(units), step):
        chunks += chunker.feed(units[start : start + step])
        assert chunker.waiting <= waiting
        assert chunker.memory <= memory
        gone = {unit.index for chunk in chunks for unit in chunk}
        assert {unit.index for unit in chunker.waiting_items()} == {
            unit.index for unit in units[: start + step]
        } - gone
        assert chunker.waiting == len(chunker.waiting_items())
        assert chunker.memory == sum(unit.memory for unit in chunker.waiting_items())
    chunks += chunker.flush()
    assert chunker.waiting == chunker.memory == 0
    assert Counter(unit.index for chunk in chunks for unit in chunk) == Counter(
        unit.index for unit in units
    )
    for chunk in chunks:
        assert fits(chunk, maximum), chunk


@settings(max_examples=100, deadline=None)
@given(units=streams(), maximum=limits, step=st.integers(1, 50))
def test_chunks_are_full(units: list[WorkItem], maximum: ChunkLimits, step: int) -> None:
    """A chunk is sent early only if it is full by count or size, or if too many items do not fit
    together.
    """
    chunker = Chunker(maximum, max_waiting=10_000, max_memory=10**9)
    for start in range(0, len(units), step):
        for chunk in chunker.feed(units[start : start + step]):
            assert not mixed(chunk)
            full = len(chunk) == maximum.count or (
                maximum.size is not None and size_of(chunk) + 30 > maximum.size
            )
            kin = {
                unit.index
                for unit in units[: start + step]
                if (unit.partition, unit.affinity) == (chunk[0].partition, chunk[0].affinity)
            }
            assert full or len(kin) > 16
    left = chunker.flush()
    event(f"chunks at the end: {len(left)}")
    for one, other in combinations(left, 2):
        assert not fits(one + other, maximum) or size_of(one) > (maximum.size or size_of(one)), (
            "two chunks could have been one"
        )


@settings(max_examples=100, deadline=None)
@given(units=streams(), maximum=limits)
def test_pure_kinds_stay_pure_where_that_costs_no_chunk(
    units: list[WorkItem], maximum: ChunkLimits
) -> None:
    """The rest is mixed only if that saves a chunk."""
    apart = Chunker(maximum, max_waiting=10_000, max_memory=10**9)
    apart.feed(units)
    opened = {}
    for unit in apart.waiting_items():
        opened.setdefault((unit.partition, unit.affinity), []).append(unit)
    pure = 0
    for kin in opened.values():
        alone = Chunker(maximum, max_waiting=10_000, max_memory=10**9)
        pure += len(alone.feed(kin)) + len(alone.flush())
    left = apart.flush()
    assert len(left) <= pure
    if len(left) == pure:
        assert not any(mixed(chunk) for chunk in left)


def test_units_whose_labels_do_not_go_together_still_make_full_chunks() -> None:
    """Images with one of two sets of 11 tags in turn: two full chunks, not 128 chunks of one."""
    one, other = (frozenset(f"{name}{number}" for number in range(11)) for name in "ab")
    chunker = Chunker(ChunkLimits(64, None, 20))
    chunks = chunker.feed([WorkItem(n, None, None, 1, one if n % 2 else other) for n in range(128)])
    assert [len(chunk) for chunk in chunks] == [64, 64]


def test_a_key_that_comes_back_does_not_cut_chunks_short() -> None:
    """The same URL for every tenth item: repeats go to other chunks, and the first chunk is
    full.
    """
    chunker = Chunker(ChunkLimits(64))
    chunks = chunker.feed(
        [WorkItem(n, None, None, key="same" if n % 10 == 0 else n) for n in range(200)]
    )
    assert max(map(len, chunks)) == 64


def test_many_kinds_are_sent_in_full_mixtures() -> None:
    """1,000 tag sets of 2 items each, of which 100 may wait: the chunks are full."""
    chunker = Chunker(ChunkLimits(10), max_waiting=100)
    chunks = feed(chunker, [WorkItem(n, None, None, affinity=n // 2) for n in range(2000)], 7)
    assert {len(chunk) for chunk in chunks} == {10}


def test_a_mixture_is_weighed_as_what_it_becomes() -> None:
    """A mixed chunk sends plain images as base64, which is a third larger. The limit
    includes that.
    """
    chunker = Chunker(ChunkLimits(64, 100))
    assert not chunker.feed(
        [
            WorkItem(0, None, None, 48, affinity="a", mixed_overhead=16),
            WorkItem(1, None, None, 48, affinity="b", mixed_overhead=16),
        ]
    )
    assert [len(chunk) for chunk in chunker.flush()] == [1, 1]
    assert not chunker.feed(
        [
            WorkItem(0, None, None, 48, affinity="a", mixed_overhead=16),
            WorkItem(1, None, None, 48, affinity="a", mixed_overhead=16),
        ]
    )
    assert [len(chunk) for chunk in chunker.flush()] == [2]


def test_the_heaviest_memory_goes_first() -> None:
    """To free memory, the items that hold most of it are sent first, however few they are."""
    chunker = Chunker(ChunkLimits(64), max_memory=100)
    chunker.feed([WorkItem(n, None, None, partition="files") for n in range(50)])
    chunks = [
        chunk
        for n in range(10)
        for chunk in chunker.feed([WorkItem(n, None, None, partition=f"data{n}", memory=60)])
    ]
    assert [unit.partition for chunk in chunks for unit in chunk] == [f"data{n}" for n in range(9)]


def test_the_weight_that_is_taken_is_learnt() -> None:
    """A refusal halves the maximum size, and successes restore it.

    One bad item does not make every chunk small.
    """
    maximum = ChunkLimits(64, 1000)
    maximum.shrink(800)
    assert maximum.size == 400
    maximum.shrink(800)
    assert maximum.size == 400
    for refused in (400, 200, 100, 50):  # bisecting to find a bad item
        maximum.shrink(refused)
    assert maximum.size == 25
    for landed in (25, 50, 100, 200, 400):  # the other items of its chunk
        maximum.accept(landed)
    assert maximum.size == 400
    maximum.shrink(500)
    assert maximum.size == 400


class Looked(frozenset[str]):
    """Labels that count how often they are compared with those of a chunk."""

    looks = 0

    def __and__(self, other: AbstractSet[object]) -> frozenset[str]:
        Looked.looks += 1
        return super().__and__(other)

    def __le__(self, other: AbstractSet[object]) -> bool:
        Looked.looks += 1
        return super().__le__(other)


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize(
    ("each", "of"), [(20, 5000), (11, 5000), (5, 5000), (15, 200), (3, 200), (18, 22), (1, 2000)]
)
def test_no_call_tries_more_than_its_share(each: int, of: int, own: bool) -> None:
    """A call compares each new item with few open chunks, so that it never blocks the loop for
    long.
    """
    random = Random(1)
    names = [str(n) for n in range(of)]
    labels = [Looked(random.sample(names, each)) for _ in range(4096)]
    units = [
        WorkItem(n, None, None, distinct_labels=some, affinity=some if own else None)
        for n, some in enumerate(labels)
    ]
    chunker = Chunker(ChunkLimits(64, labels=20))
    gone = 0
    for start in range(0, len(units), 64):
        Looked.looks = 0
        gone += sum(map(len, chunker.feed(units[start : start + 64])))
        assert Looked.looks < 64 * 300
    Looked.looks = 0
    gone += sum(map(len, chunker.flush()))
    assert Looked.looks < 256 * 256
    assert gone == len(units)


@pytest.mark.parametrize(
    ("least", "maximum", "of", "fill"),
    [(1, 3, 200, 17), (1, 5, 50, 23), (0, 2, 20, 60), (1, 1, 500, 36)],
)
def test_chunks_of_many_sets_of_tags_are_well_filled(
    least: int, maximum: int, of: int, fill: int
) -> None:
    """Images with a few of many tags, 20 per request: those that share tags go together."""
    random = Random(1)
    names = [str(n) for n in range(of)]
    labels = [
        frozenset(random.sample(names, random.randint(least, maximum))) for _ in range(10_000)
    ]
    chunker = Chunker(ChunkLimits(64, labels=20))
    chunks = (
        feed(
            chunker,
            [
                WorkItem(n, None, None, distinct_labels=some, affinity=some)
                for n, some in enumerate(labels)
            ],
            64,
        )
        + chunker.flush()
    )
    assert len(labels) / len(chunks) >= fill


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(0, 40), max_size=12), count=st.integers(1, 15))
def test_items_that_are_alike_make_as_few_chunks_as_there_can_be(
    sizes: list[int], count: int
) -> None:
    """Full chunks in the order of the source and one rest, however the source groups the items."""
    chunker = Chunker(ChunkLimits(count))
    chunks: list[Sequence[WorkItem]] = []
    start = 0
    for size in sizes:
        chunks += chunker.feed([WorkItem(start + n, None, None, 1) for n in range(size)])
        start += size
        assert chunker.waiting == len(chunker.waiting_items()) == start - sum(map(len, chunks))
    chunks += chunker.flush()
    assert [unit.index for chunk in chunks for unit in chunk] == list(range(start))
    full, rest = divmod(start, count)
    assert [len(chunk) for chunk in chunks] == [count] * full + [rest] * (rest > 0)


def test_a_chunk_is_cut_by_the_weight_that_holds_when_it_is_filled() -> None:
    """The maximum size is learnt during the run: later chunks are smaller."""
    limits = ChunkLimits(100)
    chunker = Chunker(limits)
    assert chunker.feed([WorkItem(n, None, None, 2) for n in range(10)]) == []
    limits.shrink(80)
    chunks = chunker.feed([WorkItem(n, None, None, 2) for n in range(10, 90)]) + chunker.flush()
    assert [len(chunk) for chunk in chunks] == [20, 20, 20, 20, 10]
