"""Cutting a stream of units into chunks that keep every limit at once. An object, no I/O.

Units wait in open chunks by `kind` and labels, so that units that are cheapest together travel together. When too many wait (or
the source ends), open chunks of a lane are put together: a full chunk is worth more than a pure one, because the service
counts calls.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from .work_item import Span, WorkItem

__all__ = ["ChunkLimits", "Chunker"]

_MAX_ALIKE_CHUNKS = 16
"""Open chunks of units that are alike but do not go together for their keys or weight; then the fullest is sent."""
_MAX_OPEN_CHUNKS = 256
"""Open chunks in all: putting them together at the end looks at each once for each other. More of them hold the event loop longer."""
_SCAN_PER_ITEM = 32
"""Open chunks that are looked at for each unit that a mixture comes to: where nothing goes together there is little to look for."""

_Place = tuple[Hashable, Hashable, frozenset[str]]
"""What units of one open chunk have in common: lane, kind and labels."""


@dataclass(slots=True)
class ChunkLimits:
    """What one chunk may hold: `count` units, `weight` in all, `labels` distinct ones.

    A unit that is over `weight` by itself goes alone. `weight` is learnt: see :meth:`refused` and :meth:`landed`.
    """

    count: int
    weight: int | None = None
    labels: int | None = None
    most_landed: int = 0
    """The heaviest chunk that the other side took."""

    def refused(self, weight: int) -> None:
        """A chunk was too heavy for the other side: make none over half of that, but for what is known to land."""
        most = max(1, weight // 2, self.most_landed)
        if self.weight is None or most < self.weight:
            self.weight = most

    def landed(self, weight: int) -> None:
        """The other side took a chunk of this weight: what was refused before was not refused for being as heavy."""
        if weight > self.most_landed:
            self.most_landed = weight
            if self.weight is not None and weight > self.weight:
                self.weight = weight


class _OpenChunk:
    """A chunk that is being filled."""

    __slots__ = ("extra", "held", "keys", "kind", "labels", "mixed", "place", "units", "weight")

    def __init__(self, place: _Place, units: Iterable[WorkItem] = ()) -> None:
        self.place = place
        self.hold(units)

    def hold(self, units: Iterable[WorkItem]) -> None:
        """Begin anew, with `units`."""
        self.units: list[WorkItem] = []
        self.weight = self.extra = self.held = 0
        self.kind: Hashable = None
        self.mixed = False
        self.labels: frozenset[str] = frozenset()
        self.keys: set[Hashable] = set()
        for unit in units:
            self.add(unit)

    def heavy(self, unit: WorkItem, limits: ChunkLimits) -> bool:
        """Whether `unit` is too much for it by weight."""
        if limits.weight is None or not self.units:
            return False
        weight = self.weight + unit.size
        if self.mixed or unit.affinity != self.kind:
            weight += self.extra + unit.mixed_overhead
        return weight > limits.weight

    def takes(self, unit: WorkItem, limits: ChunkLimits) -> bool:
        """Whether `unit`, whose labels are known to fit, may join it."""
        if not self.units:
            return True
        if len(self.units) >= limits.count or self.heavy(unit, limits):
            return False
        return unit.key is None or unit.key not in self.keys

    def could_take(self, other: _OpenChunk, limits: ChunkLimits, *, whole: bool) -> bool:
        """Whether anything of `other` may join it, or with `whole` all of it. Its labels are known to fit."""
        if not whole:
            for unit in other.units:  # noqa: SIM110 - a generator would cost more than most of these looks
                if self.takes(unit, limits):
                    return True
            return False
        if len(self.units) + len(other.units) > limits.count or not self.keys.isdisjoint(
            other.keys
        ):
            return False
        mixed = self.mixed or other.mixed or self.kind != other.kind
        weight = self.weight + other.weight + (self.extra + other.extra if mixed else 0)
        return limits.weight is None or weight <= limits.weight

    def take(self, other: _OpenChunk, limits: ChunkLimits, *, whole: bool) -> None:
        """Move here what may join of `other`, or with `whole` all of it or nothing."""
        if not self.could_take(other, limits, whole=whole):
            return
        left: list[WorkItem] = []
        for unit in other.units:
            if self.takes(unit, limits):
                self.add(unit)
            else:
                left.append(unit)
        other.hold(left)

    def add(self, unit: WorkItem) -> None:
        if not self.units:
            self.kind = unit.affinity
        elif unit.affinity != self.kind:
            self.mixed = True
        self.units.append(unit)
        self.weight += unit.size
        self.extra += unit.mixed_overhead
        self.held += unit.memory
        if not unit.distinct_labels <= self.labels:
            self.labels |= unit.distinct_labels
        if unit.key is not None:
            self.keys.add(unit.key)

    def full(self, limits: ChunkLimits) -> bool:
        """Whether nothing more can join it."""
        if len(self.units) >= limits.count:
            return True
        return (
            limits.weight is not None
            and self.weight + (self.extra if self.mixed else 0) >= limits.weight
        )


class Chunker:
    """Feed units, get chunks.

    Args:
        limits: what a chunk may hold.
        waiting: units that may wait in open chunks before the oldest of these is filled up from the others and sent.
        held: memory (bytes) that waiting units may hold before the same is done with the one that holds most.
    """

    def __init__(self, limits: ChunkLimits, *, waiting: int = 2048, held: int = 64_000_000) -> None:
        self._limits = limits
        self._most_waiting = waiting
        self._most_held = held
        self._open: dict[_Place, list[_OpenChunk]] = {}  # the oldest first
        self._opened = 0
        self._scan_budget = _MAX_OPEN_CHUNKS
        self._span: Span | None = None
        self._waiting = 0
        self._held = 0

    @property
    def waiting(self) -> int:
        """Units in open chunks."""
        return self._waiting + (len(self._span) if self._span is not None else 0)

    @property
    def held(self) -> int:
        """Memory that they hold."""
        return self._held

    def waiting_units(self) -> list[WorkItem]:
        """The units in open chunks."""
        single = [
            unit for chunks in self._open.values() for chunk in chunks for unit in chunk.units
        ]
        return single if self._span is None else [*self._span, *single]

    def feed(self, units: Iterable[WorkItem]) -> list[Sequence[WorkItem]]:
        """Take units; give the chunks that are full, each a sequence of units."""
        return self._feed_span(units) if isinstance(units, Span) else self._feed_chunker(units)

    def _feed_span(self, span: Span) -> list[Sequence[WorkItem]]:
        full: list[Sequence[WorkItem]] = []
        if not len(span):
            return full
        if self._span is not None:
            joined = self._span.joined(span)
            if joined is None:  # an item between the two went another way
                full += self._feed_chunker(self._span)
            span = joined or span
        most = self._most_of(span)
        parts = span.cut(most)
        self._span = parts.pop() if len(parts[-1]) < most else None
        full += parts
        return full

    def _most_of(self, span: Span) -> int:
        """How many of its units a chunk may hold as things are now: what a chunk may weigh is learnt on the way."""
        if self._limits.weight is None or not span.weight:
            return self._limits.count
        return max(1, min(self._limits.count, self._limits.weight // span.weight))

    def _feed_chunker(self, units: Iterable[WorkItem]) -> list[Sequence[WorkItem]]:
        full: list[Sequence[WorkItem]] = []
        limits, opened = self._limits, self._open
        given = list(units)
        number = 0
        while number < len(given):
            unit = given[number]
            place = (unit.partition, unit.affinity, unit.distinct_labels)
            for chunk in opened.get(place, ()):
                if chunk.takes(unit, limits):
                    break
            else:
                full += self._evict(place, unit)
                chunk = self._start(place)
            chunk.add(unit)
            self._waiting += 1
            self._held += unit.memory
            number += 1
            if number < len(given) and not chunk.full(limits) and chunk is opened[place][0]:
                number = self._run_of(given, number, chunk)
            if chunk.full(limits):
                full.append(self._close(chunk))
            while self._held > self._most_held:
                full.append(
                    self._fill_and_close(max(self._all_open(), key=lambda chunk: chunk.held))
                )
            while self._waiting > self._most_waiting or self._opened > _MAX_OPEN_CHUNKS:
                full.append(self._fill_and_close(next(self._all_open())))
        return full

    def _run_of(self, units: list[WorkItem], start: int, chunk: _OpenChunk) -> int:
        """Add to `chunk` the units from `start` on that are just like its last one, while it takes them: the short way, for most.

        Gives where they end.
        """
        like = chunk.units[-1]
        lane, kind, labels = like.partition, like.affinity, like.distinct_labels
        if like.key is not None:
            return start
        weight = extra = held = 0
        most = math.inf if self._limits.weight is None else self._limits.weight - chunk.weight
        most_held = self._most_held - self._held
        end = start
        room = max(
            0, min(self._limits.count - len(chunk.units), self._most_waiting - self._waiting)
        )
        for unit in units[start : start + room]:
            if (
                unit.affinity is not kind
                or unit.distinct_labels is not labels
                or unit.partition is not lane
                or unit.key is not None
            ):
                break
            if weight + unit.size > most or held > most_held:
                break
            weight += unit.size
            extra += unit.mixed_overhead
            held += unit.memory
            end += 1
        chunk.units += units[start:end]
        chunk.weight += weight
        chunk.extra += extra
        chunk.held += held
        self._waiting += end - start
        self._held += held
        return end

    def flush(self) -> list[Sequence[WorkItem]]:
        """Give all that waits, in as few chunks as can be found."""
        span, self._span = self._span, None
        if span is not None and not self._open:
            return list(span.cut(self._most_of(span)))
        full = self._feed_chunker(span or ())
        lanes: dict[Hashable, dict[Hashable, list[_OpenChunk]]] = {}
        for (lane, kind, _), chunks in self._open.items():
            lanes.setdefault(lane, {}).setdefault(kind, []).extend(chunks)
        self._open.clear()
        self._opened = self._waiting = self._held = 0
        return full + [
            chunk.units for kinds in lanes.values() for chunk in self._fewest(list(kinds.values()))
        ]

    def _fewest(self, kinds: Sequence[Sequence[_OpenChunk]]) -> list[_OpenChunk]:
        """The open chunks of a lane put together: whole ones if that gives as few as dividing them, so that pure ones stay pure.

        Where they are many, they are small: then it is not tried whether dividing them gives fewer.
        """
        pure = [
            chunk
            for kin in kinds
            for chunk in (self._packed(kin, whole=False) if len(kin) > 1 else kin)
        ]
        if len(kinds) == 1:
            return pure
        pure.sort(key=lambda chunk: len(chunk.units), reverse=True)
        copies = (
            [_OpenChunk(chunk.place, chunk.units) for chunk in pure]
            if len(pure) <= _MAX_OPEN_CHUNKS // 2
            else []
        )
        whole, divided = self._packed(pure, whole=True), self._packed(copies, whole=False)
        return divided if 0 < len(divided) < len(whole) else whole

    def _packed(self, opened: Sequence[_OpenChunk], *, whole: bool) -> list[_OpenChunk]:
        done: list[_OpenChunk] = []
        left = list(opened)
        while left:
            base = left.pop(0)
            self._fill(base, left, whole=whole)
            left = [chunk for chunk in left if chunk.units]
            done.append(base)
        return done

    def _fill_and_close(self, base: _OpenChunk) -> list[WorkItem]:
        """An open chunk, filled up with units of others of its lane: of as many, oldest first, as have lately been worth a look."""
        self._close(base)
        count, held, lane = len(base.units), base.held, base.place[0]
        others = [
            other for other in islice(self._all_open(), self._scan_budget) if other.place[0] == lane
        ]
        self._fill(base, others, whole=False)
        self._waiting -= len(base.units) - count
        self._held -= base.held - held
        for other in others:
            if not other.units:
                self._close(other)
        self._scan_budget += (_SCAN_PER_ITEM * (1 + len(base.units)) - self._scan_budget) // 8
        return base.units

    def _fill(self, base: _OpenChunk, others: Sequence[_OpenChunk], *, whole: bool) -> None:
        """Move units of `others` to `base`: those that bring no new labels, then in turn what brings most units for a new label.

        What does not fit now never will. So a step looks at fewer than the one before, and each but the last brings a label: among
        256 open chunks, of which no two may go together, one look at each is all that it takes.
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
                    cost = new / len(other.units)
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
        self._waiting -= len(chunk.units)
        self._held -= chunk.held
        return chunk.units

    def _evict(self, place: _Place, unit: WorkItem) -> list[list[WorkItem]]:
        """No open chunk takes `unit`: close those that are too heavy for it, and the fullest where there are many."""
        closed = [
            self._close(chunk)
            for chunk in list(self._open.get(place, ()))
            if chunk.heavy(unit, self._limits)
        ]
        left = self._open.get(place, ())
        if len(left) >= _MAX_ALIKE_CHUNKS:
            closed.append(self._close(max(left, key=lambda chunk: len(chunk.units))))
        return closed
