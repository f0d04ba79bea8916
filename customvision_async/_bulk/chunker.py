"""Cutting a stream of units into chunks that keep every limit at once. An object, no I/O.

Units wait in open chunks by `kind`, so that units that are cheapest together travel together. When too many wait (or the
source ends), chunks of different kinds of a lane are put together: a full chunk is worth more than a pure one, because
the service counts calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from .unit import Span, Unit

__all__ = ["ChunkLimits", "Chunker"]

_OPEN = 16
"""Open chunks of one kind, where units do not go together for their labels or keys; then the fullest is sent."""
_FITTED = 64
"""Chunks that are tried in vain before no more are: among thousands that do not go together, it would take seconds."""


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


class _Open:
    """A chunk that is being filled."""

    __slots__ = ("extra", "held", "keys", "kind", "labels", "mixed", "units", "weight")

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.weight = self.extra = self.held = 0
        self.kind: Hashable = None
        self.mixed = False
        self.labels: frozenset[str] = frozenset()
        self.keys: set[Hashable] = set()

    def heavy(self, unit: Unit, limits: ChunkLimits) -> bool:
        """Whether `unit` is too much for it by weight."""
        if limits.weight is None or not self.units:
            return False
        weight = self.weight + unit.weight
        if self.mixed or unit.kind != self.kind:
            weight += self.extra + unit.extra
        return weight > limits.weight

    def takes(self, unit: Unit, limits: ChunkLimits) -> bool:
        """Whether `unit` may join it."""
        if not self.units:
            return True
        if len(self.units) >= limits.count or self.heavy(unit, limits):
            return False
        if limits.labels is not None and not unit.labels <= self.labels and len(self.labels | unit.labels) > limits.labels:
            return False
        return unit.key is None or unit.key not in self.keys

    def add(self, unit: Unit) -> None:
        if not self.units:
            self.kind = unit.kind
        elif unit.kind != self.kind:
            self.mixed = True
        self.units.append(unit)
        self.weight += unit.weight
        self.extra += unit.extra
        self.held += unit.held
        if not unit.labels <= self.labels:
            self.labels |= unit.labels
        if unit.key is not None:
            self.keys.add(unit.key)

    def full(self, limits: ChunkLimits) -> bool:
        """Whether nothing more can join it."""
        if len(self.units) >= limits.count:
            return True
        return limits.weight is not None and self.weight + (self.extra if self.mixed else 0) >= limits.weight


class Chunker:
    """Feed units, get chunks.

    Args:
        limits: what a chunk may hold.
        waiting: units that may wait in open chunks before the fullest mixture is sent.
        held: memory (bytes) that waiting units may hold before the same.
    """

    def __init__(self, limits: ChunkLimits, *, waiting: int = 2048, held: int = 64_000_000) -> None:
        self._limits = limits
        self._most_waiting = waiting
        self._most_held = held
        self._open: dict[tuple[Hashable, Hashable], list[_Open]] = {}
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

    def waiting_units(self) -> list[Unit]:
        """The units in open chunks."""
        single = [unit for chunks in self._open.values() for chunk in chunks for unit in chunk.units]
        return single if self._span is None else [*self._span, *single]

    def feed(self, units: Iterable[Unit]) -> list[Sequence[Unit]]:
        """Take units; give the chunks that are full, each a sequence of units."""
        return self._fed_span(units) if isinstance(units, Span) else self._fed(units)

    def _fed_span(self, span: Span) -> list[Sequence[Unit]]:
        full: list[Sequence[Unit]] = []
        if not len(span):
            return full
        if self._span is not None:
            joined = self._span.joined(span)
            if joined is None:  # an item between the two went another way
                full += self._fed(self._span)
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

    def _fed(self, units: Iterable[Unit]) -> list[Sequence[Unit]]:
        full: list[Sequence[Unit]] = []
        limits, opened = self._limits, self._open
        given = list(units)
        number = 0
        while number < len(given):
            unit = given[number]
            place = (unit.lane, unit.kind)
            chunks = opened.get(place)
            if chunks is None:
                chunks = opened[place] = []
            for chunk in chunks:
                if chunk.takes(unit, limits):
                    break
            else:
                full += self._make_room(place, unit)
                chunk = _Open()
                opened.setdefault(place, []).append(chunk)
            chunk.add(unit)
            self._waiting += 1
            self._held += unit.held
            number += 1
            if number < len(given) and not chunk.full(limits) and chunk is opened[place][0]:
                number = self._run_of(given, number, chunk)
            if chunk.full(limits):
                full.append(self._close(place, chunk))
            while self._held > self._most_held:
                full.append(self._mixture(lambda chunk: chunk.held))
            while self._waiting > self._most_waiting:
                full.append(self._mixture(lambda chunk: len(chunk.units)))
        return full

    def _run_of(self, units: list[Unit], start: int, chunk: _Open) -> int:
        """Add to `chunk` the units from `start` on that are just like its last one, while it takes them: the short way, for most.

        Gives where they end.
        """
        like = chunk.units[-1]
        lane, kind, labels = like.lane, like.kind, like.labels
        if chunk.mixed or like.key is not None:
            return start
        weight = extra = held = 0
        most = math.inf if self._limits.weight is None else self._limits.weight - chunk.weight
        most_held = self._most_held - self._held
        end = start
        for unit in islice(units, start, start + min(self._limits.count - len(chunk.units), self._most_waiting - self._waiting)):
            if unit.kind is not kind or unit.labels is not labels or unit.lane is not lane or unit.key is not None:
                break
            if weight + unit.weight > most or held > most_held:
                break
            weight += unit.weight
            extra += unit.extra
            held += unit.held
            end += 1
        chunk.units += units[start:end]
        chunk.weight += weight
        chunk.extra += extra
        chunk.held += held
        self._waiting += end - start
        self._held += held
        return end

    def flush(self) -> list[Sequence[Unit]]:
        """Give all that waits, in as few chunks as can be found."""
        span, self._span = self._span, None
        if span is not None and not self._open:
            return list(span.cut(self._most_of(span)))
        full = self._fed(span or ())
        lanes: dict[Hashable, list[_Open]] = {}
        for (lane, _), chunks in self._open.items():
            lanes.setdefault(lane, []).extend(chunks)
        self._open.clear()
        self._waiting = self._held = 0
        return full + [chunk for opened in lanes.values() for chunk in self._packed(opened)]

    def _make_room(self, place: tuple[Hashable, Hashable], unit: Unit) -> list[list[Unit]]:
        """No open chunk takes `unit`: close those that are too heavy for it, and the fullest where there are many."""
        closed = [self._close(place, chunk) for chunk in list(self._open[place]) if chunk.heavy(unit, self._limits)]
        left = self._open.get(place, ())
        if len(left) >= _OPEN:
            closed.append(self._close(place, max(left, key=lambda chunk: len(chunk.units))))
        return closed

    def _close(self, place: tuple[Hashable, Hashable], chunk: _Open) -> list[Unit]:
        chunks = self._open[place]
        chunks.remove(chunk)
        if not chunks:
            del self._open[place]
        self._waiting -= len(chunk.units)
        self._held -= chunk.held
        return chunk.units

    def _mixture(self, size: Callable[[_Open], int]) -> list[Unit]:
        """The largest open chunk, filled up with units of the smallest ones of its lane."""
        place, base = max(((place, chunk) for place, chunks in self._open.items() for chunk in chunks), key=lambda pair: size(pair[1]))
        self._close(place, base)
        others = [(other, chunk) for other, chunks in self._open.items() if other[0] == place[0] for chunk in chunks]
        in_vain = 0
        for other_place, other in sorted(others, key=lambda pair: len(pair[1].units)):
            if base.full(self._limits) or in_vain >= _FITTED:
                break
            left: list[Unit] = []
            for unit in other.units:
                if base.takes(unit, self._limits):
                    base.add(unit)
                else:
                    left.append(unit)
            if len(left) == len(other.units):
                in_vain += 1
            else:
                in_vain = 0
                self._close(other_place, other)
                self._reopen(other_place, left)
        return base.units

    def _reopen(self, place: tuple[Hashable, Hashable], units: Sequence[Unit]) -> None:
        """A chunk of what is left of one."""
        if not units:
            return
        chunk = _Open()
        for unit in units:
            chunk.add(unit)
        self._open.setdefault(place, []).append(chunk)
        self._waiting += len(units)
        self._held += chunk.held

    def _packed(self, opened: Sequence[_Open]) -> list[list[Unit]]:
        """Whole chunks put together if that gives as few chunks as moving single units does; pure ones stay pure where it can be had."""
        blocks = sorted((chunk.units for chunk in opened), key=len, reverse=True)
        if len(blocks) == 1:
            return blocks
        whole = self._first_fit(blocks)
        single = self._first_fit([[unit] for block in blocks for unit in block])
        return whole if len(whole) <= len(single) else single

    def _first_fit(self, blocks: Sequence[Sequence[Unit]]) -> list[list[Unit]]:
        done: list[_Open] = []
        chunks: list[_Open] = []
        for block in blocks:
            for chunk in chunks:
                if self._takes_all(chunk, block):
                    break
            else:
                chunk = _Open()
                chunks.append(chunk)
            for unit in block:
                chunk.add(unit)
            if chunk.full(self._limits):
                chunks.remove(chunk)
                done.append(chunk)
            elif len(chunks) > _FITTED:
                done.append(chunks.pop(0))
        return [chunk.units for chunk in done + chunks]

    def _takes_all(self, chunk: _Open, block: Sequence[Unit]) -> bool:
        if len(block) == 1:
            return chunk.takes(block[0], self._limits)
        limits = self._limits
        if len(chunk.units) + len(block) > limits.count:
            return False
        if limits.weight is not None:
            weight = chunk.weight + sum(unit.weight for unit in block)
            if chunk.mixed or any(unit.kind != chunk.kind for unit in block):
                weight += chunk.extra + sum(unit.extra for unit in block)
            if weight > limits.weight:
                return False
        if limits.labels is not None and len(chunk.labels.union(*(unit.labels for unit in block))) > limits.labels:
            return False
        return not any(unit.key is not None and unit.key in chunk.keys for unit in block)
