"""Pull items in groups from any iterable or async iterable, no faster than they are sent.

A source that has its items in lists, such as a folder that a worker thread reads, has a method
``groups()`` that returns an async iterator of lists, and no ``__iter__``.
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
    """A source that returns its items in groups.

    Attributes:
        left: Items that were taken from the source and not returned by `next_group`. The list is
            complete once the source is closed.
    """

    left: list[Any]

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        """Return the next items, from one to `count`.

        The list is empty if the source yields nothing for `patience` seconds. A source with groups
        of its own returns the next of these, whatever its size.

        Raises:
            StopAsyncIteration: The source has ended.
        """
        ...

    def interrupt(self) -> None:
        """Stop waiting for the source, so that `next_group` returns an empty list."""
        ...

    async def aclose(self) -> None:
        """Close the source."""
        ...


def check_source(source: Any) -> None:
    """Raise TypeError if `source` is not iterable, or is a single item.

    Text, bytes and mappings are single items.
    """
    kind = type(source).__name__
    if isinstance(source, (str, bytes, bytearray, memoryview, Mapping)):
        raise TypeError(
            f"a batch takes an iterable of items, not a single {kind}; put it in a list"
        )
    if not (
        _has_groups(source)
        or hasattr(source, "__aiter__")
        or hasattr(source, "__iter__")
        or hasattr(source, "__getitem__")
    ):
        raise TypeError(
            f"a batch takes an iterable or async iterable of items, not a {kind};"
            " put a single item in a list"
        )


def known_length(source: Any) -> int | None:
    """Return the number of items of the source, or None if it is not known."""
    return len(source) if isinstance(source, Sized) else None


def groups_of(source: Any) -> Groups:
    """Return the groups of a source.

    Exceptions of the source's ``__iter__``, ``__aiter__`` or ``groups`` are raised unchanged.
    """
    if _has_groups(source):
        return _Lingering(source.groups(), grouped=True)
    if hasattr(source, "__aiter__"):
        return _Lingering(aiter(source), grouped=False)
    return _Plain(iter(source))


def _has_groups(source: Any) -> bool:
    # Tables of data libraries have another kind of `groups`. They are iterable.
    return callable(getattr(source, "groups", None)) and not hasattr(source, "__iter__")


class _Plain:
    """The groups of an iterable.

    The iterator runs on the event loop, because it may not be safe to use in another thread. Other
    tasks may run before each group.
    """

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items
        self._error: Exception | None = None
        self.left: list[Any] = []

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        await asyncio.sleep(0)
        if self._error is not None:
            raise self._error
        group: list[Any] = []
        try:
            with raise_foreign_cancellation("the source"):
                # extend() keeps the items before an error.
                group.extend(islice(self._items, count))
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
        # A generator, but not an open file.
        if close is not None and not hasattr(self._items, "read"):
            close()


class _Lingering:
    """The groups of an async iterable: the items that are ready, or the next one if none is.

    A task advances the iterator, so that a timeout does not cancel it in the middle of a step.
    """

    def __init__(self, items: AsyncIterator[Any], *, grouped: bool) -> None:
        self._items = items
        self._grouped = grouped
        self._step: asyncio.Future[tuple[list[Any], Exception | None]] | None = None
        self.left: list[Any] = []
        self._end: Exception | None = None
        self._interrupted: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def next_group(self, count: int, patience: float | None) -> list[Any]:
        if self._end is not None:
            raise self._end
        group = self.left
        if self._grouped:
            count = 1
        while len(group) < count:
            if self._step is None:
                self._step = asyncio.ensure_future(self._advance())
            if not self._step.done():
                if group:
                    # The step of a source whose items are ready takes one turn.
                    await asyncio.sleep(0)
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
        self.left = []
        return group

    async def _advance(self) -> tuple[list[Any], Exception | None]:
        try:
            with raise_foreign_cancellation("the source"):
                try:
                    item = await anext(self._items)
                except StopAsyncIteration as end:
                    # A task cannot raise it.
                    return [], end
        except Exception as error:  # noqa: BLE001  # an error of the source
            return [], error
        return (item if self._grouped else [item]), None

    def interrupt(self) -> None:
        if not self._interrupted.done():
            self._interrupted.set_result(None)

    async def aclose(self) -> None:
        if self._step is not None:
            self._step.cancel()
            with suppress(asyncio.CancelledError):
                self.left += (await self._step)[0]
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()
