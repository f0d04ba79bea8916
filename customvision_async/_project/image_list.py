"""How the images of a project are listed and counted in each version of the API.

From v3.3 one operation lists all; before, the tagged and the untagged are walked one after the other. v1.2 cannot count.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from operator import attrgetter
from typing import Any, Literal

from .. import limits
from .._operations import Operations
from .._paging import AsyncItemPaged, merged, skip_pages
from .._versions import ApiVersion
from ..errors import LimitExceeded
from ..models import Image
from .tags import parts

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
        operations, project, iteration = self._operations, self._project_id, self._iteration_id
        tags = await self._find_tags() if self._by_tag else ()
        if operations.version < ApiVersion.V2_0 or len(tags) > _URL_TAGS:
            return sum(
                [len(page) async for page in self._pages("newest", limits.MAX_PAGE_SIZE.value)]
            )
        if operations.version >= ApiVersion.V3_3:
            return await operations.get_image_count(
                project,
                iteration_id=iteration,
                tagging_status=self._status(),
                filter=self._filter,
                tag_ids=tags or None,
            )
        self._refuse_filter()
        count = 0
        if self._tagged is not False:
            count += await operations.get_tagged_image_count(
                project, iteration_id=iteration, tag_ids=tags or None
            )
        if self._tagged is not True:
            count += await operations.get_untagged_image_count(project, iteration_id=iteration)
        return count

    async def _pages(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        tags = await self._find_tags() if self._by_tag else ()
        if len(tags) > limits.TAGS_PER_FILTER.value:
            walks = [
                self._walk(self._tagged, list(part), order, size)
                for part in parts(tags, limits.TAGS_PER_FILTER.value)
            ]
            sign = -1 if order == "newest" else 1
            pages = merged(
                walks,
                _id,
                lambda image: sign * (image.created.timestamp() if image.created else 0.0),
            )
            async with aclosing(pages):
                async for page in pages:
                    yield page
            return
        if self._operations.version < ApiVersion.V3_3 and self._tagged is None:
            async with aclosing(self._both(order, size)) as both:
                async for page in both:
                    yield page
            return
        async with aclosing(self._walk(self._tagged, list(tags), order, size)) as pages:
            async for page in pages:
                yield page

    async def _both(self, order: Order, size: int) -> AsyncGenerator[Sequence[Image], None]:
        """The tagged, then the untagged. One that is tagged meanwhile is in neither walk: the number of tagged ones tells."""
        seen: set[str] = set()
        found = 0
        for turn, tagged in enumerate((True, False, True)):
            if turn == 2 and not await self._more_tagged(found):
                return
            async with aclosing(self._walk(tagged, [], order, size)) as pages:
                async for page in pages:
                    fresh = [image for image in page if image.id not in seen]
                    seen.update(image.id for image in fresh)
                    yield fresh
            if turn == 0:
                found = len(seen)

    async def _more_tagged(self, found: int) -> bool:
        operations = self._operations
        if operations.version < ApiVersion.V2_0:
            return False
        return found != await operations.get_tagged_image_count(
            self._project_id, iteration_id=self._iteration_id
        )

    def _walk(
        self, tagged: bool | None, tags: list[str], order: Order, size: int
    ) -> AsyncGenerator[Sequence[Image], None]:
        operations = self._operations
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

        return skip_pages(fetch, _id, size=size, ahead=self._ahead)

    def _status(self) -> str:
        return "All" if self._tagged is None else "Tagged" if self._tagged else "Untagged"

    def _refuse_filter(self) -> None:
        if self._filter is not None:
            raise ValueError(
                f"filter is not in {self._operations.version}: the first version that has it is v3.3"
            )


_id: Callable[[Image], str] = attrgetter("id")
