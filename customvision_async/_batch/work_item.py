"""What the engine works on: a unit is one item, ready to be sent; an outcome is what became of it.

Units that are alike but for what they stand for travel as a :class:`Span`, which is columns until somebody looks at one of
them. The functions below are how to look at any sequence of units without taking a span apart.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import count, repeat
from typing import Any, overload

import msgspec

__all__ = [
    "UNANSWERED",
    "Done",
    "Failed",
    "Outcome",
    "Resend",
    "Span",
    "WorkItem",
    "accounts_of",
    "attempted",
    "largest_memory",
    "memory_of",
    "payloads_of",
    "settle",
    "size_of",
    "unsettled",
]  # fmt: skip


class WorkItem(msgspec.Struct, eq=False, gc=False):
    """One item of the input, ready to be sent.

    `index` is its place in the input and `item` what was given; `payload` is what `send` needs of it.
    Limits: `size` counts towards the chunk's weight (with `mixed_overhead` more in a chunk of several kinds), `distinct_labels` are its distinct
    labels, `key` must be unique in a chunk.
    Company: units of different `partition` never share a chunk; units of one `affinity` are cheapest together.
    `memory` is the memory it occupies until it settles. `attempts` counts the requests it was in; `in_doubt` says
    that one of these may have taken effect without our hearing of it.

    The collector does not look at units (there are many): nothing that a unit holds may lead back to it.
    """

    index: int
    item: Any
    payload: Any
    size: int = 0
    distinct_labels: frozenset[str] = frozenset()
    key: Hashable = None
    partition: Hashable = None
    affinity: Hashable = None
    memory: int = 0
    mixed_overhead: int = 0
    attempts: int = 0
    in_doubt: bool = False
    settled: bool = False
    """It has its outcome, and that is in the account."""


class Span(Sequence[WorkItem]):
    """Units of consecutive items, each of the same `weight`, with nothing else that would keep them apart or be held in memory.

    A million ids are a few thousand of these. As long as they share one fate nothing is done for each; the first that is looked at
    by itself makes them all units, for good.
    """

    __slots__ = ("_units", "attempts", "items", "loads", "settled", "start", "weight")

    def __init__(
        self, start: int, items: Sequence[Any], loads: Sequence[Any], weight: int = 1
    ) -> None:
        self.start = start
        self.items = items
        self.loads = loads
        self.weight = weight
        self.attempts = 0
        """Of each, as long as it is `whole`; and so is `settled`."""
        self.settled = False
        self._units: list[WorkItem] | None = None

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, place: int) -> WorkItem: ...
    @overload
    def __getitem__(self, place: slice) -> list[WorkItem]: ...
    def __getitem__(self, place: int | slice) -> WorkItem | list[WorkItem]:
        return self._apart()[place]

    def __iter__(self) -> Iterator[WorkItem]:
        return iter(self._apart())

    @property
    def whole(self) -> bool:
        """Whether nobody has looked at one of them by itself."""
        return self._units is None

    def _apart(self) -> list[WorkItem]:
        """Each as a unit, and always the same ones."""
        if self._units is None:
            columns = enumerate(zip(self.items, self.loads, strict=True), self.start)
            weight, attempts, settled = self.weight, self.attempts, self.settled
            self._units = [
                WorkItem(index, item, load, weight, attempts=attempts, settled=settled)
                for index, (item, load) in columns
            ]
        return self._units

    def joined(self, other: Span) -> Span | None:
        """The two as one, where `other` goes on where this ends. Neither has been sent."""
        if other.start != self.start + len(self) or other.weight != self.weight:
            return None
        return Span(
            self.start, [*self.items, *other.items], [*self.loads, *other.loads], self.weight
        )

    def cut(self, size: int) -> list[Span]:
        """In parts of `size`, the last of what is left. None has been sent."""
        if len(self) <= size:
            return [self]
        places = range(0, len(self), size)
        return [
            Span(
                self.start + at, self.items[at : at + size], self.loads[at : at + size], self.weight
            )
            for at in places
        ]


def payloads_of(units: Sequence[WorkItem]) -> Sequence[Any]:
    """The load of each."""
    return units.loads if isinstance(units, Span) else [unit.payload for unit in units]


def size_of(units: Sequence[WorkItem]) -> int:
    """What they weigh together."""
    return (
        units.weight * len(units) if isinstance(units, Span) else sum([unit.size for unit in units])
    )


def memory_of(units: Sequence[WorkItem]) -> int:
    """The memory that they hold together."""
    return 0 if isinstance(units, Span) else sum([unit.memory for unit in units])


def largest_memory(units: Sequence[WorkItem]) -> int:
    """The most memory that one of them holds."""
    return 0 if isinstance(units, Span) else max([unit.memory for unit in units], default=0)


def accounts_of(units: Sequence[WorkItem]) -> Iterable[tuple[int, Any, int, bool]]:
    """Of each: its place in the input, what was given, the requests it was in, and whether it is in doubt."""
    if isinstance(units, Span) and units.whole:
        return zip(count(units.start), units.items, repeat(units.attempts), repeat(False))
    return [(unit.index, unit.item, unit.attempts, unit.in_doubt) for unit in units]


def attempted(units: Sequence[WorkItem], requests: int) -> None:
    """They were in so many requests more."""
    if isinstance(units, Span) and units.whole:
        units.attempts += requests
    else:
        for unit in units:
            unit.attempts += requests


def settle(units: Sequence[WorkItem]) -> None:
    """They have their outcome, and that is in the account."""
    if isinstance(units, Span) and units.whole:
        units.settled = True
    else:
        for unit in units:
            unit.settled = True


def unsettled(units: Sequence[WorkItem]) -> list[WorkItem]:
    """Those that have no outcome in the account."""
    if isinstance(units, Span) and units.whole and units.settled:
        return []
    return [unit for unit in units if not unit.settled]


class Done(msgspec.Struct, frozen=True, gc=False):
    """It landed. `duplicate`: it had been there before."""

    status: str = "OK"
    value: Any = None
    duplicate: bool = False


class Failed(msgspec.Struct, frozen=True):
    """It did not land, and sending it again would not help. `reason` is for people; `cause` the error behind it."""

    reason: str
    status: str = ""
    cause: BaseException | None = None
    value: Any = None
    """What there is of it all the same: the image that landed without its tags."""


class Resend(msgspec.Struct, frozen=True):
    """It has no outcome of its own yet. With `together` it goes again in the same company, else in one half as large.

    When it has stood alone and still gets no better answer, `failure` is its outcome.
    """

    failure: Failed
    together: bool = False


UNANSWERED = Resend(Failed("the service's answer does not mention it"))
"""The answer was shorter than the question."""

Outcome = Done | Failed | Resend
