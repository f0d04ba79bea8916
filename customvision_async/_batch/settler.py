"""From the answers of the service to one outcome for each unit.

A unit without an outcome of its own (the whole chunk was refused, the answer does not mention it, its status explains
nothing) goes again in a chunk half as large, until it stands alone and the answer can only be about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from enum import Enum
from typing import cast

import msgspec

from .cancellation import raise_foreign_cancellation
from .chunker import Chunker, ChunkLimits
from .work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem, size_of

__all__ = ["ErrorClassifier", "FailureAction", "Send", "Settled", "Settler", "settle_all"]

Send = Callable[[Sequence[WorkItem]], Awaitable[Sequence[Outcome]]]
"""Sends one chunk, adds to `attempts` and `in_doubt` of its units, and gives one outcome a unit, in their order."""

Settled = tuple[Sequence[WorkItem], Sequence[Done | Failed]]
"""Units, and the outcome of each."""


class FailureAction(Enum):
    """What an exception of `send` means."""

    DIVIDE = "one unit may be to blame: find it"
    DOWN = "the same, but the service itself may be to blame as well"
    TOO_LARGE = "the chunk is too heavy: divide it, and make no more as heavy"
    FINAL = "this chunk will not land"
    REFUSED = "this chunk was refused for minutes and will not land; if the next ones are too, nothing will any more"
    FATAL = "nothing will land any more: the run should end"


ErrorClassifier = Callable[[Exception], FailureAction]

_MAX_SOLO_TRIES = 2
"""How often a unit that stands alone is sent before its answer is taken as final: the cause may have been passing."""
_SERIALIZE_AFTER = 16
"""After this many chunks in a row that were refused whole, of the whole run, only one chunk at a time is divided: if the service is
at fault and not the units, dividing is of no use, and one chunk shows it as well as all those under way."""
_STOP_BISECTING_AFTER = 128
"""After this many units in a row that were refused standing alone, chunks are no longer divided, until one lands."""
_DOWN = 8
"""A refusal that looks like the fault of the service counts as so many towards that."""
_MAX_THROTTLED_CHUNKS = 8
"""After this many chunks in a row that were refused for minutes each, the run ends: it would take hours to hear the same of every other."""


class Settler:
    """Sends chunks until each unit has its outcome. One for a run; it learns whether dividing is of use."""

    def __init__(self, send: Send, classify_error: ErrorClassifier, limits: ChunkLimits) -> None:
        self._send = send
        self._classify_error = classify_error
        self._limits = limits
        self._refused = 0
        self._alone = 0
        self._closed = 0
        self._one_divides = asyncio.Lock()
        self.fatal: Exception | None = None
        self.over = False
        """Nobody waits for the outcomes any more, and all tasks of the run are cancelled. See :meth:`raise_if_cancelled`."""
        self.on_fatal: Callable[[], None] = lambda: None

    def give_up(self, error: Exception) -> Failed:
        """Nothing will land any more, because of `error`. Gives the outcome of the units it befell."""
        if self.fatal is None:
            self.fatal = error
            self.on_fatal()
        return _failure(error)

    def raise_if_cancelled(self) -> None:
        """End the task that runs, if the run is over: it has been cancelled, but what it awaited may have kept that for itself.

        A task is cancelled once. After that it must not send anything more, nor wait for a reader who has left.
        """
        if self.over:
            raise asyncio.CancelledError

    async def settle(self, chunk: Sequence[WorkItem]) -> AsyncGenerator[Settled, None]:
        """Yield the units of `chunk` with their outcomes, as they become known; each exactly once."""
        waiting: list[tuple[Sequence[WorkItem], int]] = [(chunk, 1)]
        known: dict[int, Failed] = {}
        ours = False
        try:
            while waiting:
                self.raise_if_cancelled()
                if known and self._refused >= _SERIALIZE_AFTER and not ours:
                    ours = await self._one_divides.acquire()
                units, tries = waiting.pop()
                if self._hopeless and all(unit.index in known for unit in units):
                    settled: Settled = units, [_untried(known[unit.index], tries) for unit in units]
                else:
                    settled, smaller = self._sorted(units, await self._outcomes(units), waiting)
                    if len(units) == 1 and tries >= _MAX_SOLO_TRIES and smaller:
                        settled = units, [failure for _, failure in smaller]
                    elif smaller:
                        known.update((unit.index, failure) for unit, failure in smaller)
                        waiting += _halves(
                            [unit for unit, _ in smaller], tries + 1 if len(units) == 1 else 1
                        )
                if ours and self._refused < _SERIALIZE_AFTER:
                    self._one_divides.release()
                    ours = False
                if settled[0]:
                    yield settled
        finally:
            if ours:
                self._one_divides.release()

    @property
    def _hopeless(self) -> bool:
        return self._alone >= _STOP_BISECTING_AFTER and self.fatal is None

    def _sorted(
        self,
        units: Sequence[WorkItem],
        outcomes: Sequence[Outcome],
        waiting: list[tuple[Sequence[WorkItem], int]],
    ) -> tuple[Settled, list[tuple[WorkItem, Failed]]]:
        """Which units have their outcome, and which go again in smaller company; those that go again as they are join `waiting`."""
        if set(map(type, outcomes)) == {Done}:  # as it is for most
            self._refused = self._alone = self._closed = 0
            self._limits.landed(size_of(units))
            return (units, cast("Sequence[Done]", outcomes)), []
        settled: list[WorkItem] = []
        final: list[Done | Failed] = []
        together: list[tuple[WorkItem, Failed]] = []
        smaller: list[tuple[WorkItem, Failed]] = []
        landed = False
        for unit, outcome in zip(units, outcomes, strict=True):
            if not isinstance(outcome, Resend):
                settled.append(unit)
                final.append(outcome)
                landed = landed or isinstance(outcome, Done)
            else:
                (together if outcome.together else smaller).append((unit, outcome.failure))
        if settled and together:
            waiting.append(([unit for unit, _ in together], 1))
        else:  # the same company again would be the same again
            smaller += together
        if landed:
            self._refused = self._alone = self._closed = 0
            if len(settled) == len(units):
                self._limits.landed(size_of(units))
        elif not settled:
            self._refused += 1
            self._alone += len(units) == 1
        return (settled, final), smaller

    async def _outcomes(self, units: Sequence[WorkItem]) -> Sequence[Outcome]:
        if self.fatal is not None:
            return [Failed(str(self.fatal), cause=self.fatal)] * len(units)
        try:
            with raise_foreign_cancellation("what sends the items"):
                outcomes = await self._send(units)
        except Exception as error:  # noqa: BLE001 - it is the outcome of these units, and must not cost the others theirs
            verdict = self._classify_error(error)
            self._closed += verdict is FailureAction.REFUSED
            if verdict is FailureAction.FATAL or self._closed >= _MAX_THROTTLED_CHUNKS:
                return [self.give_up(error)] * len(units)
            if len(units) == 1:
                self._refused += 1
                self._alone += _DOWN if verdict is FailureAction.DOWN else 1
            elif verdict is FailureAction.TOO_LARGE:
                self._limits.refused(size_of(units))
            divide = len(units) > 1 and verdict not in (FailureAction.FINAL, FailureAction.REFUSED)
            return [Resend(_failure(error)) if divide else _failure(error)] * len(units)
        return outcomes if len(outcomes) == len(units) else [UNANSWERED] * len(units)


def _halves(units: Sequence[WorkItem], tries: int) -> list[tuple[Sequence[WorkItem], int]]:
    """What goes again, the first half last: it is taken from the end."""
    if len(units) == 1:
        return [(units, tries)]
    middle = (len(units) + 1) // 2
    return [(units[middle:], 1), (units[:middle], 1)]


def _untried(failed: Failed, tries: int) -> Failed:
    if tries > 1:
        return failed
    note = " (of all those it was refused with; it was not tried alone, since too many before it had failed alone)"
    return msgspec.structs.replace(failed, reason=failed.reason + note)


async def settle_all(
    units: Sequence[WorkItem], limits: ChunkLimits, send: Send, classify_error: ErrorClassifier
) -> list[tuple[WorkItem, Done | Failed]]:
    """Send a few units to the end, one chunk after another: work that belongs to a larger unit of work."""
    chunker = Chunker(limits)
    settler = Settler(send, classify_error, limits)
    settled: list[tuple[WorkItem, Done | Failed]] = []
    for chunk in chunker.feed(units) + chunker.flush():
        async for some in settler.settle(chunk):
            settled += zip(*some, strict=True)
    return settled


def _failure(error: Exception) -> Failed:
    return Failed(str(error) or repr(error), status=str(getattr(error, "code", "")), cause=error)
