"""Invariants of paging: no duplicates and no gaps, whatever is uploaded and deleted meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import AsyncItemPaged, DecodeError
from customvision_async._paging import merge_sorted, skip_pages

from .support.virtual_loop import run


class Shelf:
    """A list that other clients change, in pages by take and skip, newest first."""

    def __init__(self, count: int, changes: Sequence[tuple[str, int, int]] = ()) -> None:
        self.items = [f"old-{number}" for number in range(count)]
        self.always = set(self.items)
        self.changes = list(changes)
        self.fetched = 0
        self.in_flight = 0

    async def fetch(self, take: int, skip: int) -> list[str]:
        """Return a page. The changes happen while it is in flight."""
        self.fetched += 1
        self.in_flight += 1
        try:
            await asyncio.sleep(0.01 * (1 + skip % 3))
            if self.changes:
                self.change(*self.changes.pop())
            page = self.items[skip : skip + take]
            await asyncio.sleep(0.01)
            return page
        finally:
            self.in_flight -= 1

    def change(self, what: str, where: int, count: int) -> None:
        """Upload `count` items to the front, or delete `count` items at a place (in percent)."""
        if what == "upload":
            self.items[:0] = [f"new-{self.fetched}-{number}" for number in range(count)]
        else:
            place = where * len(self.items) // 100
            self.always -= set(self.items[place : place + count])
            del self.items[place : place + count]


def paged(shelf: Shelf, size: int, ahead: int = 4) -> AsyncItemPaged[str]:
    """Return a paged list of the shelf."""
    return AsyncItemPaged(lambda: skip_pages(shelf.fetch, str, size=size, ahead=ahead))


CHANGES = st.lists(
    st.tuples(st.sampled_from(["upload", "delete"]), st.integers(0, 99), st.integers(1, 40)),
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(count=st.integers(0, 200), size=st.integers(2, 20), ahead=st.integers(1, 5), changes=CHANGES)
def test_what_is_there_all_the_time_is_listed_once(
    count: int, size: int, ahead: int, changes: list[tuple[str, int, int]]
) -> None:
    """Random uploads and deletions during prefetching: no duplicates, and no gap among the rest."""
    shelf = Shelf(count, changes)
    listed = run(paged(shelf, size, ahead).all())
    assert len(listed) == len(set(listed))
    assert shelf.always <= set(listed)
    assert shelf.in_flight == 0


@settings(max_examples=100, deadline=None)
@given(count=st.integers(0, 200), size=st.integers(2, 20), ahead=st.integers(1, 5))
def test_a_quiet_list_is_given_in_its_order(count: int, size: int, ahead: int) -> None:
    """Without changes the order is the service's. A list of one page needs one request and
    a count.
    """
    shelf = Shelf(count)
    assert run(paged(shelf, size, ahead).all()) == shelf.items
    if count < size:
        assert shelf.fetched == 1 + (count > 0)  # The next page tells the end.
    shelf.fetched = 0

    async def number() -> int:
        return len(shelf.items)

    pages = AsyncItemPaged(
        lambda: skip_pages(shelf.fetch, str, size=size, ahead=ahead, count=number)
    )
    assert run(pages.all()) == shelf.items
    assert shelf.fetched <= max(1, -(-count // (size - 1)) + 1)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 150), size=st.integers(2, 20), batch=st.integers(1, 30))
def test_deleting_while_listing_reaches_every_item(count: int, size: int, batch: int) -> None:
    """Each item is deleted when it is yielded: none is skipped, and requests stay few."""

    async def main() -> tuple[list[str], Shelf]:
        shelf = Shelf(count)
        given: list[str] = []
        doomed: list[str] = []
        async for item in paged(shelf, size):
            given.append(item)
            doomed.append(item)
            if len(doomed) >= batch:
                shelf.items = [item for item in shelf.items if item not in doomed]
                doomed.clear()
        return given, shelf

    given, shelf = run(main())
    assert sorted(given) == sorted(shelf.always)
    assert shelf.fetched <= 8 * (count // (size - 1) + 2)


def test_drift_costs_few_requests() -> None:
    """A tenth of 10,000 items is deleted half-way: only a few more requests."""

    async def main() -> Shelf:
        shelf = Shelf(10_000)
        listed = []
        async for item in paged(shelf, 100):
            listed.append(item)
            if len(listed) == 5_000:
                shelf.change("delete", 0, 1_000)
        assert len(set(listed)) == 10_000
        return shelf

    assert run(main()).fetched <= 150


def unstable(skip: int) -> list[str]:
    """Return pages that have nothing to do with each other."""
    return [f"{skip}-{number}" for number in range(10)]


@pytest.mark.parametrize(
    "page",
    [
        lambda skip: [str(n) for n in range(10)],
        lambda skip: [f"{skip % 2}{n}" for n in range(10)],
        unstable,
    ],
    ids=["ignores-skip", "in-turns", "unstable"],
)
def test_a_service_that_repeats_itself_is_an_error_and_no_endless_loop(
    page: Callable[[int], list[str]],
) -> None:
    """The same full pages again and again: DecodeError, after a bounded number of requests."""
    requests = 0

    async def fetch(take: int, skip: int) -> list[str]:
        nonlocal requests
        requests += 1
        return page(skip)

    async def main() -> None:
        with pytest.raises(DecodeError, match="repeats the same page"):
            await AsyncItemPaged(lambda: skip_pages(fetch, str, size=10, ahead=4)).all()

    run(main())
    assert requests < 60


def test_an_error_of_a_page_comes_up_and_leaves_no_task() -> None:
    """The third page fails: earlier pages are yielded, the error is raised, and no fetch
    continues.
    """
    shelf = Shelf(100)

    async def fetch(take: int, skip: int) -> list[str]:
        if skip == 18:
            raise OSError("gone")
        return await shelf.fetch(take, skip)

    async def main() -> list[str]:
        listed: list[str] = []
        with pytest.raises(OSError, match="gone"):
            async for page in AsyncItemPaged(
                lambda: skip_pages(fetch, str, size=10, ahead=4)
            ).by_page():
                listed += page
        assert shelf.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return listed

    assert run(main()) == shelf.items[:19]


def test_leaving_a_list_ends_the_pages_under_way() -> None:
    """A closed iterator has no task left, also in a merged list."""
    shelf = Shelf(1000)

    async def main() -> None:
        walks = [skip_pages(shelf.fetch, str, size=10, ahead=4) for _ in range(3)]
        async with aclosing(
            merge_sorted(walks, str, lambda item: int(item.split("-")[1]))
        ) as pages:
            await anext(pages)
            await anext(pages)
        assert shelf.in_flight == 0
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())


@settings(max_examples=100, deadline=None)
@given(
    shelves=st.lists(st.sets(st.integers(0, 60)), min_size=1, max_size=4), size=st.integers(2, 9)
)
def test_merged_walks_are_in_order_and_without_doubles(shelves: list[set[int]], size: int) -> None:
    """Overlapping lists are merged, each item once, in order."""

    async def main() -> list[int]:
        def walk(items: list[int]) -> object:
            async def fetch(take: int, skip: int) -> list[int]:
                return items[skip : skip + take]

            return skip_pages(fetch, str, size=size, ahead=3)

        walks = [walk(sorted(shelf)) for shelf in shelves]
        return [item async for page in merge_sorted(walks, str, int) for item in page]

    assert run(main()) == sorted(set().union(*shelves))


def test_a_list_can_be_gone_through_again() -> None:
    """Each iteration starts again. by_page yields lists."""

    async def main() -> None:
        shelf = Shelf(25)
        listing = paged(shelf, 10)
        assert shelf.fetched == 0
        assert await listing.all() == shelf.items
        pages = [page async for page in listing.by_page()]
        assert [item for page in pages for item in page] == shelf.items
        assert all(isinstance(page, list) and page for page in pages)

    run(main())
