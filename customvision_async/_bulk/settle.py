"""From the answers of the service to one outcome for each unit.

A unit without an outcome of its own (the whole chunk was refused, the answer does not mention it, its status explains
nothing) goes again in a chunk half as large, until it stands alone and the answer can only be about it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from enum import Enum

from .chunker import Chunker, ChunkLimits
from .unit import AGAIN, Again, Done, Failed, Outcome, Unit

__all__ = ["Judge", "Send", "Settler", "Verdict", "land"]

Send = Callable[[Sequence[Unit]], Awaitable[Sequence[Outcome]]]
"""Sends one chunk, adds to `attempts` and `in_doubt` of its units, and gives one outcome a unit, in their order."""


class Verdict(Enum):
    """What an exception of `send` means."""

    DIVIDE = "one unit may be to blame: find it"
    TOO_LARGE = "the chunk is too heavy: divide it, and make no more as heavy"
    FINAL = "this chunk will not land"
    FATAL = "nothing will land any more: the run should end"


Judge = Callable[[Exception], Verdict]

_ALONE = 2
"""How often a unit that stands alone is sent before its answer is taken as final: the cause may have been passing."""
_BARREN = 8
"""After this many chunks in a row that were divided to the last unit and had not one good unit in them, the service
is at fault and not the units: chunks are no longer divided, until one lands."""


class Settler:
    """Sends chunks until each unit has its outcome. One for a run; it learns whether dividing is of use."""

    def __init__(self, send: Send, judge: Judge, limits: ChunkLimits) -> None:
        self._send = send
        self._judge = judge
        self._limits = limits
        self._barren = 0
        self.fatal: Exception | None = None
        self.on_fatal: Callable[[], None] = lambda: None

    def give_up(self, error: Exception) -> Failed:
        """Nothing will land any more, because of `error`. Gives the outcome of the units it befell."""
        if self.fatal is None:
            self.fatal = error
            self.on_fatal()
        return _failure(error)

    async def settle(self, chunk: Sequence[Unit]) -> AsyncGenerator[list[tuple[Unit, Done | Failed]], None]:
        """Yield the units of `chunk` with their outcomes, as they become known; each exactly once."""
        divided = landed = False
        waiting: list[tuple[Sequence[Unit], int]] = [(chunk, 1)]
        while waiting:
            units, tries = waiting.pop()
            settled: list[tuple[Unit, Done | Failed]] = []
            together: list[tuple[Unit, Failed]] = []
            smaller: list[tuple[Unit, Failed]] = []
            for unit, outcome in zip(units, await self._outcomes(units), strict=True):
                if not isinstance(outcome, Again):
                    settled.append((unit, outcome))
                    landed = landed or isinstance(outcome, Done)
                else:
                    (together if outcome.together else smaller).append((unit, outcome.failure))
            if settled and together:
                waiting.append(([unit for unit, _ in together], 1))
            else:  # the same company again would be the same again
                smaller += together
            if smaller and (self.fatal is not None or self._barren >= _BARREN or (len(units) == 1 and tries >= _ALONE)):
                settled.extend(smaller)
            elif smaller:
                divided = divided or len(units) > 1
                again = [unit for unit, _ in smaller]
                if len(again) == 1:
                    waiting.append((again, tries + 1 if len(units) == 1 else 1))
                else:
                    middle = (len(again) + 1) // 2
                    waiting += [(again[middle:], 1), (again[:middle], 1)]
            if settled:
                yield settled
        if landed:
            self._barren = 0
        elif divided:
            self._barren += 1

    async def _outcomes(self, units: Sequence[Unit]) -> Sequence[Outcome]:
        if self.fatal is not None:
            return [Failed(str(self.fatal), cause=self.fatal)] * len(units)
        try:
            outcomes = await self._send(units)
        except Exception as error:  # noqa: BLE001 - it is the outcome of these units, and must not cost the others theirs
            verdict = self._judge(error)
            if verdict is Verdict.FATAL:
                return [self.give_up(error)] * len(units)
            if verdict is Verdict.TOO_LARGE:
                self._limits.shrink(sum(unit.weight for unit in units))
            divide = len(units) > 1 and verdict is not Verdict.FINAL
            return [Again(_failure(error)) if divide else _failure(error)] * len(units)
        return outcomes if len(outcomes) == len(units) else [AGAIN] * len(units)


async def land(units: Sequence[Unit], limits: ChunkLimits, send: Send, judge: Judge) -> list[tuple[Unit, Done | Failed]]:
    """Send a few units to the end, one chunk after another: work that belongs to a larger unit of work."""
    chunker = Chunker(limits)
    settler = Settler(send, judge, limits)
    settled: list[tuple[Unit, Done | Failed]] = []
    for chunk in chunker.feed(units) + chunker.flush():
        async for some in settler.settle(chunk):
            settled += some
    return settled


def _failure(error: Exception) -> Failed:
    return Failed(str(error) or repr(error), status=str(getattr(error, "code", "")), cause=error)
