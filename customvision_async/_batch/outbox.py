"""Hold results until the caller takes them.

A result leaves the outbox in the same step in which the caller's ``anext`` returns it. A timeout or
a cancellation around ``anext`` therefore loses nothing: either the caller has the result, or the
next ``anext`` returns it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

__all__ = ["Outbox"]

R = TypeVar("R")


class Outbox(Generic[R]):
    """A queue of results, as lists of one chunk each.

    Args:
        capacity: Number of lists above which :meth:`room` waits.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._lists: deque[deque[R]] = deque()
        self._arrived = asyncio.Event()
        self._has_room = asyncio.Event()
        self._closed = False

    def put(self, results: Sequence[R]) -> None:
        """Add a list, in the same step in which its results enter the account. Never wait."""
        if results:
            self._lists.append(deque(results))
            self._arrived.set()

    async def room(self) -> None:
        """Wait until there are at most `capacity` lists."""
        while len(self._lists) > self._capacity:
            self._has_room.clear()
            await self._has_room.wait()

    def close(self) -> None:
        """End the queue. The results in it can still be taken."""
        self._closed = True
        self._arrived.set()

    async def take(self) -> R:
        """Wait for the next result and return it.

        Nothing is awaited between the removal and the return. Any number of tasks may wait at once.

        Raises:
            StopAsyncIteration: If the outbox is closed and empty.
        """
        while not self._lists:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        first = self._lists[0]
        result = first.popleft()
        if not first:
            self._lists.popleft()
            if len(self._lists) <= self._capacity:
                self._has_room.set()
        return result
