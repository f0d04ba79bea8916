"""Limit the number of chunks in flight, and the memory that they use."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Admission"]


class Admission:
    """Admit a chunk if one more chunk and its memory are within the limits.

    Chunks are admitted in order. A chunk that alone exceeds the memory limit is admitted once no
    other chunk is in flight, so that a run cannot deadlock.
    """

    def __init__(self, *, max_in_flight: int, max_memory: int) -> None:
        self._max_in_flight = max_in_flight
        self._max_memory = max_memory
        self._in_flight = 0
        self._memory = 0
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()

    def _fits(self, memory: int) -> bool:
        return self._in_flight == 0 or (
            self._in_flight < self._max_in_flight
            and (memory == 0 or self._memory + memory <= self._max_memory)
        )

    def _enter(self, memory: int) -> None:
        self._in_flight += 1
        self._memory += memory

    async def enter(self, memory: int) -> None:
        """Wait until a chunk that uses `memory` bytes is admitted."""
        if not self._waiters and self._fits(memory):
            self._enter(memory)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (memory, turn)
        self._waiters.append(waiter)
        try:
            await turn
        except asyncio.CancelledError:
            # It may have been admitted and cancelled in the same step of the loop.
            if turn.done() and not turn.cancelled():
                self.leave(memory)
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
                self._admit()
            raise

    def leave(self, memory: int) -> None:
        """Release the place of a chunk that used `memory` bytes."""
        self._in_flight -= 1
        self._memory -= memory
        self._admit()

    def _admit(self) -> None:
        while self._waiters and self._fits(self._waiters[0][0]):
            memory, turn = self._waiters.popleft()
            if not turn.done():
                self._enter(memory)
                turn.set_result(None)
