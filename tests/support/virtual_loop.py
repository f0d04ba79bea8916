"""An event loop in virtual time: sleeping takes no time, and a deadlock raises.

The selector never blocks. When no callback is ready, time jumps to the next timer. Without a timer,
every task waits for another and :class:`Deadlock` is raised. Use it only for code that waits on
timers and futures, not on sockets or threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(RuntimeError):
    """Every task waits, and no timer will wake one."""


class _Selector(selectors.DefaultSelector):
    """Select ready files, or advance the clock if there are none."""

    clock: VirtualLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the ready files, or else let virtual time pass."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise Deadlock(f"no task can go on at {self.clock.time():.3f} s of virtual time")
            self.clock.advance(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """The loop. Pass the class as `loop_factory` to asyncio.Runner or anyio's pytest plugin."""

    def __init__(self) -> None:
        self._virtual_now = 0.0
        selector = _Selector()
        selector.clock = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the seconds of virtual time since the loop was created."""
        return self._virtual_now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self._virtual_now += max(0.0, seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` in virtual time and return its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
