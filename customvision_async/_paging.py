"""Walk lists of any length, page by page, while other clients change them.

The service pages by position (take, skip), so an upload, a delete or a tag change moves the items
after it. Pages therefore overlap by one item. A page is accepted only if it starts with an item
that this walk has yielded. Otherwise items may have moved to a place before the page. The walk then
steps back, further each time, until it finds a page with a known item or the beginning of the list,
and continues there. At each step, every item before the last known one has been yielded, and no
item is yielded twice.

A walk keeps the ids of the items that it has yielded, in about 150 bytes per item, or 300 if walks
are compared. It only holds the items of the requested pages.
"""

from __future__ import annotations

import asyncio
import heapq
import warnings
from collections import deque
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Sequence,
)
from contextlib import AsyncExitStack, aclosing
from datetime import datetime
from typing import Any, Generic, TypeVar

import anyio

from ._paged_iterator import PagedIterator, cancel_unasked, items_of, lists_of
from .errors import DecodeError

__all__ = [
    "AsyncItemPaged",
    "Fetch",
    "merge_sorted",
    "one_page",
    "skip_pages",
    "until_agreed",
]

T = TypeVar("T")
S = TypeVar("S")

Fetch = Callable[[int, int], Awaitable[Sequence[T]]]
"""``fetch(take, skip)`` returns up to `take` items from position `skip`."""
Pages = AsyncGenerator[Sequence[T], None]

_MAX_EMPTY_PAGES = 16
"""Maximum number of pages in a row without a new item, for a short list. After more, the service
repeats itself. For a long list, the number of pages that were read is added, because uploads may
have moved items by that much."""
_PAGES_TO_STABLE = 4
"""Pages without drift that must follow drift before the walk prefetches again, because drift
invalidates prefetched pages."""
_MAX_SHORT_PAGES = 4
"""The list ends after this many short pages in a row without a new item, whatever the count."""
_MAX_EXTRA_WALKS = 8
"""Maximum number of additional walks because of moved items. Other clients may move items all the
time."""
_MAX_POSITION = 1 << 31
"""Position beyond the end of any list. A service that returns items there ignores `skip`."""


class AsyncItemPaged(Generic[T]):
    """A list that is fetched page by page during iteration.

    * ``async for item in paged`` yields items.
    * ``async for page in paged.by_page()`` yields one list per page.
    * ``await paged.to_list()`` returns all items in one list.

    Each of them starts from the beginning. Nothing is sent before the iteration starts. A list that
    is never iterated over warns when it is garbage-collected.
    """

    # In Python 3.11, tracemalloc knows where an object was created only if it has no __dict__.
    __slots__ = ("__weakref__", "_pages", "_used")

    def __init__(self, pages: Callable[[], AsyncGenerator[Sequence[T], None]]) -> None:
        self._pages = pages
        self._used = False

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(
                f"{type(self).__name__} was never iterated over: nothing was sent",
                RuntimeWarning,
                source=self,
                stacklevel=2,
            )

    def __aiter__(self) -> PagedIterator[T]:
        self._used = True
        return items_of(self._pages())

    def by_page(self) -> PagedIterator[list[T]]:
        """Return an iterator over the pages that are not empty, each as a list of items."""
        self._used = True
        return lists_of(self._pages())

    async def to_list(self) -> list[T]:
        """Return all items in one list."""
        items: list[T] = []
        async with aclosing(self.by_page()) as pages:
            async for page in pages:
                items += page
        return items

    all = to_list
    """The former name of :meth:`to_list`."""


async def one_page(
    fetch: Callable[[], Awaitable[Sequence[T]]],
) -> AsyncGenerator[Sequence[T], None]:
    """Yield a list that the service returns in a single response."""
    if items := await fetch():
        yield items


async def skip_pages(
    fetch: Fetch[T],
    key: Callable[[T], str],
    *,
    size: int,
    ahead: int,
    count: Callable[[], Awaitable[int]] | None = None,
    expected: int | None = None,
    backwards: Fetch[T] | None = None,
    created: Callable[[T], datetime | None] = lambda _: None,
) -> AsyncGenerator[Sequence[T], None]:
    """Yield the new items of each page of a list that the service pages by take and skip.

    A short page ends the list only if the service counts no more items. Without `count`, it ends
    the list if the next page has no new item.

    Args:
        fetch: Returns up to `take` items from position `skip`.
        key: Returns the unique id of an item.
        size: Items per page, at least 2.
        ahead: Maximum number of pages in flight. The walk starts with one page, so that short lists
            need few requests. After drift it starts with one again.
        count: Returns the number of items in the list.
        expected: Earlier result of `count`, if known.
        backwards: Like `fetch`, but in the opposite order. It is for lists with the newest items
            first. If items arrive faster than pages are read, the rest is read from the other end,
            and yielded in the order of the list.
        created: Returns the creation time of an item. Lists with `backwards` have the latest first.

    Raises:
        DecodeError: The service repeats the same pages, or counts more items than it lists.
    """
    walk = _PageWalker(fetch, key, max(2, size), max(1, ahead), count, expected, backwards, created)
    try:
        while (fresh := await walk.step()) is not None:
            if fresh:
                yield fresh
    finally:
        await walk.aclose()


class _PageWalker(Generic[T]):
    """The state of one walk: the known items, the pages in flight, and the next position."""

    def __init__(
        self,
        fetch: Fetch[T],
        key: Callable[[T], str],
        size: int,
        ahead: int,
        count: Callable[[], Awaitable[int]] | None,
        expected: int | None,
        backwards: Fetch[T] | None,
        created: Callable[[T], datetime | None],
    ) -> None:
        self._fetch = fetch
        self._key = key
        self._size = size
        self._max_ahead = ahead
        self._count = count
        self._expected = expected
        self._counting: asyncio.Task[int] | None = None
        self._backwards = backwards
        self._created = created
        self._seen: set[str] = set()
        self._edge: datetime | None = None
        self._next = 0
        self._in_flight: deque[tuple[int, asyncio.Task[Sequence[T]]]] = deque()
        self._stable_pages = 0
        self._empty_pages = 0
        self._repeated = 0
        self._short = 0
        self._reported_ends: set[tuple[int, int]] = set()
        self._done = False
        self._reversed: _ReversedRest[T] | None = None

    async def step(self) -> Sequence[T] | None:
        """Return the new items of the next page, or None at the end of the list."""
        if self._done:
            return None
        self._prefetch()
        skip, task = self._in_flight.popleft()
        page = await task
        if self._seen and not self._is_adjacent(page):
            return await self._step_back(skip, page)
        return await self._accept(skip, page)

    def _prefetch(self) -> None:
        """Request the next page, and prefetch further pages up to the number of items."""
        room = max(1, min(self._stable_pages + 1, self._max_ahead))
        if self._count is not None and self._reversed is None and self._expected is None:
            if self._counting is None and self._seen:
                self._counting = _start_task(self._count)
            if self._counting is not None and self._counting.done():
                self._expected = self._counting.result()
            else:
                room = 1
        while len(self._in_flight) < room and (
            not self._in_flight or self._expected is None or self._next < self._expected
        ):
            self._request(self._next)
            self._next += self._size - 1

    async def _accept(self, skip: int, page: Sequence[T]) -> Sequence[T]:
        """Return the new items of a page that continues the walk."""
        edge = self._edge
        fresh = self._record_new(page)
        self._stable_pages += 1
        self._empty_pages = 0 if fresh else self._empty_pages + 1
        if self._reversed is not None:
            # Each page is closer to the end, so the walk terminates.
            self._done = self._reversed.is_last(skip)
            return fresh
        if len(page) < self._size:
            await self._end_or_continue(skip + len(page), bool(fresh))
            return fresh
        # Uploads may have moved items by as many pages as were read.
        if self._empty_pages >= _MAX_EMPTY_PAGES + len(self._seen) // (self._size - 1):
            raise DecodeError(
                f"the service repeats the same page (skip={skip}), so the list cannot be read"
            )
        self._repeated += self._size - 1 - sum(not self._is_newer(item, edge) for item in fresh)
        if self._repeated > 2 * self._size + len(self._seen) // 4:
            await self._reverse()
        return fresh

    async def _end_or_continue(self, end: int, brought_new: bool) -> None:
        """End the walk after a short page, or continue from `end`."""
        self._short = 0 if brought_new else self._short + 1
        if self._count is None:
            self._done = self._short > 0
        else:
            if self._expected is None or (self._short and end < self._expected):
                self._expected = await self._get_count()
            self._reported_ends = (
                {*self._reported_ends, (end, self._expected)} if self._short else set()
            )
            self._done = end >= self._expected or self._short >= _MAX_SHORT_PAGES
            if (
                end < self._expected
                and self._done
                and len(self._reported_ends) == 1
                # If the counts differ, other clients are changing the list.
                and {await self._get_count(), await self._get_count()} == {self._expected}
            ):
                raise DecodeError(
                    f"the service counts {self._expected} items but lists {end}, so the list is"
                    " incomplete"
                )
        if not self._done:
            self._cancel_in_flight()
            self._next, self._stable_pages = max(0, end - 1), 0

    async def _get_count(self) -> int:
        """Return the number of items, from the count in flight if there is one."""
        assert self._count is not None
        task, self._counting = self._counting, None
        return await (self._count() if task is None else task)

    async def _step_back(self, skip: int, page: Sequence[T]) -> Sequence[T]:
        """Step back from `skip` to a page with known items, and return its new items."""
        steps, self._stable_pages = 1, -_PAGES_TO_STABLE
        at = skip
        while True:
            at = max(0, at - steps * (self._size - 1))
            back = await self._fetch(self._size, at)
            if at == 0 or self._has_known(back) or (self._reversed and self._is_adjacent(back)):
                break
            steps *= 2
        if at == 0 and not self._has_known(back) and back and self._is_newer(back[0], self._edge):
            # The page is newer than all known items, so uploads are faster than the walk.
            fresh = self._record_new(back)
            if not await self._reverse():
                self._cancel_in_flight()
                self._next = self._size - 1
            return fresh
        names = {self._key(item) for item in back}
        # The two pages overlap, so no item lies between them.
        if page and self._key(page[0]) in names:
            fresh = self._record_new(back)
            return [*fresh, *await self._accept(skip, page)]
        self._cancel_in_flight()
        self._next = at + self._size - 1
        return await self._accept(at, back)

    async def _reverse(self) -> bool:
        """Walk the rest from the other end, where uploads move no item.

        Return False if this list does not allow it.
        """
        if self._backwards is None or self._edge is None:
            return False
        self._cancel_in_flight()
        self._reversed = _ReversedRest(self._backwards, self._size, self._reaches(self._edge))
        await self._reversed.find()
        self._fetch, self._backwards = self._reversed.fetch, None
        self._next, self._stable_pages, self._empty_pages = 0, -_PAGES_TO_STABLE, 0
        return True

    def _reaches(self, edge: datetime) -> Callable[[T], bool]:
        """Return a predicate: whether an item lies in the part of the list that has been walked."""
        return lambda item: self._key(item) in self._seen or self._is_newer(item, edge)

    def _is_newer(self, item: T, edge: datetime | None) -> bool:
        """Return whether `item` was created after `edge`. Return False if a time is unknown."""
        created = self._created(item)
        return edge is not None and created is not None and created > edge

    def _is_adjacent(self, page: Sequence[T]) -> bool:
        """Return whether a page follows the part that has been walked without a gap."""
        if self._reversed is not None:
            # After deletes, the page may be past the end of the list.
            return not page or self._reversed.reaches(page[0])
        return self._has_known(page[:1])

    def _has_known(self, page: Sequence[T]) -> bool:
        return any(self._key(item) in self._seen for item in page)

    def _record_new(self, page: Sequence[T]) -> Sequence[T]:
        """Record the items of a page, and return those that were not known."""
        if page and (created := self._created(page[-1])) is not None:
            self._edge = created if self._edge is None else min(self._edge, created)
        names = list(map(self._key, page))
        overlap = 1 if names and names[0] in self._seen else 0
        others = set(names[overlap:])
        # Fast path: most pages have no duplicates.
        if len(others) == len(page) - overlap and self._seen.isdisjoint(others):
            self._seen |= others
            return page[overlap:]
        fresh = {
            name: item for name, item in zip(names, page, strict=True) if name not in self._seen
        }
        self._seen.update(fresh)
        return list(fresh.values())

    def _request(self, skip: int) -> None:
        self._in_flight.append((skip, _start_task(self._fetch, self._size, skip)))

    def _cancel_in_flight(self) -> list[asyncio.Task[Any]]:
        """Cancel the pages in flight, discard their exceptions, and return their tasks."""
        tasks = [task for _, task in self._in_flight]
        self._in_flight.clear()
        for task in tasks:
            cancel_unasked(task)
        return tasks

    async def aclose(self) -> None:
        """Cancel all requests in flight, and wait until they have ended."""
        tasks = self._cancel_in_flight()
        if self._counting is not None:
            cancel_unasked(self._counting)
            tasks.append(self._counting)
        if tasks:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(tasks)


class _ReversedRest(Generic[T]):
    """The rest of a list, fetched from its other end and returned in the order of the list.

    Positions from the other end do not move when items are added at the front.
    """

    def __init__(self, fetch: Fetch[T], size: int, reaches: Callable[[T], bool]) -> None:
        self._fetch = fetch
        self._size = size
        self.reaches = reaches
        self._end = 0

    async def find(self) -> None:
        """Find the start of the walked part by a galloping search, then a binary search."""
        low, high = -self._size, 0
        while not await self._check_page(high):
            low, high = high, 2 * high + self._size
            if high > _MAX_POSITION:
                raise DecodeError("the service repeats the same page, so the list cannot be read")
        while high - low > self._size:
            middle = (low + high) // 2
            if await self._check_page(middle):
                high = middle
            else:
                low = middle
        self._end = high + self._size

    async def _check_page(self, skip: int) -> bool:
        return self._is_connected(await self._fetch(self._size, skip))

    def _is_connected(self, page: Sequence[T]) -> bool:
        """Return whether a page reaches the walked part or the beginning of the list."""
        return len(page) < self._size or self.reaches(page[-1])

    def is_last(self, skip: int) -> bool:
        """Return whether the page at `skip` reaches the other end."""
        return self._end - skip <= self._size

    async def fetch(self, take: int, skip: int) -> Sequence[T]:
        """Return the page at `skip`, counted from the part that has been walked."""
        page = await self._fetch(take, max(0, self._end - skip - take))
        # Since find(), items may have been added in front of the page.
        while skip == 0 and not self._is_connected(page):
            self._end += take - 1
            page = await self._fetch(take, self._end - take)
        return page[::-1]


def _start_task(function: Callable[..., Awaitable[S]], *args: Any) -> asyncio.Task[S]:
    """Call `function` in a new task."""

    async def call() -> S:
        return await function(*args)

    return asyncio.ensure_future(call())


async def until_agreed(
    lists: Sequence[Callable[[], AsyncGenerator[Sequence[T], None]]],
    needed: int,
    key: Callable[[T], str],
    created: Callable[[T], datetime | None],
) -> AsyncGenerator[Sequence[T], None]:
    """Walk several lists in turn until the walks agree, and yield each item once.

    The walks of two lists may both miss an item that moves from one list to the other. At least
    `needed` walks are therefore made. Then another walk follows if the last one found a new item
    that existed during the first `needed` - 1 walks. Later items do not count, because uploads may
    never end. If the last walk found an item that had moved to another list, further walks follow,
    up to `_MAX_EXTRA_WALKS`.
    """
    place: dict[str, int] = {}
    newest: datetime | None = None
    number = 0
    while True:
        here = number % len(lists)
        number += 1
        missed = moved = False
        async with aclosing(lists[here]()) as pages:
            async for page in pages:
                fresh = [item for item in page if key(item) not in place]
                moved |= any(place.get(key(item), here) != here for item in page)
                place.update((key(item), here) for item in page)
                times = [time for time in map(created, fresh) if time is not None]
                if number < needed:
                    newest = max(times if newest is None else [*times, newest], default=None)
                else:
                    missed |= newest is not None and any(time <= newest for time in times)
                if fresh:
                    yield fresh
        if number >= needed and not missed and not (moved and number < needed + _MAX_EXTRA_WALKS):
            return


async def merge_sorted(
    walks: Sequence[AsyncGenerator[Sequence[T], None]],
    key: Callable[[T], str],
    order: Callable[[T], Any],
) -> AsyncGenerator[Sequence[T], None]:
    """Merge several walks that are sorted by `order` into one sorted list, each item once."""
    seen: set[str] = set()
    heads: list[tuple[Any, int, deque[T]]] = []

    async def refill(number: int) -> None:
        async for page in walks[number]:
            if page:
                heapq.heappush(heads, (order(page[0]), number, deque(page)))
                return

    # If one walk raises, the requests in flight of the others are cancelled.
    async with AsyncExitStack() as stack:
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
