"""The tags of a project, and the tags of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, TypeVar, overload

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.run import BatchRun
from .._batch.spec import Prepare
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, WorkItem
from .._batching import DONE, BatchContext, Prepared, image_id, items_from_ids, prepare_item
from .._paging import AsyncItemPaged, one_page
from ..errors import attempt
from ..models import ImageTagCreateEntry, Tag, TagType, TagUpdate
from ..models.inputs import TagLike
from .base import ImageLike, ImageT, IterationLike, ProjectBase, Source, as_tags
from .tag_resolver import TagResolver, UnknownTag

__all__ = ["TagMethods", "TagPairs", "TagsOn", "batched", "send_tags", "tag_limits"]

T = TypeVar("T")

TagsOn: TypeAlias = tuple[ImageLike, Iterable[TagLike]]
"""An image, and the tags to add to it or to remove from it."""

TagsOnT = TypeVar("TagsOnT", bound=TagsOn)

TagPairs: TypeAlias = tuple[str, tuple[str, ...]]
"""The payload of a work item: the id of an image, and the ids of tags."""

_Pairs: TypeAlias = set[tuple[str, str]]
"""Pairs of an image id and a tag id."""


class TagMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` for tags."""

    def list_tags(self, *, iteration: IterationLike | None = None) -> AsyncItemPaged[Tag]:
        """List the tags, each with its number of images. They are all in one page."""
        return AsyncItemPaged(
            lambda: one_page(lambda: self.operations.get_tags(self.id, iteration_id=iteration))
        )

    async def create_tag(
        self, name: str, *, description: str | None = None, type: TagType | str | None = None
    ) -> Tag:
        """Create a tag.

        It is not sent again after a lost response. List the tags to find out whether it exists.

        Raises:
            BadRequestError: The code is BadRequestTagNameNotUnique if a tag has that name.
        """
        return await self.operations.create_tag(self.id, name, description=description, type=type)

    async def get_tag(self, tag: TagLike) -> Tag:
        """Return a tag, given by name, id or model.

        Raises:
            LookupError: No tag has that name.
        """
        return await self.operations.get_tag(self.id, await self._tag_id(tag))

    async def update_tag(
        self,
        tag: TagLike,
        *,
        name: str | None = None,
        description: str | None = None,
        type: TagType | str | None = None,
    ) -> Tag:
        """Change the given properties of a tag. The others stay as they are."""
        now = await self.get_tag(tag)
        update = TagUpdate(
            name=now.name if name is None else name,
            description=now.description if description is None else description,
            type=now.type if type is None else TagType(type),
        )
        return await self.operations.update_tag(self.id, now.id, update)

    async def delete_tag(self, tag: TagLike) -> None:
        """Delete a tag and its regions from all images. The images stay."""
        await self.operations.delete_tag(self.id, await self._tag_id(tag))

    @overload
    def tag_images(
        self, images: Source[TagsOnT], *, create_missing_tags: bool = False
    ) -> BatchRun[TagsOnT, None]: ...
    @overload
    def tag_images(
        self,
        images: Source[ImageT],
        tags: Iterable[TagLike],
        *,
        create_missing_tags: bool = False,
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def tag_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self,
        images: Source[ImageLike],
        tags: Iterable[TagLike],
        *,
        create_missing_tags: bool = False,
    ) -> BatchRun[ImageLike, None]: ...
    def tag_images(
        self,
        images: Source[ImageLike] | Source[TagsOn],
        tags: Iterable[TagLike] | None = None,
        *,
        create_missing_tags: bool = False,
    ) -> BatchRun[ImageLike | TagsOn, None]:
        """Add tags to images.

        A result is a `duplicate` if the image had all of them before.

        Args:
            images: Images, or pairs of an image and its tags if `tags` is not given.
            tags: Tags to add to every image.
            create_missing_tags: Create tags that the project lacks.
        """
        context = self._context()
        return self._run(
            images,
            context,
            self._prepare_tags(tags, create_missing=create_missing_tags),
            lambda work_items: send_tags(context, work_items),
            tag_limits(),
            "tag_images",
        )

    @overload
    def untag_images(self, images: Source[TagsOnT]) -> BatchRun[TagsOnT, None]: ...
    @overload
    def untag_images(
        self, images: Source[ImageT], tags: Iterable[TagLike]
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def untag_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike], tags: Iterable[TagLike]
    ) -> BatchRun[ImageLike, None]: ...
    def untag_images(
        self,
        images: Source[ImageLike] | Source[TagsOn],
        tags: Iterable[TagLike] | None = None,
    ) -> BatchRun[ImageLike | TagsOn, None]:
        """Remove tags from images.

        Args:
            images: Images, or pairs of an image and its tags if `tags` is not given. Images with
                the same tags share a request.
            tags: Tags to remove from every image.
        """
        context = self._context()
        return self._run(
            images,
            context,
            self._prepare_tags(tags, partition=True),
            lambda work_items: _send_untag(context, work_items),
            ChunkLimits(limits.IMAGES_PER_UNTAG.value),
            "untag_images",
        )

    def _prepare_tags(
        self,
        tags: Iterable[TagLike] | None,
        *,
        create_missing: bool = False,
        partition: bool = False,
    ) -> Prepare:
        """Return a function that prepares images with `tags`, or pairs if that is None.

        Args:
            tags: Tags of every image, or None.
            create_missing: Create tags that the project lacks.
            partition: Items of a chunk must have the same tags.
        """
        if tags is None:
            resolver = TagResolver(self.operations, self.id, create_missing=create_missing)
            return lambda start, items: _prepare_pairs(resolver, start, items, partition)
        find = self._tags_once(as_tags(tags), create_missing=create_missing)

        async def prepare(start: int, items: Sequence[Any]) -> Sequence[Prepared]:
            ids = await find()
            work_items = items_from_ids(start, items, size=len(ids))
            for work_item in work_items:
                if isinstance(work_item, WorkItem):
                    work_item.payload = (work_item.payload, ids)
            return work_items

        return prepare


async def _prepare_pairs(
    resolver: TagResolver, start: int, items: Sequence[Any], partition: bool
) -> Sequence[Prepared]:
    pairs = [attempt(_pair, item) for item in items]
    await resolver.load(tag for pair in pairs if isinstance(pair, tuple) for tag in pair[1])
    keyed = [
        pair if isinstance(pair, Exception) else attempt(_with_keys, resolver, *pair)
        for pair in pairs
    ]
    ids = await resolver.resolve(
        key for pair in keyed if isinstance(pair, tuple) for key in pair[1]
    )

    def make(index: int, item: Any, pair: TagPairs | Exception) -> WorkItem:
        if isinstance(pair, Exception):
            raise pair
        image, keys = pair
        tag_ids: dict[str, None] = {}
        for key in keys:
            tag_id = ids.get(key, key)
            if isinstance(tag_id, UnknownTag):
                raise tag_id
            tag_ids[tag_id] = None
        group = frozenset(tag_ids) if partition else None
        return WorkItem(index, item, (image, tuple(tag_ids)), len(tag_ids), partition=group)

    return [
        prepare_item(index, item, make, index, item, pair)
        for index, (item, pair) in enumerate(zip(items, keyed, strict=True), start)
    ]


def _with_keys(resolver: TagResolver, image: str, tags: Iterable[TagLike]) -> TagPairs:
    return image, tuple(resolver.key_of(tag) for tag in tags)


def _pair(item: Any) -> tuple[str, tuple[TagLike, ...]]:
    """Return the image id and the tags of a pair.

    Raises:
        ValueError, TypeError: The item is not a pair of an image and tags.
    """
    if not isinstance(item, tuple) or len(item) != 2:
        raise TypeError(
            f"{type(item).__name__} is not a pair of an image and tags: give pairs, or give tags="
        )
    return image_id(item[0]), as_tags(item[1])


def batched(sequence: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split `sequence` into batches of up to `size`."""
    return (sequence[start : start + size] for start in range(0, len(sequence), size))


def tag_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_tags`. The size of an item is its tags."""
    return ChunkLimits(limits.TAG_PAIRS_PER_BATCH.value, limits.TAG_PAIRS_PER_BATCH.value)


async def send_tags(context: BatchContext, work_items: Sequence[WorkItem]) -> list[Outcome]:
    """Add the tags of each work item to its image. The payloads are :data:`TagPairs`.

    An image with more than 128 tags takes several requests. Tags that it has are duplicates.
    """
    payloads: Sequence[TagPairs] = [work_item.payload for work_item in work_items]
    pairs = [(image, tag) for image, tags in payloads for tag in tags]
    created: _Pairs = set()
    duplicated: _Pairs = set()
    exceeded: _Pairs = set()
    for batch in batched(pairs, limits.TAG_PAIRS_PER_BATCH.value):
        with context.metered(work_items) as meter:
            summary = await context.operations.create_image_tags(
                context.project_id, batch, meter=meter
            )
        created |= _pairs(summary.created)
        duplicated |= _pairs(summary.duplicated)
        exceeded |= _pairs(summary.exceeded)
    # Fast path: most pairs are new.
    if not duplicated and not exceeded and created.issuperset(pairs):
        return [DONE] * len(work_items)
    return [_tag_outcome(payload, created, duplicated, exceeded) for payload in payloads]


def _pairs(entries: Iterable[ImageTagCreateEntry]) -> _Pairs:
    return {(entry.image_id.lower(), entry.tag_id.lower()) for entry in entries}


def _tag_outcome(
    payload: TagPairs, created: _Pairs, duplicated: _Pairs, exceeded: _Pairs
) -> Outcome:
    image, tags = payload
    pairs = {(image, tag) for tag in tags}
    if refused := len(pairs & exceeded):
        return Failed(
            f"{refused} of its {len(tags)} tags were refused: an image has at most "
            f"{limits.TAGS_PER_IMAGE}",
            status="ErrorTagLimitExceed",
        )
    if not pairs - created <= duplicated:
        return UNANSWERED
    return Done(duplicate=True) if pairs and not pairs & created else DONE


async def _send_untag(context: BatchContext, work_items: Sequence[WorkItem]) -> list[Outcome]:
    """Remove the tags of the work items, which all have the same, from their images.

    More than 20 tags take several requests.
    """
    ids = [work_item.payload[0] for work_item in work_items]
    for batch in batched(work_items[0].payload[1], limits.TAGS_PER_UNTAG.value):
        with context.metered(work_items) as meter:
            await context.operations.delete_image_tags(context.project_id, ids, batch, meter=meter)
    return [DONE] * len(work_items)
