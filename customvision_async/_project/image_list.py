"""List and count the images of a project, in each version of the API.

From v3.3 on, one operation lists all images. Before, tagged and untagged images are two lists, and
the shorter one is read twice. v1.2 cannot count images.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from operator import attrgetter
from typing import Any, Literal

from .. import limits
from .._operations import Operations
from .._paging import AsyncItemPaged, Fetch, merge_sorted, skip_pages, until_agreed
from .._versions import ApiVersion
from .._wire.operation_spec import require
from ..errors import LimitExceeded
from ..models import Image
from .tags import batched

__all__ = ["ImageList"]

Order = Literal["newest", "oldest"]
_URL_TAGS = 150
"""Maximum number of tags that fit in the URL of a count. The service documents no limit."""


class ImageList:
    """The images of a project that match a filter.

    Args:
        operations: Operations of the Training API.
        project_id: Id of the project.
        find_tags: Returns the ids of the tags to filter by.
        tagged: True for tagged images only, False for untagged ones only, None for all.
        by_tag: Whether to list only images with one of the tags of `find_tags`.
        iteration_id: Id of the iteration, or None for the workspace.
        filter: Filter by metadata (since v3.3), or None.
        ahead: Maximum number of pages in flight.

    Raises:
        ValueError: Untagged images are filtered by tags.
    """

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
            raise ValueError("tagged=False excludes tags: an untagged image has no tags")
        self._operations = operations
        self._project_id = project_id
        self._find_tags = find_tags
        self._tagged = True if by_tag else tagged
        self._by_tag = by_tag
        self._iteration_id = iteration_id
        self._filter = filter
        self._ahead = ahead

    def paged(self, order: Order, page_size: int) -> AsyncItemPaged[Image]:
        """Return the images as a paged list.

        Raises:
            ValueError: `order` is unknown, or `page_size` is below 2.
            LimitExceeded: `page_size` is above the maximum.
        """
        if order not in ("newest", "oldest"):
            raise ValueError(f"order must be 'newest' or 'oldest', not {order!r}")
        if page_size > limits.MAX_PAGE_SIZE.value:
            raise LimitExceeded(limits.MAX_PAGE_SIZE, page_size)
        if page_size < 2:
            raise ValueError("page_size must be at least 2, because pages overlap by one image")
        return AsyncItemPaged(lambda: self._pages(order, page_size))

    async def count(self) -> int:
        """Return the number of images."""
        tags = await self._find_tags() if self._by_tag else ()
        if not self._countable or len(tags) > _URL_TAGS:
            return sum(
                [len(page) async for page in self._pages("newest", limits.MAX_PAGE_SIZE.value)]
            )
        return await self._count_by_service(tags)

    @property
    def _countable(self) -> bool:
        return self._operations.version >= ApiVersion.V2_0

    async def _count_by_service(self, tags: Sequence[str]) -> int:
        if self._operations.version >= ApiVersion.V3_3:
            return await self._operations.get_image_count(
                self._project_id,
                iteration_id=self._iteration_id,
                tagging_status=self._status(),
                filter=self._filter,
                tag_ids=tags or None,
            )
        self._check_filter()
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
            return self._tagged_and_untagged(order, size)
        return self._walk(self._tagged, (), order, size)

    async def _with_tags(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        """Yield the images with one of the tags.

        If there are more tags than a request may have, the tags are divided into parts, and there
        is one walk for each part. An image may lose a tag of one part and gain one of another
        meanwhile, and both walks may miss it. So all parts are walked a second time.
        """
        tags = await self._find_tags()
        each = [list(part) for part in batched(tags, limits.TAGS_PER_FILTER.value)]
        sign = -1 if order == "newest" else 1

        def walks() -> list[AsyncGenerator[Sequence[Image], None]]:
            return [self._walk(True, part, order, size) for part in each]

        def together() -> AsyncGenerator[Sequence[Image], None]:
            return merge_sorted(
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

    async def _tagged_and_untagged(
        self, order: Order, size: int
    ) -> AsyncGenerator[Sequence[Image], None]:
        """Yield the tagged and the untagged images, which are two lists before v3.3.

        The walks of both lists may miss an image that moves from one to the other. The list that
        was walked first is therefore walked again at the end. It is the shorter one, if the service
        can count, because its second walk costs least.

        An image is then missed only if it moves at least twice, each time between the walks. No
        sequence of requests to two lists can exclude that. More walks make it less likely, so more
        are made if the last one found images that moved.
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
                self._check_filter()
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
                return await self._count_by_service(tags)
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

    def _check_filter(self) -> None:
        if self._filter is not None:
            require(self._operations.version, ApiVersion.V3_3, "filter of a list of images")


_id: Callable[[Image], str] = attrgetter("id")
_created: Callable[[Image], datetime | None] = attrgetter("created")
