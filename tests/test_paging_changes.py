"""Lists during a fast upload, lists that the service cuts short, and cancelled consumers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import ApiVersion, AsyncItemPaged, DecodeError
from customvision_async._paging import skip_pages

from .support.fake_service import BASE, Service
from .support.virtual_network import client_of, run

PAGED = [ApiVersion.V1_2, ApiVersion.V3_0, ApiVersion.V3_3]


def shelf(version: ApiVersion, count: int) -> Service:
    """Return a project of untagged images, with a service that responds in order."""
    service = Service(Random(1), version=version, most_calls=3_000)
    service.think = (0.01, 0.02)
    for number in range(count):
        service.add_image(b"%d" % number, at=BASE)
    return service


def listed(service: Service, **arguments: Any) -> list[str]:
    """List the untagged images."""

    async def main() -> list[str]:
        async with client_of(service, "list") as training:
            project = training.get_project_client(service.project_id)
            return [image.id async for image in project.list_images(tagged=False, **arguments)]

    return run(main())


@pytest.mark.parametrize(
    ("version", "rate"),
    [(ApiVersion.V3_0, 256), (ApiVersion.V3_3, 256), (ApiVersion.V3_3, 130)],
)
def test_a_list_gets_on_under_a_fast_upload(version: ApiVersion, rate: int) -> None:
    """With many new images before each request, the list takes at most twice the requests."""
    service = shelf(version, 5_000)
    before = list(service.images)
    service.on_call = lambda: [service.add_image(service.new_id().encode()) for _ in range(rate)]
    found = listed(service)
    quiet = shelf(version, 5_000)
    listed(quiet)
    assert [id for id in found if id in set(before)] == before[::-1]
    new = len(found) - len(before)
    assert service.total <= 2 * quiet.total + new / 256


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(0, 150),
    size=st.integers(2, 12),
    rates=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), min_size=1, max_size=8),
    seed=st.integers(0, 1000),
)
def test_uploads_and_deletes_at_any_rate_end_and_miss_nothing(
    count: int, size: int, rates: list[tuple[int, int]], seed: int
) -> None:
    """With uploads and deletions before each request, old images are listed once.

    The number of requests is bounded.
    """
    service, dice = shelf(ApiVersion.V3_3, count), Random(seed)
    before = set(service.images)

    def on_call() -> None:
        uploads, deletes = dice.choice(rates)
        for _ in range(uploads):
            service.add_image(service.new_id().encode())
        for _ in range(min(deletes, len(service.images))):
            del service.images[dice.choice(list(service.images))]

    service.on_call = on_call
    found = listed(service, page_size=size)
    assert len(found) == len(set(found))
    assert before & service.images.keys() <= set(found)
    quiet = count / (size - 1)
    assert service.total <= 5 * quiet + len(set(found) - before) / (size - 1) + 40


class Cut:
    """A list with shortened pages, as `cut` says."""

    def __init__(self, count: int, cut: dict[int, int], *, limit: int = 10**9) -> None:
        self.items = [str(number) for number in range(count)]
        self.cut = cut
        self.limit = limit
        self.requests = 0

    async def fetch(self, take: int, skip: int) -> Sequence[str]:
        self.requests += 1
        take = self.cut.pop(self.requests, take)
        return self.items[: self.limit][skip : skip + take]

    async def count(self) -> int:
        return len(self.items)

    def paged(self, *, counted: bool) -> AsyncItemPaged[str]:
        count = self.count if counted else None
        return AsyncItemPaged(lambda: skip_pages(self.fetch, str, size=10, ahead=3, count=count))


@settings(max_examples=150, deadline=None)
@given(
    count=st.integers(0, 80),
    cut=st.dictionaries(st.integers(1, 12), st.integers(1, 9), max_size=4),
    counted=st.booleans(),
)
def test_a_short_page_is_not_the_end(count: int, cut: dict[int, int], counted: bool) -> None:
    """The list continues after short pages, in order, with a count and without."""
    one = Cut(count, cut)
    if not counted:  # two short pages in a row end that list
        one.cut = {number: take for number, take in cut.items() if number % 2 and take > 1}
    assert run(one.paged(counted=counted).all()) == one.items


def test_a_service_that_gives_fewer_a_page_than_asked() -> None:
    """Pages of 4 instead of 10: all items are listed, with a count and without."""
    for counted in (True, False):
        one = Cut(50, dict.fromkeys(range(1, 1000), 4))
        assert run(one.paged(counted=counted).all()) == one.items


def test_a_list_that_ends_before_its_count_is_an_error() -> None:
    """The service counts 50 and lists 23: all 23 are yielded, then an error says so."""

    async def main() -> list[str]:
        given: list[str] = []
        with pytest.raises(DecodeError, match="counts 50 items but lists 23"):
            async for page in Cut(50, {}, limit=23).paged(counted=True).by_page():
                given += page
        return given

    assert run(main()) == Cut(23, {}).items


@pytest.mark.parametrize("version", PAGED)
def test_a_short_page_in_a_list_of_images(version: ApiVersion) -> None:
    """One page has 3 images instead of 10: the list is complete."""
    for at in range(1, 6):
        service = shelf(version, 40)
        response = service._GetImages
        pages = 0

        def short(*args: Any, response: Any = response, at: int = at) -> tuple[int, list[Any]]:
            nonlocal pages
            pages += 1
            status, page = response(*args)
            return status, page[:3] if pages == at else page

        service._GetImages = short  # type: ignore[method-assign]  # a service that errs
        assert sorted(listed(service, page_size=10)) == sorted(service.images)


@settings(max_examples=60, deadline=None)
@given(
    version=st.sampled_from(PAGED),
    patience=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=10),
    by_page=st.booleans(),
    many=st.booleans(),
)
def test_a_timeout_around_anext_loses_nothing(
    version: ApiVersion, patience: list[float], by_page: bool, many: bool
) -> None:
    """wait_for(anext(items), t), again and again: each image once, and no task is left."""
    service = shelf(version, 40)
    names = [f"t{number}" for number in range(25)]
    tags = [service.add_tag(name) for name in names]
    for number, image in enumerate(service.images.values()):
        image.tags[tags[number % 25]] = None

    async def main() -> list[str]:
        found: list[str] = []
        async with client_of(service, "list") as training:
            project = training.get_project_client(service.project_id)
            paged = project.list_images(page_size=7, tags=names if many else ())
            items: Any = paged.by_page() if by_page else aiter(paged)
            for turn in range(10_000):
                try:
                    got = await asyncio.wait_for(anext(items), patience[turn % len(patience)])
                except TimeoutError:
                    await asyncio.sleep(0.001)
                    continue
                except StopAsyncIteration:
                    break
                found += [image.id for image in (got if by_page else [got])]
        return found

    assert sorted(run(main())) == sorted(service.images)


def test_a_list_that_failed_says_so_again() -> None:
    """After an error, the next anext() raises it again instead of ending the list."""

    async def fetch(take: int, skip: int) -> list[str]:
        if skip:
            raise OSError("gone")
        return [str(number) for number in range(take)]

    async def main() -> None:
        items = aiter(AsyncItemPaged(lambda: skip_pages(fetch, str, size=3, ahead=1)))
        assert [await anext(items) for _ in range(3)] == ["0", "1", "2"]
        for _ in range(3):
            with pytest.raises(OSError, match="gone"):
                await anext(items)

    run(main())


def test_an_iterator_that_is_cancelled_and_dropped_or_closed_leaves_no_task() -> None:
    """The request that outlives a timeout ends with the iterator."""
    service = shelf(ApiVersion.V3_3, 100)
    service.think = (5.0, 6.0)

    async def main() -> None:
        async with client_of(service, "list") as training:
            paged = training.get_project_client(service.project_id).list_images()
            items = aiter(paged)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(items), 1.0)
            assert service.in_flight == 1
            del items
            gc.collect()
            await asyncio.sleep(0.1)
            assert service.in_flight == 0
            async with aclosing(paged.by_page()) as pages:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(pages), 1.0)
                assert service.in_flight == 1
            assert service.in_flight == 0
            with pytest.raises(StopAsyncIteration):
                await anext(pages)

    run(main())


def test_a_cancelled_consumer_leaves_no_request() -> None:
    """A cancelled task with a plain loop over a list: its request ends within a turn or two."""
    service = shelf(ApiVersion.V3_3, 100)
    service.think = (5.0, 6.0)

    async def main() -> None:
        async with client_of(service, "list") as training:
            project = training.get_project_client(service.project_id)

            async def consume() -> None:
                async for _ in project.list_images():
                    pass

            task = asyncio.ensure_future(consume())
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as held:
                await task
            await asyncio.sleep(0.001)
            assert service.in_flight == 0, held

    run(main())


def test_a_moment_of_creation_that_many_share_is_no_gap() -> None:
    """All images have one creation time, and uploads outrun the list: the old ones are all
    listed.
    """
    service = shelf(ApiVersion.V3_3, 60)
    for image in service.images.values():
        image.created = BASE - timedelta(hours=1)
    before = set(service.images)
    service.on_call = lambda: [service.add_image(service.new_id().encode()) for _ in range(30)]
    assert before <= set(listed(service, page_size=10))
