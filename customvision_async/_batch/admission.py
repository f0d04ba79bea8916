"""Admission: how many chunks, and how much memory of theirs, may be under way at once."""

from __future__ import annotations

import asyncio
from collections import deque

__all__ = ["Admission"]


class Admission:
    """Lets a chunk in when there is room for one more and for the memory it holds.

    The memory limit is not hard: a chunk that is larger than it is let in once all the others are out, so nothing can wedge.
    First come, first let in.
    """

    def __init__(self, *, chunks: int, held: int) -> None:
        self._chunks = chunks
        self._held = held
        self._chunks_in = 0
        self._held_in = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    def _room(self, held: int) -> bool:
        return self._chunks_in == 0 or (
            self._chunks_in < self._chunks and (held == 0 or self._held_in + held <= self._held)
        )

    def _enter(self, held: int) -> None:
        self._chunks_in += 1
        self._held_in += held

    async def enter(self, held: int) -> None:
        """Wait for room for a chunk that holds `held` bytes, and take it."""
        if not self._queue and self._room(held):
            self._enter(held)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (held, turn)
        self._queue.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if (
                turn.done() and not turn.cancelled()
            ):  # let in and cancelled in the same step: give the room back
                self.leave(held)
            elif entry in self._queue:
                self._queue.remove(entry)
                self._admit()
            raise

    def leave(self, held: int) -> None:
        """Give back the room of a chunk."""
        self._chunks_in -= 1
        self._held_in -= held
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._room(self._queue[0][0]):
            held, turn = self._queue.popleft()
            if not turn.done():
                self._enter(held)
                turn.set_result(None)
