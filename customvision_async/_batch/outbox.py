"""Hold results until the caller takes them.

A result is removed in the same step of the event loop in which the caller's ``anext`` returns it.
A timeout or cancellation around ``anext`` therefore loses nothing: either the caller has the
result, or the next ``anext`` returns it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

__all__ = ["Outbox"]

R = TypeVar("R")


class Outbox(Generic[R]):
    """A queue of results, in one list per chunk.

    Args:
        capacity: Number of lists above which :meth:`room` waits, besides the one being taken.
        closed: The error that :meth:`take` raises before :meth:`open`.
    """

    def __init__(self, capacity: int, closed: Exception) -> None:
        self._capacity = capacity
        self._lists: deque[Sequence[R]] = deque()
        self._current: Iterator[R] = iter(())
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._closed = True
        self._error: Exception | None = closed

    def open(self) -> None:
        """Begin the queue."""
        self._closed, self._error = False, None

    def put(self, results: Sequence[R]) -> None:
        """Add a list without waiting, so that results are counted and delivered in one step."""
        if results:
            self._lists.append(results)
            self._arrived.set()

    async def room(self) -> None:
        """Wait until there are at most `capacity` lists."""
        while len(self._lists) > self._capacity:
            self._has_room.clear()
            await self._has_room.wait()

    def close(self, error: Exception | None) -> None:
        """End the queue. The results in it can still be taken, and then `error` is raised."""
        if not self._closed:
            self._closed, self._error = True, error
            self._arrived.set()

    async def take(self) -> R:
        """Wait for the next result and return it.

        Nothing is awaited between the removal and the return. Any number of tasks may wait at once.

        Raises:
            StopAsyncIteration: The outbox is closed and empty. If it was closed with an error, that
                is raised instead.
        """
        while True:
            for result in self._current:
                return result
            if self._lists:
                self._current = iter(self._lists.popleft())
                if len(self._lists) <= self._capacity:
                    self._has_room.set()
            elif self._closed:
                raise self._error or StopAsyncIteration
            else:
                self._arrived.clear()
                await self._arrived.wait()
