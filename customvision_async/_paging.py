"""Lists of any length: pages are fetched ahead, joined in order, and checked against each other.

How drift is noticed. The service pages by counting (take, skip), so an image that is uploaded or deleted while we list moves all that
come after it. Pages are therefore asked for with one item of overlap: the first item of a page must be one we have seen.
If it is not, something slipped past us; then we step back until we meet items we have seen, and go on from there. Items already
given are never given again, so uploads cause no doubles and deletes (our own, too) cause no gaps.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, Generic, TypeVar

from .errors import DecodeError

__all__ = ["AsyncItemPaged", "Fetch", "merged", "one_page", "skip_pages"]

T = TypeVar("T")

Fetch = Callable[[int, int], Awaitable[Sequence[T]]]
"""Gets (take, skip) items."""

_STUCK = 3
"""Full pages in a row without one new item, after which a service is taken to repeat itself for ever."""


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


async def one_page(fetch: Callable[[], Awaitable[Sequence[T]]]) -> AsyncGenerator[Sequence[T], None]:
    """A list that the service gives all at once."""
    if items := await fetch():
        yield items


async def skip_pages(fetch: Fetch[T], key: Callable[[T], str], *, size: int, ahead: int) -> AsyncGenerator[Sequence[T], None]:
    """The pages of a list that is walked by take and skip, up to `ahead` of them under way.

    Args:
        fetch: gets (take, skip) items.
        key: what tells one item from another.
        size: items a page, at least 2.
        ahead: pages under way at once. It begins with one, so that a short list costs one request.

    Raises:
        DecodeError: the service gives the same full page again and again.
    """
    walk = _Walk(fetch, key, max(2, size), max(1, ahead))
    try:
        while (fresh := await walk.step()) is not None:
            if fresh:
                yield fresh
    finally:
        walk.drop()


class _Walk(Generic[T]):
    """The state of one walk: what was seen, which pages are under way, where the next begins."""

    def __init__(self, fetch: Fetch[T], key: Callable[[T], str], size: int, ahead: int) -> None:
        self._fetch = fetch
        self._key = key
        self._size = size
        self._most_ahead = ahead
        self._ahead = 1
        self._seen: set[str] = set()
        self._next = 0
        self._under_way: deque[tuple[int, asyncio.Task[Sequence[T]]]] = deque()
        self._stale = 0
        self._over = False

    async def step(self) -> list[T] | None:
        """The new items of the next page, maybe none; None at the end."""
        if self._over:
            return None
        while len(self._under_way) < self._ahead:
            self._ask(self._next)
            self._next += self._size - 1
        skip, task = self._under_way.popleft()
        page = await task
        drifted = bool(self._seen) and (not page or self._key(page[0]) not in self._seen)
        fresh = await self._recovered(skip) if drifted else []
        fresh += self._new(page)
        if len(page) < self._size:
            self._over = True
        elif fresh:
            self._stale = 0
            self._ahead = self._most_ahead if self._ahead > 1 else min(2, self._most_ahead)
        else:
            self._stale += 1
            if self._stale >= _STUCK:
                raise DecodeError(f"the service gives the same page again and again (skip={skip}): the list cannot be walked")
        return fresh

    async def _recovered(self, skip: int) -> list[T]:
        """What slipped to before `skip`: step back until a page has items that were seen."""
        lost: list[T] = []
        while skip > 0:
            skip = max(0, skip - self._size + 1)
            page = await self._fetch(self._size, skip)
            met = any(self._key(item) in self._seen for item in page)
            lost = self._new(page) + lost
            if met:
                break
        return lost

    def _new(self, page: Sequence[T]) -> list[T]:
        fresh: list[T] = []
        seen, key = self._seen, self._key
        for item in page:
            name = key(item)
            if name not in seen:
                seen.add(name)
                fresh.append(item)
        return fresh

    def _ask(self, skip: int) -> None:
        async def get() -> Sequence[T]:
            return await self._fetch(self._size, skip)

        self._under_way.append((skip, asyncio.ensure_future(get())))

    def drop(self) -> None:
        """Cancel what is under way; an error nobody will ask for is not to be reported as forgotten."""
        for _, task in self._under_way:
            task.cancel()
            task.add_done_callback(lambda done: done.cancelled() or done.exception())


async def merged(
    walks: Sequence[AsyncGenerator[Sequence[T], None]], key: Callable[[T], str], order: Callable[[T], Any]
) -> AsyncGenerator[Sequence[T], None]:
    """Several walks as one list, in `order`, each item once. Each walk must be in that order itself."""
    seen: set[str] = set()
    heads: list[tuple[Any, int, deque[T]]] = []

    async def refill(number: int) -> None:
        async for page in walks[number]:
            if page:
                heapq.heappush(heads, (order(page[0]), number, deque(page)))
                return

    async with AsyncExitStack() as stack:  # whatever ends one of them, the pages that the others have under way are let go
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
