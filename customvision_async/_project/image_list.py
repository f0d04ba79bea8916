"""How the images of a project are listed and counted in each version of the API.

From v3.3 one operation lists all. Before, the tagged and the untagged are two lists, and the
shorter one is walked twice. v1.2 cannot count.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

from .. import limits
from .._operations import Operations
from .._paging import AsyncItemPaged, Fetch, merged, skip_pages, until_agreed
from .._versions import ApiVersion
from .._wire.operation_spec import require
from ..errors import LimitExceeded
from ..models import Image
from .tags import batched

__all__ = ["ImageList"]

Order = Literal["newest", "oldest"]
_URL_TAGS = 150
"""Tags of a count that a URL holds: the service states no limit for them."""


class ImageList:
    """Which images of a project: all, or those a filter lets through."""

    def __init__(
        self,
        operations: Operations,
        project_id: str,
        find_tags: Callable[[], Awaitable[tuple[str, ...]]],
        tagged: bool | None,
        by_tag: bool,
        iteration_id: str | None,
        filter: str | None,
        ahead: int,
    ) -> None:
        if tagged is False and by_tag:
            raise ValueError("tagged=False with tags: an untagged image has none of them")
        self._operations = operations
        self._project_id = project_id
        self._find_tags = find_tags
        self._tagged = True if by_tag else tagged
        self._by_tag = by_tag
        self._iteration_id = iteration_id
        self._filter = filter
        self._ahead = ahead

    def paged(self, order: Order, page_size: int) -> AsyncItemPaged[Image]:
        """The images."""
        if order not in ("newest", "oldest"):
            raise ValueError(f"order is 'newest' or 'oldest', not {order!r}")
        if page_size > limits.MAX_PAGE_SIZE.value:
            raise LimitExceeded(limits.MAX_PAGE_SIZE, page_size)
        if page_size < 2:
            raise ValueError("a page has at least 2 images: one of them ties it to the page before")
        return AsyncItemPaged(lambda: self._pages(order, page_size))

    async def count(self) -> int:
        """How many there are."""
        tags = await self._find_tags() if self._by_tag else ()
        if not self._countable or len(tags) > _URL_TAGS:
            return sum(
                [len(page) async for page in self._pages("newest", limits.MAX_PAGE_SIZE.value)]
            )
        return await self._counted(tags)

    @property
    def _countable(self) -> bool:
        return self._operations.version >= ApiVersion.V2_0

    async def _counted(self, tags: Sequence[str]) -> int:
        if self._operations.version >= ApiVersion.V3_3:
            return await self._operations.get_image_count(
                self._project_id,
                iteration_id=self._iteration_id,
                tagging_status=self._status(),
                filter=self._filter,
                tag_ids=tags or None,
            )
        self._refuse_filter()
        count = 0
        if self._tagged is not False:
            count += await self._count_one(True, tags)
        if self._tagged is not True:
            count += await self._count_one(False, ())
        return count

    async def _count_one(self, tagged: bool, tags: Sequence[str]) -> int:
        """Count the tagged or the untagged images (before v3.3)."""
        operations, project, iteration = self._operations, self._project_id, self._iteration_id
        if tagged:
            return await operations.get_tagged_image_count(
                project, iteration_id=iteration, tag_ids=tags or None
            )
        return await operations.get_untagged_image_count(project, iteration_id=iteration)

    def _pages(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        if self._by_tag:
            return self._with_tags(order, size)
        if self._operations.version < ApiVersion.V3_3 and self._tagged is None:
            return self._both(order, size)
        return self._walk(self._tagged, (), order, size)

    async def _with_tags(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        """Yield the images with one of the tags: one walk, or one for each part of many tags.

        An image may lose a tag of one part and gain one of another meanwhile. It is then in the
        list all the time and may yet be missed by the walks of both, so all are walked a second
        time.
        """
        tags = await self._find_tags()
        each = [list(part) for part in batched(tags, limits.TAGS_PER_FILTER.value)]
        sign = -1 if order == "newest" else 1

        def walks() -> list[AsyncGenerator[Sequence[Image], None]]:
            return [self._walk(True, part, order, size) for part in each]

        def together() -> AsyncGenerator[Sequence[Image], None]:
            return merged(
                walks(),
                _id,
                lambda image: sign * (image.created.timestamp() if image.created else 0.0),
            )

        if len(each) == 1:
            pages = self._walk(True, each[0], order, size)
        else:
            pages = until_agreed([together], 2, _id, _created)
        async with aclosing(pages):
            async for page in pages:
                yield page

    async def _both(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        """Yield the tagged and the untagged images, which are two lists before v3.3.

        An image that moves from one list to the other may be missed by the walk of each. A third
        walk, of the list that was walked first, has it. That is the shorter list, where the service
        counts them: its second walk then costs least. An image is missed only if it moves at least
        twice, each time between the walks. No sequence of requests to two lists can exclude that;
        the more walks there are, the less likely it is, so more are made where the last has found
        movement.
        """
        counts: dict[bool, int | None] = {False: None, True: None}
        if self._countable:
            for tagged in counts:
                counts[tagged] = await self._count_one(tagged, ())
        first = (counts[True] or 0) < (counts[False] or 0)

        def walk_of(tagged: bool) -> Callable[[], AsyncGenerator[Sequence[Image], None]]:
            return lambda: self._walk(tagged, (), order, size, counts[tagged])

        walks = until_agreed([walk_of(first), walk_of(not first)], 3, _id, _created)
        async with aclosing(walks) as pages:
            async for page in pages:
                yield page

    def _walk(
        self,
        tagged: bool | None,
        tags: Sequence[str],
        order: Order,
        size: int,
        expected: int | None = None,
    ) -> AsyncGenerator[Sequence[Image], None]:
        operations = self._operations

        def fetch_by(order: Order) -> Fetch[Image]:
            common: dict[str, Any] = {
                "iteration_id": self._iteration_id,
                "order_by": order.capitalize(),
            }

            async def fetch(take: int, skip: int) -> Sequence[Image]:
                if operations.version >= ApiVersion.V3_3:
                    return await operations.get_images(
                        self._project_id,
                        tagging_status=self._status(),
                        tag_ids=tags or None,
                        filter=self._filter,
                        take=take,
                        skip=skip,
                        **common,
                    )
                self._refuse_filter()
                if tagged:
                    return await operations.get_tagged_images(
                        self._project_id, tag_ids=tags or None, take=take, skip=skip, **common
                    )
                return await operations.get_untagged_images(
                    self._project_id, take=take, skip=skip, **common
                )

            return fetch

        async def count() -> int:
            if operations.version >= ApiVersion.V3_3:
                return await self._counted(tags)
            return await self._count_one(bool(tagged), tags)

        return skip_pages(
            fetch_by(order),
            _id,
            size=size,
            ahead=self._ahead,
            count=count if self._countable else None,
            expected=expected,
            backwards=fetch_by("oldest") if order == "newest" else None,
            created=_created,
        )

    def _status(self) -> str:
        return "All" if self._tagged is None else "Tagged" if self._tagged else "Untagged"

    def _refuse_filter(self) -> None:
        if self._filter is not None:
            require(self._operations.version, ApiVersion.V3_3, "filter of a list of images")


_id: Callable[[Image], str] = attrgetter("id")
_created: Callable[[Image], datetime | None] = attrgetter("created")
