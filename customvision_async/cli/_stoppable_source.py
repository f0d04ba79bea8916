"""A batch source that can be stopped, and that can return its remaining items afterwards."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

import anyio

__all__ = ["StoppableSource"]

_GROUP = 256


class StoppableSource:
    """A batch source that chains several sources.

    A batch run closes its iterator at the end. The chained sources stay open, so that
    :meth:`remaining` can return the items that a stopped run did not take.

    Args:
        sources: Iterables, async iterables, or objects with a ``groups()`` method that returns an
            async iterator of lists, as a folder has.
    """

    def __init__(self, sources: Sequence[Any]) -> None:
        self._sources = [_lists(source) for source in sources]
        self._step: asyncio.Future[list[Any]] | None = None
        self._recent: deque[Any] = deque()
        self._yielded = 0
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """End the iteration, even while it waits for a source."""
        self._stopped.set()

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for group in self.groups():
            for item in group:
                yield item

    async def groups(self) -> AsyncIterator[list[Any]]:
        """Yield lists of items until the sources end, or until :meth:`stop`."""
        while group := await self._next_unless_stopped():
            self._yielded += len(group)
            self._recent.extend(group)
            while len(self._recent) > 4 * _GROUP:
                self._recent.popleft()
            yield group

    async def remaining(self, submitted: int, seconds: float) -> tuple[list[Any], bool]:
        """Return the items after the first `submitted`, and whether the list is complete.

        Args:
            submitted: Number of items that the run has taken.
            seconds: Maximum time to read the sources.
        """
        begin = len(self._recent) - (self._yielded - submitted)
        items = list(self._recent)[max(0, begin) :] if submitted < self._yielded else []
        whole = False
        # The batch run reports the error of a failed source.
        with anyio.move_on_after(seconds), suppress(Exception):
            while group := await self._next():
                items.extend(group)
            whole = True
        return items, whole

    async def aclose(self) -> None:
        """Close the sources."""
        if self._step is not None:
            self._step.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._step
        for source in self._sources:
            await source.aclose()

    async def _next_unless_stopped(self) -> list[Any]:
        """Return the next list, or an empty one at the end or once stopped."""
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait((self._begin(), stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        return [] if self._stopped.is_set() else await self._next()

    async def _next(self) -> list[Any]:
        """Return the next list, or an empty one at the end."""
        step = self._begin()
        try:
            return await asyncio.shield(step)
        finally:
            if step.done():
                self._step = None

    def _begin(self) -> asyncio.Future[list[Any]]:
        """Return the task that takes the next list. It survives a cancelled caller."""
        if self._step is None:
            self._step = asyncio.ensure_future(self._advance())
        return self._step

    async def _advance(self) -> list[Any]:
        while self._sources:
            with suppress(StopAsyncIteration):
                return await anext(self._sources[0])
            del self._sources[0]
        return []


async def _lists(source: Any) -> AsyncGenerator[list[Any], None]:
    if hasattr(source, "groups"):
        async for group in source.groups():
            if group:
                yield group
    elif isinstance(source, AsyncIterable):
        async for item in source:
            yield [item]
    else:
        assert isinstance(source, Iterable)
        items = iter(source)
        while some := list(islice(items, _GROUP)):
            yield some
