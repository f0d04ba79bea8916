"""Pulling from whatever the user gave: any iterable or async iterable, in groups, and only as fast as the run goes.

A source that can give its items in lists by itself (a folder that is read by a worker thread) is no plain iterable and has a method
``groups()``, an async iterator of lists; the others are gathered here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sized
from contextlib import suppress
from itertools import islice
from typing import Any, Protocol

from .cancellation import raise_foreign_cancellation

__all__ = ["Groups", "check_source", "groups_of", "known_length"]


class Groups(Protocol):
    """A source, in groups."""

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        """The next items, at least one and at most `count`; or an empty list once the source has kept us waiting for `patience` seconds.

        A source that has groups of its own gives these, whatever the count.

        Raises:
            StopAsyncIteration: the source is at its end.
        """
        ...

    def interrupt(self) -> None:
        """Stop waiting for the source: `next_group` gives an empty list."""
        ...

    async def aclose(self) -> None:
        """Let go of the source."""
        ...


def check_source(source: Any) -> None:
    """Raise TypeError unless `source` can be iterated over, and is no single thing where many are meant (text, bytes, a mapping)."""
    kind = type(source).__name__
    if isinstance(source, (str, bytes, bytearray, memoryview, Mapping)):
        raise TypeError(
            f"a batch takes an iterable of items, not a single {kind}: put it in a list"
        )
    if not (
        _has_groups(source)
        or hasattr(source, "__aiter__")
        or hasattr(source, "__iter__")
        or hasattr(source, "__getitem__")
    ):
        raise TypeError(
            f"a batch takes an iterable or async iterable of items, not a {kind}: put a single item in a list"
        )


def known_length(source: Any) -> int | None:
    """How many items the source has, where it can say."""
    return len(source) if isinstance(source, Sized) else None


def groups_of(source: Any) -> Groups:
    """`source` in groups.

    Raises:
        Exception: whatever the source raises when it is asked for its iterator.
    """
    if _has_groups(source):
        return _Lingering(source.groups(), grouped=True)
    if hasattr(source, "__aiter__"):
        return _Lingering(aiter(source), grouped=False)
    return _Plain(iter(source))


def _has_groups(source: Any) -> bool:
    return callable(getattr(source, "groups", None)) and not hasattr(
        source, "__iter__"
    )  # data sets have groups of their own


class _Plain:
    """A plain iterable. It is advanced on the event loop: an iterator may belong to its thread. The loop gets a turn after each group."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._error: Exception | None = None

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        group: list[Any] = []
        try:
            with raise_foreign_cancellation("the source"):
                group.extend(islice(self._items, count))  # extend keeps what came before an error
        except Exception as error:
            if not group:
                raise
            self._error = error
        if not group:
            raise StopAsyncIteration
        return group

    def interrupt(self) -> None:
        pass

    async def aclose(self) -> None:
        close = getattr(self._items, "close", None)
        if close is not None and not hasattr(
            self._items, "read"
        ):  # a generator, never an open file
            close()


class _Lingering:
    """An async iterable: gather what is there at once, wait for the rest only as long as nobody else waits.

    The iterator is advanced by one task of its own, so that giving up waiting never cancels it in the middle of a step.
    """

    def __init__(self, items: AsyncIterator[Any], *, grouped: bool) -> None:
        self._items = items
        self._grouped = grouped
        self._step: asyncio.Future[Any] | None = None
        self._end: Exception | None = None
        self._interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        if self._end is not None:
            raise self._end
        group: list[Any] = []
        if self._grouped:
            count = 1
        while len(group) < count:
            if self._step is None:
                self._step = asyncio.ensure_future(self._advance())
            if not self._step.done():
                if group:
                    await asyncio.sleep(
                        0
                    )  # the step of a source that has its items ready is done after one turn
                    if not self._step.done():
                        break
                else:
                    await asyncio.wait(
                        (self._step, self._interrupted),
                        timeout=patience,
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    if not self._step.done():
                        return []
            step, self._step = self._step, None
            items, end = step.result()
            if end is not None:
                self._end = end
                if group:
                    break
                raise end
            group.extend(items)
        return group

    async def _advance(self) -> tuple[list[Any], Exception | None]:
        try:
            with raise_foreign_cancellation("the source"):
                item = await anext(self._items)
        except Exception as error:  # noqa: BLE001 - StopAsyncIteration included: it cannot leave a task as itself
            return [], error
        return (item if self._grouped else [item]), None

    def interrupt(self) -> None:
        if not self._interrupted.done():
            self._interrupted.set_result(None)

    async def aclose(self) -> None:
        if self._step is not None:
            self._step.cancel()
            with suppress(asyncio.CancelledError):
                await self._step
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()
