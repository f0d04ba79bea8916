"""Iterate over lists that arrive one after another, without losing an item to a timeout.

A native async generator ends when an ``anext()`` on it is cancelled. Here a task fetches the next
list, and continues when a caller that waits for it is cancelled.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio

__all__ = ["PagedIterator", "cancel_unasked", "items_of", "lists_of"]

T = TypeVar("T")


def items_of(lists: AsyncGenerator[Sequence[T], None]) -> PagedIterator[T]:
    """Return an iterator over the items of `lists`."""
    state = _Iteration(lists)
    return PagedIterator(state, state.next_item)


def lists_of(lists: AsyncGenerator[Sequence[T], None]) -> PagedIterator[list[T]]:
    """Return an iterator over the lists of `lists` that are not empty."""
    state = _Iteration(lists)
    return PagedIterator(state, state.next_list)


class PagedIterator(AsyncIterator[T]):
    """An iterator over items, or over lists of items.

    A cancelled ``anext()`` loses no item, so ``asyncio.wait_for(anext(items), 0.05)`` can be
    repeated. The request in flight continues until the iterator is closed or garbage-collected.
    After an error, each further ``anext()`` raises it again.
    """

    # The coroutines of `__anext__` refer to the state only. A traceback may keep them alive, but
    # not the iterator. Leaving a loop therefore collects the iterator, which cancels the requests.

    def __init__(
        self, state: _Iteration[Any], next: Callable[[], Coroutine[object, None, T]]
    ) -> None:
        self._state = state
        self._next = next

    def __anext__(self) -> Coroutine[object, None, T]:
        return self._next()

    async def aclose(self) -> None:
        """Cancel the requests in flight. Further calls of ``anext()`` end the iteration."""
        await self._state.aclose()

    def __del__(self) -> None:
        self._state.drop()


class _Iteration(Generic[T]):
    """The state of one iteration. A task fetches the pages, and survives a cancelled caller."""

    def __init__(self, lists: AsyncGenerator[Sequence[T], None]) -> None:
        self._lists = lists
        self._items: deque[T] = deque()
        self._fetching: asyncio.Task[Sequence[T] | None] | None = None
        self._error: BaseException | None = None
        self._over = False

    async def next_item(self) -> T:
        while not self._items:
            await self._fill()
        return self._items.popleft()

    async def next_list(self) -> list[T]:
        while not self._items:
            await self._fill()
        page = list(self._items)
        self._items.clear()
        return page

    async def _fill(self) -> None:
        """Store the next page. After a cancellation, the next call stores it."""
        if self._error is not None:
            raise self._error
        if self._over:
            raise StopAsyncIteration
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch())
        task = self._fetching
        await asyncio.wait((task,))
        if task is not self._fetching:
            # Another waiter has stored the page.
            return
        self._fetching = None
        if task.cancelled():
            self._over = True
            raise asyncio.CancelledError
        self._error = task.exception()
        if self._error is not None:
            raise self._error
        page = task.result()
        if page is None:
            self._over = True
        else:
            self._items.extend(page)

    async def _fetch(self) -> Sequence[T] | None:
        return await anext(self._lists, None)

    async def aclose(self) -> None:
        self._over = True
        self._items.clear()
        if (task := self._fetching) is not None:
            self._fetching = None
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait((task,))
            if not task.cancelled():
                # Mark the exception as retrieved.
                task.exception()
        await self._lists.aclose()

    def drop(self) -> None:
        """Cancel the task of an iterator that is garbage-collected, which closes its pages."""
        if (task := self._fetching) is not None:
            self._fetching = None
            # The loop may be closed.
            with suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(cancel_unasked, task)


def cancel_unasked(task: asyncio.Task[Any]) -> None:
    """Cancel a task that no caller waits for, and discard its result or exception."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
