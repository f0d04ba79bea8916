"""Divide a stream of work items into chunks that are within every limit. No I/O.

Work items wait in open chunks by partition, affinity and labels, so that those that are cheapest
together share a request. When too many wait, or the source ends, open chunks of a partition are
combined. The service counts requests, so few mixed chunks are better than many pure ones.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from .work_item import WorkItem

__all__ = ["ChunkLimits", "Chunker"]

_MAX_ALIKE_CHUNKS = 16
"""Maximum number of open chunks in one place. Their work items do not fit together because of
their keys or sizes. Above this number, the fullest chunk is sent."""
_MAX_OPEN_CHUNKS = 256
"""Maximum number of open chunks in total. Combining them compares each pair, so a higher number
would block the event loop for longer."""
_SCAN_PER_ITEM = 32
"""Number of open chunks to compare per work item that a combined chunk gains. If few fit together,
the search ends early."""

_Place = tuple[Hashable, Hashable, frozenset[str]]
"""The partition, affinity and labels that the work items of one open chunk share."""


@dataclass(slots=True)
class ChunkLimits:
    """The limits of one chunk. The size limit adapts to the responses of the service.

    A work item larger than `size` is sent alone.

    Attributes:
        count: Maximum number of work items.
        size: Maximum total size, or None for no limit.
        labels: Maximum number of distinct labels, or None for no limit.
        largest_sent: Size of the largest chunk that the service accepted.
    """

    count: int
    size: int | None = None
    labels: int | None = None
    largest_sent: int = 0

    def shrink(self, size: int) -> None:
        """Lower the limit to half of `size`, the size of a chunk that was rejected as too large.

        The limit never falls below a size that the service has accepted.
        """
        maximum = max(1, size // 2, self.largest_sent)
        if self.size is None or maximum < self.size:
            self.size = maximum

    def accept(self, size: int) -> None:
        """Raise the limit to the size of a chunk that the service accepted."""
        if size > self.largest_sent:
            self.largest_sent = size
            if self.size is not None and size > self.size:
                self.size = size


class _OpenChunk:
    """A chunk that is being filled."""

    __slots__ = (
        "affinity",
        "keys",
        "labels",
        "memory",
        "mixed",
        "mixed_overhead",
        "place",
        "size",
        "work_items",
    )

    def __init__(self, place: _Place, work_items: Iterable[WorkItem] = ()) -> None:
        self.place = place
        self.reset(work_items)

    def reset(self, work_items: Iterable[WorkItem]) -> None:
        """Replace the contents with `work_items`."""
        self.work_items: list[WorkItem] = []
        self.size = self.mixed_overhead = self.memory = 0
        self.affinity: Hashable = None
        self.mixed = False
        self.labels: frozenset[str] = frozenset()
        self.keys: set[Hashable] = set()
        for work_item in work_items:
            self.add(work_item)

    def too_large_with(self, work_item: WorkItem, limits: ChunkLimits) -> bool:
        """Return whether adding `work_item` to a chunk with others would exceed the size limit."""
        if limits.size is None or not self.work_items:
            return False
        size = self.size + work_item.size
        if self.mixed or work_item.affinity != self.affinity:
            size += self.mixed_overhead + work_item.mixed_overhead
        return size > limits.size

    def takes(self, work_item: WorkItem, limits: ChunkLimits) -> bool:
        """Return whether `work_item` may be added. Its labels must fit."""
        if not self.work_items:
            return True
        if len(self.work_items) >= limits.count or self.too_large_with(work_item, limits):
            return False
        return work_item.key is None or work_item.key not in self.keys

    def could_take(self, other: _OpenChunk, limits: ChunkLimits, *, whole: bool) -> bool:
        """Return whether a work item of `other`, or with `whole` all of them, may be added.

        Their labels must fit.
        """
        if not whole:
            for work_item in other.work_items:  # noqa: SIM110  # a generator costs more
                if self.takes(work_item, limits):
                    return True
            return False
        if len(self.work_items) + len(other.work_items) > limits.count or not self.keys.isdisjoint(
            other.keys
        ):
            return False
        mixed = self.mixed or other.mixed or self.affinity != other.affinity
        size = self.size + other.size + (self.mixed_overhead + other.mixed_overhead if mixed else 0)
        return limits.size is None or size <= limits.size

    def take(self, other: _OpenChunk, limits: ChunkLimits, *, whole: bool) -> None:
        """Move the work items of `other` that fit. With `whole`, move all or none."""
        if not self.could_take(other, limits, whole=whole):
            return
        left: list[WorkItem] = []
        for work_item in other.work_items:
            if self.takes(work_item, limits):
                self.add(work_item)
            else:
                left.append(work_item)
        other.reset(left)

    def add(self, work_item: WorkItem) -> None:
        """Add a work item, which must fit."""
        if not self.work_items:
            self.affinity = work_item.affinity
        elif work_item.affinity != self.affinity:
            self.mixed = True
        self.work_items.append(work_item)
        self.size += work_item.size
        self.mixed_overhead += work_item.mixed_overhead
        self.memory += work_item.memory
        if not work_item.distinct_labels <= self.labels:
            self.labels |= work_item.distinct_labels
        if work_item.key is not None:
            self.keys.add(work_item.key)

    def full(self, limits: ChunkLimits) -> bool:
        """Return whether nothing more fits."""
        if len(self.work_items) >= limits.count:
            return True
        return (
            limits.size is not None
            and self.size + (self.mixed_overhead if self.mixed else 0) >= limits.size
        )


class Chunker:
    """Collect work items into open chunks, and return full ones.

    Args:
        limits: Limits of a chunk.
        max_waiting: Maximum number of work items in open chunks. Above it, the oldest open chunk is
            filled from the others and closed.
        max_memory: Maximum memory in bytes of work items in open chunks. Above it, the open chunk
            that uses most memory is filled and closed.
    """

    def __init__(
        self, limits: ChunkLimits, *, max_waiting: int = 2048, max_memory: int = 64_000_000
    ) -> None:
        self._limits = limits
        self._max_waiting = max_waiting
        self._max_memory = max_memory
        # In the order of their creation.
        self._open: dict[_Place, list[_OpenChunk]] = {}
        self._opened = 0
        self._scan_budget = _MAX_OPEN_CHUNKS
        self._waiting = 0
        self._memory = 0

    @property
    def waiting(self) -> int:
        """Number of work items in open chunks."""
        return self._waiting

    @property
    def memory(self) -> int:
        """Memory in bytes of the work items in open chunks."""
        return self._memory

    def waiting_items(self) -> list[WorkItem]:
        """Return the work items in open chunks."""
        return [work_item for chunk in self._all_open() for work_item in chunk.work_items]

    def feed(self, work_items: Iterable[WorkItem]) -> list[Sequence[WorkItem]]:
        """Add work items, and return the chunks that are full."""
        full: list[Sequence[WorkItem]] = []
        limits, opened = self._limits, self._open
        added = list(work_items)
        number = 0
        while number < len(added):
            work_item = added[number]
            place = (work_item.partition, work_item.affinity, work_item.distinct_labels)
            for chunk in opened.get(place, ()):
                if chunk.takes(work_item, limits):
                    break
            else:
                full += self._evict(place, work_item)
                chunk = self._start(place)
            chunk.add(work_item)
            self._waiting += 1
            self._memory += work_item.memory
            number += 1
            if number < len(added) and not chunk.full(limits) and chunk is opened[place][0]:
                number = self._add_similar(added, number, chunk)
            if chunk.full(limits):
                full.append(self._close(chunk))
            while self._memory > self._max_memory:
                full.append(
                    self._fill_and_close(max(self._all_open(), key=lambda chunk: chunk.memory))
                )
            while self._waiting > self._max_waiting or self._opened > _MAX_OPEN_CHUNKS:
                full.append(self._fill_and_close(next(self._all_open())))
        return full

    def _add_similar(self, work_items: list[WorkItem], start: int, chunk: _OpenChunk) -> int:
        """Add the work items from `start` on that belong in the place of `chunk`, while they fit.

        Return the index after the last one added. This is a fast path for runs of similar items.
        """
        like = chunk.work_items[-1]
        partition, affinity, labels = like.partition, like.affinity, like.distinct_labels
        if like.key is not None:
            return start
        size = memory = 0
        maximum = math.inf if self._limits.size is None else self._limits.size - chunk.size
        max_memory = self._max_memory - self._memory
        end = start
        room = max(
            0, min(self._limits.count - len(chunk.work_items), self._max_waiting - self._waiting)
        )
        for work_item in work_items[start : start + room]:
            if (
                work_item.affinity is not affinity
                or work_item.distinct_labels is not labels
                or work_item.partition is not partition
                or work_item.key is not None
            ):
                break
            size += work_item.size
            if size > maximum or memory > max_memory:
                size -= work_item.size
                break
            memory += work_item.memory
            end += 1
        added = work_items[start:end]
        chunk.work_items += added
        chunk.size += size
        if affinity is not None:
            chunk.mixed_overhead += sum([work_item.mixed_overhead for work_item in added])
        chunk.memory += memory
        self._waiting += end - start
        self._memory += memory
        return end

    def flush(self) -> list[Sequence[WorkItem]]:
        """Close all open chunks, and return them combined into few chunks."""
        partitions: dict[Hashable, dict[Hashable, list[_OpenChunk]]] = {}
        for (partition, affinity, _), chunks in self._open.items():
            partitions.setdefault(partition, {}).setdefault(affinity, []).extend(chunks)
        self._open.clear()
        self._opened = self._waiting = self._memory = 0
        return [
            chunk.work_items
            for by_affinity in partitions.values()
            for chunk in self._combine(list(by_affinity.values()))
        ]

    def _combine(self, by_affinity: Sequence[Sequence[_OpenChunk]]) -> list[_OpenChunk]:
        """Combine the open chunks of a partition.

        Chunks are divided only if that gives fewer chunks, so that pure chunks stay pure. Dividing
        is not tried if there are many chunks, because these are small.
        """
        pure = [
            chunk
            for chunks in by_affinity
            for chunk in (self._pack(chunks, whole=False) if len(chunks) > 1 else chunks)
        ]
        if len(by_affinity) == 1:
            return pure
        pure.sort(key=lambda chunk: len(chunk.work_items), reverse=True)
        copies = (
            [_OpenChunk(chunk.place, chunk.work_items) for chunk in pure]
            if len(pure) <= _MAX_OPEN_CHUNKS // 2
            else []
        )
        whole, divided = self._pack(pure, whole=True), self._pack(copies, whole=False)
        return divided if 0 < len(divided) < len(whole) else whole

    def _pack(self, opened: Sequence[_OpenChunk], *, whole: bool) -> list[_OpenChunk]:
        """Combine chunks greedily, in order. With `whole`, never divide one."""
        done: list[_OpenChunk] = []
        left = list(opened)
        while left:
            base = left.pop(0)
            self._fill(base, left, whole=whole)
            left = [chunk for chunk in left if chunk.work_items]
            done.append(base)
        return done

    def _fill_and_close(self, base: _OpenChunk) -> list[WorkItem]:
        """Fill an open chunk from others of its partition, and close it.

        Only the oldest others are compared. Their number adapts to how many items recent searches
        found.
        """
        self._close(base)
        count, memory, partition = len(base.work_items), base.memory, base.place[0]
        others = [
            other
            for other in islice(self._all_open(), self._scan_budget)
            if other.place[0] == partition
        ]
        self._fill(base, others, whole=False)
        self._waiting -= len(base.work_items) - count
        self._memory -= base.memory - memory
        for other in others:
            if not other.work_items:
                self._close(other)
        self._scan_budget += (_SCAN_PER_ITEM * (1 + len(base.work_items)) - self._scan_budget) // 8
        return base.work_items

    def _fill(self, base: _OpenChunk, others: Sequence[_OpenChunk], *, whole: bool) -> None:
        """Move work items of `others` to `base`.

        Chunks without new labels come first, then the chunk with the most work items per new label.
        A chunk that does not fit now never will, so each step compares fewer chunks.
        """
        limits = self._limits
        while others and not base.full(limits):
            best: _OpenChunk | None = None
            least = math.inf
            left: list[_OpenChunk] = []
            for other in others:
                new = (
                    0
                    if limits.labels is None
                    else len(other.labels) - len(other.labels & base.labels)
                )
                if not new:
                    base.take(other, limits, whole=whole)
                elif limits.labels is not None and len(base.labels) + new <= limits.labels:
                    cost = new / len(other.work_items)
                    if cost >= least:
                        left.append(other)
                    elif base.could_take(other, limits, whole=whole):
                        left.append(other)
                        best, least = other, cost
            if best is None:
                return
            base.take(best, limits, whole=whole)
            left.remove(best)
            others = left

    def _all_open(self) -> Iterator[_OpenChunk]:
        return chain.from_iterable(self._open.values())

    def _start(self, place: _Place) -> _OpenChunk:
        chunk = _OpenChunk(place)
        self._open.setdefault(place, []).append(chunk)
        self._opened += 1
        return chunk

    def _close(self, chunk: _OpenChunk) -> list[WorkItem]:
        place = chunk.place
        chunks = self._open[place]
        chunks.remove(chunk)
        if not chunks:
            del self._open[place]
        self._opened -= 1
        self._waiting -= len(chunk.work_items)
        self._memory -= chunk.memory
        return chunk.work_items

    def _evict(self, place: _Place, work_item: WorkItem) -> list[list[WorkItem]]:
        """Make room in a place where no open chunk takes `work_item`.

        Close the chunks that are too large for it, and the fullest if there are many.
        """
        closed = [
            self._close(chunk)
            for chunk in list(self._open.get(place, ()))
            if chunk.too_large_with(work_item, self._limits)
        ]
        left = self._open.get(place, ())
        if len(left) >= _MAX_ALIKE_CHUNKS:
            closed.append(self._close(max(left, key=lambda chunk: len(chunk.work_items))))
        return closed
