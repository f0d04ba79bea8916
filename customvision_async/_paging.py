"""Lists of any length: pages are fetched ahead, joined in order, and checked against each other.

How drift is noticed. The service pages by counting (take, skip), so an image that is uploaded or deleted while we list moves all that
come after it. Pages are therefore asked for with one item of overlap: the first item of a page must be one we have seen.
If it is not, something slipped past us: we step back (further each time) until a page has an item we have seen, or at the
beginning, and go on from there. So at every step all items before the last one seen have been given: deletes
(our own, too) cause no gaps; and what was given is never given again, so uploads cause no doubles.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Generic, TypeVar

import anyio

from .errors import DecodeError

__all__ = ["AsyncItemPaged", "Fetch", "merged", "one_page", "skip_pages"]

T = TypeVar("T")

Fetch = Callable[[int, int], Awaitable[Sequence[T]]]
"""Gets (take, skip) items."""

_PATIENCE = 16
"""Pages in a row without a new item, besides as many as were seen (so far may uploads have moved them); then the service repeats itself."""
_CALM = 4
"""After drift, pages that must come as expected before any is fetched ahead again: what is fetched ahead of drift is for nothing."""


class AsyncItemPaged(Generic[T]):
    """Items of a list, fetched page by page as they are asked for.

    ``async for item in paged`` gives items; ``async for page in paged.by_page()`` gives them in lists, one a page;
    ``await paged.all()`` gives them all. Each begins anew. Nothing is sent before the first item is asked for.
    """

    def __init__(self, pages: Callable[[], AsyncGenerator[Sequence[T], None]]) -> None:
        self._pages = pages

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                for item in page:
                    yield item

    async def by_page(self) -> AsyncGenerator[list[T], None]:
        """The items in lists, one for each page that has any."""
        async with aclosing(self._pages()) as pages:
            async for page in pages:
                yield list(page)

    async def all(self) -> list[T]:
        """Every item, in one list."""
        items: list[T] = []
        async for page in self.by_page():
            items += page
        return items


async def one_page(
    fetch: Callable[[], Awaitable[Sequence[T]]],
) -> AsyncGenerator[Sequence[T], None]:
    """A list that the service gives all at once."""
    if items := await fetch():
        yield items


async def skip_pages(
    fetch: Fetch[T], key: Callable[[T], str], *, size: int, ahead: int
) -> AsyncGenerator[Sequence[T], None]:
    """The pages of a list that is walked by take and skip, up to `ahead` of them under way.

    Args:
        fetch: gets (take, skip) items.
        key: what tells one item from another.
        size: items a page, at least 2.
        ahead: pages under way at once. It begins with one, so that a short list costs one request, and after drift.

    Raises:
        DecodeError: the service gives the same pages again and again.
    """
    walk = _PageWalker(fetch, key, max(2, size), max(1, ahead))
    try:
        while (fresh := await walk.step()) is not None:
            if fresh:
                yield fresh
    finally:
        await walk.aclose()


class _PageWalker(Generic[T]):
    """The state of one walk: what was seen, which pages are under way, where the next begins."""

    def __init__(self, fetch: Fetch[T], key: Callable[[T], str], size: int, ahead: int) -> None:
        self._fetch = fetch
        self._key = key
        self._size = size
        self._most_ahead = ahead
        self._seen: set[str] = set()
        self._next = 0
        self._under_way: deque[tuple[int, asyncio.Task[Sequence[T]]]] = deque()
        self._stable_pages = 0
        self._empty_pages = 0
        self._over = False

    async def step(self) -> Sequence[T] | None:
        """The new items of the next page, maybe none; None at the end."""
        if self._over:
            return None
        while len(self._under_way) < max(1, min(self._stable_pages + 1, self._most_ahead)):
            self._ask(self._next)
            self._next += self._size - 1
        skip, task = self._under_way.popleft()
        page = await task
        if self._seen and (not page or self._key(page[0]) not in self._seen):
            return await self._recovered(skip, page)
        return self._taken(skip, page)

    def _taken(self, skip: int, page: Sequence[T]) -> Sequence[T]:
        """The new items of a page that goes on where we are."""
        fresh = self._new(page)
        self._stable_pages += 1
        self._empty_pages = 0 if fresh else self._empty_pages + 1
        if len(page) < self._size:
            self._over = True
        elif self._empty_pages >= _PATIENCE + len(self._seen) // (
            self._size - 1
        ):  # as many may have moved by what was uploaded meanwhile
            raise DecodeError(
                f"the service gives the same page again and again (skip={skip}): the list cannot be walked"
            )
        return fresh

    async def _recovered(self, skip: int, page: Sequence[T]) -> Sequence[T]:
        """What slipped to before `skip`: step back to a page that has items we have seen, and go on from there."""
        steps, self._stable_pages = 1, -_CALM
        while True:
            skip = max(0, skip - steps * (self._size - 1))
            back = await self._fetch(self._size, skip)
            if skip == 0 or any(self._key(item) in self._seen for item in back):
                break
            steps *= 2
        fresh = self._taken(skip, back)
        if page and self._key(page[0]) in self._seen:  # nothing lies between the two
            self._over = False
            return [*fresh, *self._taken(skip, page)]
        self._drop()
        self._next = skip + self._size - 1
        return fresh

    def _new(self, page: Sequence[T]) -> Sequence[T]:
        names = list(map(self._key, page))
        overlap = 1 if names and names[0] in self._seen else 0
        others = set(names[overlap:])
        if len(others) == len(page) - overlap and self._seen.isdisjoint(
            others
        ):  # as it is for most
            self._seen |= others
            return page[overlap:]
        fresh = {
            name: item for name, item in zip(names, page, strict=True) if name not in self._seen
        }
        self._seen.update(fresh)
        return list(fresh.values())

    def _ask(self, skip: int) -> None:
        async def get() -> Sequence[T]:
            return await self._fetch(self._size, skip)

        self._under_way.append((skip, asyncio.ensure_future(get())))

    def _drop(self) -> list[asyncio.Task[Sequence[T]]]:
        """Cancel what is under way; an error nobody will ask for is not to be reported as forgotten."""
        tasks = [task for _, task in self._under_way]
        self._under_way.clear()
        for task in tasks:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return tasks

    async def aclose(self) -> None:
        """End what is under way."""
        if tasks := self._drop():
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks)


async def merged(
    walks: Sequence[AsyncGenerator[Sequence[T], None]],
    key: Callable[[T], str],
    order: Callable[[T], Any],
) -> AsyncGenerator[Sequence[T], None]:
    """Several walks as one list, in `order`, each item once. Each walk must be in that order itself."""
    seen: set[str] = set()
    heads: list[tuple[Any, int, deque[T]]] = []

    async def refill(number: int) -> None:
        async for page in walks[number]:
            if page:
                heapq.heappush(heads, (order(page[0]), number, deque(page)))
                return

    async with (
        AsyncExitStack() as stack
    ):  # whatever ends one of them, the pages that the others have under way are let go
        for walk in walks:
            await stack.enter_async_context(aclosing(walk))
        for number in range(len(walks)):
            await refill(number)
        out: list[T] = []
        while heads:
            _, number, items = heapq.heappop(heads)
            item = items.popleft()
            if key(item) not in seen:
                seen.add(key(item))
                out.append(item)
            if items:
                heapq.heappush(heads, (order(items[0]), number, items))
            else:
                await refill(number)
                if out:
                    yield out
                    out = []
        if out:
            yield out
