"""A source that can be told to stop, and that then knows what it had not given."""

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
    """The items of several sources, one source after another, for a batch run.

    A source is an iterable, an async iterable, or has ``groups()``, an async iterator of lists (as a folder has). The run lets go of
    what it was given when it ends; the sources stay open here, so that :meth:`rest` can say what a stopped run did not reach.
    """

    def __init__(self, sources: Sequence[Any]) -> None:
        self._sources = [_lists(source) for source in sources]
        self._step: asyncio.Future[list[Any]] | None = None
        self._recent: deque[Any] = deque()
        self._given = 0
        self._stopped = False

    def stop(self) -> None:
        """Give nothing more to the run."""
        self._stopped = True

    async def groups(self) -> AsyncIterator[list[Any]]:
        """The items, in lists, until the end or until :meth:`stop`."""
        while not self._stopped and (group := await self._next()):
            self._given += len(group)
            self._recent.extend(group)
            while len(self._recent) > 4 * _GROUP:
                self._recent.popleft()
            yield group

    async def rest(self, submitted: int, seconds: float) -> tuple[list[Any], bool]:
        """The items beyond the first `submitted`, and whether these are all, `seconds` being spent at the most on looking."""
        begin = len(self._recent) - (self._given - submitted)
        items = list(self._recent)[max(0, begin) :] if submitted < self._given else []
        whole = False
        with (
            anyio.move_on_after(seconds),
            suppress(Exception),
        ):  # a source that fails here has been or will be told of by the run
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

    async def _next(self) -> list[Any]:
        """The next list, or an empty one at the end. Taken by a task of its own: giving up waiting must not end a source in mid-step."""
        if self._step is None:
            self._step = asyncio.ensure_future(self._advance())
        step = self._step
        try:
            return await asyncio.shield(step)
        finally:
            if step.done():
                self._step = None

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
