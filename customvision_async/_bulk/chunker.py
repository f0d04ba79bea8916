"""Cutting a stream of units into chunks that keep every limit at once. An object, no I/O.

Units wait in open chunks, one for each `kind` of a lane, so that units that are cheapest together travel together.
When too many wait (or the source ends), chunks of different kinds are put together: a full chunk is worth more than a
pure one, because the service counts calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

from .unit import Unit

__all__ = ["ChunkLimits", "Chunker"]


@dataclass(slots=True)
class ChunkLimits:
    """What one chunk may hold: `count` units, `weight` in all, `labels` distinct ones.

    A unit that is over `weight` by itself goes alone.
    """

    count: int
    weight: int | None = None
    labels: int | None = None

    def shrink(self, refused: int) -> None:
        """A chunk of weight `refused` was too heavy for the other side: from now on half of that at the most."""
        if refused > 0 and (self.weight is None or refused // 2 < self.weight):
            self.weight = max(1, refused // 2)


class _Open:
    """A chunk that is being filled."""

    __slots__ = ("keys", "labels", "units", "weight")

    def __init__(self) -> None:
        self.units: list[Unit] = []
        self.weight = 0
        self.labels: frozenset[str] = frozenset()
        self.keys: set[Hashable] = set()

    def takes(self, unit: Unit, limits: ChunkLimits) -> bool:
        if not self.units:
            return True
        if len(self.units) >= limits.count:
            return False
        if limits.weight is not None and self.weight + unit.weight > limits.weight:
            return False
        if limits.labels is not None and not unit.labels <= self.labels and len(self.labels | unit.labels) > limits.labels:
            return False
        return unit.key is None or unit.key not in self.keys

    def add(self, unit: Unit) -> None:
        self.units.append(unit)
        self.weight += unit.weight
        if not unit.labels <= self.labels:
            self.labels |= unit.labels
        if unit.key is not None:
            self.keys.add(unit.key)


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
        self._open: dict[tuple[Hashable, Hashable], _Open] = {}
        self._waiting = 0
        self._held = 0

    @property
    def waiting(self) -> int:
        """Units in open chunks."""
        return self._waiting

    def waiting_units(self) -> list[Unit]:
        """The units in open chunks."""
        return [unit for chunk in self._open.values() for unit in chunk.units]

    def feed(self, units: Iterable[Unit]) -> list[list[Unit]]:
        """Take units; give the chunks that are full, each a list of units."""
        full: list[list[Unit]] = []
        limits, opened = self._limits, self._open
        for unit in units:
            place = (unit.lane, unit.kind)
            chunk = opened.get(place)
            if chunk is None:
                chunk = opened[place] = _Open()
            elif not chunk.takes(unit, limits):
                full.append(self._close(place))
                chunk = opened[place] = _Open()
            chunk.add(unit)
            self._waiting += 1
            self._held += unit.held
            if len(chunk.units) >= limits.count or (limits.weight is not None and chunk.weight >= limits.weight):
                full.append(self._close(place))
            elif self._waiting > self._most_waiting or self._held > self._most_held:
                full.append(self._fullest())
        return full

    def flush(self) -> list[list[Unit]]:
        """Give all that waits, in as few chunks as can be found."""
        lanes: dict[Hashable, list[_Open]] = {}
        for (lane, _), chunk in self._open.items():
            lanes.setdefault(lane, []).append(chunk)
        self._open.clear()
        self._waiting = self._held = 0
        return [chunk for opened in lanes.values() for chunk in self._packed(opened)]

    def _close(self, place: tuple[Hashable, Hashable]) -> list[Unit]:
        units = self._open.pop(place).units
        self._waiting -= len(units)
        self._held -= sum(unit.held for unit in units)
        return units

    def _fullest(self) -> list[Unit]:
        """The largest open chunk, filled up with units of the smallest ones of its lane."""
        place = max(self._open, key=lambda place: len(self._open[place].units))
        base = self._open[place]
        units = self._close(place)
        for other_place in sorted(self._open, key=lambda place: len(self._open[place].units)):
            if other_place[0] != place[0] or len(units) >= self._limits.count:
                continue
            other = self._open.pop(other_place)
            left = _Open()
            for unit in other.units:
                if base.takes(unit, self._limits):
                    base.add(unit)  # base.units is `units`
                    self._waiting -= 1
                    self._held -= unit.held
                else:
                    left.add(unit)
            if left.units:
                self._open[other_place] = left
        return units

    def _packed(self, opened: Sequence[_Open]) -> list[list[Unit]]:
        """Whole chunks put together if that gives as few chunks as moving single units does; pure ones stay pure where it can be had."""
        blocks = sorted((chunk.units for chunk in opened), key=len, reverse=True)
        if len(blocks) == 1:
            return blocks
        whole = self._first_fit(blocks)
        single = self._first_fit([[unit] for block in blocks for unit in block])
        return whole if len(whole) <= len(single) else single

    def _first_fit(self, blocks: Sequence[Sequence[Unit]]) -> list[list[Unit]]:
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
        return [chunk.units for chunk in chunks]

    def _takes_all(self, chunk: _Open, block: Sequence[Unit]) -> bool:
        if len(block) == 1:
            return chunk.takes(block[0], self._limits)
        limits = self._limits
        if len(chunk.units) + len(block) > limits.count:
            return False
        if limits.weight is not None and chunk.weight + sum(unit.weight for unit in block) > limits.weight:
            return False
        if limits.labels is not None and len(chunk.labels.union(*(unit.labels for unit in block))) > limits.labels:
            return False
        return not any(unit.key is not None and unit.key in chunk.keys for unit in block)
