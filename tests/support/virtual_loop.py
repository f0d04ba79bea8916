"""An event loop in virtual time: sleeping costs nothing, and a wait for what can never come is an
error.

The selector never blocks. When nothing is ready, time jumps to the next timer; when there is no
timer either, every task waits for another and :class:`Deadlock` is raised. For code that waits on
timers and futures only: a socket or a thread has no place in virtual time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits, and nothing will ever wake one."""


class _Selector(selectors.DefaultSelector):
    """Looks for what is ready, and moves the clock on where nothing is."""

    clock: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; else let virtual time pass."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock(f"no task can go on at {self.clock.time():.3f} s of virtual time")
            self.clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Give the class as `loop_factory`, to asyncio.Runner or to anyio's pytest plugin."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        selector = _Selector()
        selector.clock = self
        super().__init__(selector)

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._virtual_now += max(0.0, seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
