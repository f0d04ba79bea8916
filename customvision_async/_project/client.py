"""The client of one project: its images, tags and regions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload
from uuid import UUID

from .. import limits
from .._batch.report import ItemResult
from .._batch.run import BatchRun
from .._batch.work_item import Outcome, WorkItem
from .._batching import DONE, Prepared, image_id, items_from_ids, prepare_item
from .._inputs.metadata import check_metadata
from .._inputs.normalize import is_single_image
from .._paging import AsyncItemPaged, one_page
from .._versions import ApiVersion
from .._wire.operation_spec import require
from .._wire.request import ValidatedIds, id_of
from ..errors import BadRequestError, NotFoundError, attempt
from ..models import (
    Image,
    ImageRegion,
    ImageRegionCreateEntry,
    ImageRegionCreateResult,
    Project,
    Region,
    SkippedItem,
    Tag,
    TagType,
    TagUpdate,
)
from ..models.inputs import ImageInput, TagLike
from .base import ImageLike, ImageT, IterationLike, Source, as_tags, prepare_ids
from .exports import ExportMethods
from .image_list import ImageList
from .iterations import IterationMethods
from .predictions import PredictionMethods
from .regions import normalize_box, region_key, region_limits, send_regions
from .tag_resolver import TagResolver
from .tags import (
    metadata_limits,
    send_metadata,
    send_tags,
    send_untag,
    tag_limits,
    untag_limits,
)
from .uploads import Uploads, upload_limits

__all__ = ["ProjectClient", "ProjectLike"]

_NO_SUCH_REGION = frozenset({"BadRequestInvalidIds", "NotFoundRegion", "NotFoundInvalid"})
"""Codes with which the service may refuse a region that does not exist. None is recorded."""

RegionOn: TypeAlias = tuple[ImageLike, Region] | ImageRegionCreateEntry
"""A region and the image it goes on."""

RegionLike: TypeAlias = str | UUID | ImageRegion | ImageRegionCreateResult | ItemResult[object, str]
"""A region of an image as a caller gives it: its id, its model, or the result of its creation."""

UploadItem: TypeAlias = ImageInput | SkippedItem
"""What the source of an upload may yield."""

InputT = TypeVar("InputT", bound=ImageInput)
UploadT = TypeVar("UploadT", bound=UploadItem)
RegionOnT = TypeVar("RegionOnT", bound=RegionOn)
RegionT = TypeVar("RegionT", bound=RegionLike)


class ProjectClient(IterationMethods, ExportMethods, PredictionMethods):
    """The images, tags and regions of one project.

    Get one from a :class:`~customvision_async.TrainingClient`.

    Methods in the plural take any number of items, from any iterable or async iterable, and return
    a :class:`BatchRun` to await or to iterate over. Methods in the singular send one request, or a
    few. `list_*` methods return an async iterator, and are not awaited.
    """

    def __repr__(self) -> str:
        return f"<ProjectClient {self.id}{f' {self.name!r}' if self.name else ''}>"

    async def get_properties(self) -> Project:
        """Return the properties of the project: its name, description, settings and status."""
        return await self.operations.get_project(self.id)

    # --- images

    @overload
    def upload_images(
        self,
        images: InputT,
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[InputT, Image]: ...
    @overload
    def upload_images(
        self,
        images: Source[UploadT],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadT, Image]: ...
    @overload
    def upload_images(
        self,
        images: ImageInput | Source[UploadItem],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadItem, Image]: ...
    def upload_images(
        self,
        images: ImageInput | Source[UploadItem],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadItem, Image]:
        """Upload any number of images: files, bytes, URLs and stored predictions together.

        The `image` of a result is the image that the service stored. `duplicate` is true if the
        project had the image before. Its tags and regions are then added to that image. A file that
        is not an image, or exceeds a limit of the service, fails on its own before it is sent.

        Args:
            images: An image, or an iterable or async iterable of images, read only as fast as the
                service accepts them. An image is an :class:`ImageFile`, an :class:`ImageUrl`, a
                path, a URL, bytes, an open binary file, or a stored prediction (a model, or its id
                as a `uuid.UUID`).
            tags: Tags of every image, besides its own.
            create_missing_tags: Create tags that the project lacks.
        """
        source = cast("Source[UploadItem]", [images] if is_single_image(images) else images)
        context = self._context()
        resolver = TagResolver(self.operations, self.id, create_missing=create_missing_tags)
        uploads = Uploads(context, resolver, as_tags(tags))
        return self._run(
            source,
            context,
            uploads.prepare,
            uploads.send,
            upload_limits(self._concurrency.max_chunk_bytes),
            "upload_images",
        )

    @overload
    def delete_images(self, images: Source[ImageT]) -> BatchRun[ImageT, None]: ...
    @overload
    def delete_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike]
    ) -> BatchRun[ImageLike, None]: ...
    def delete_images(self, images: Source[ImageLike]) -> BatchRun[ImageLike, None]:
        """Delete images from the project, but not from trained iterations.

        An image that does not exist counts as deleted.
        """
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(work_items) as meter:
                    await self.operations.delete_images(
                        self.id,
                        ValidatedIds([work_item.payload for work_item in work_items]),
                        meter=meter,
                    )
            except NotFoundError as error:
                if len(work_items) > 1 or error.code != "NotFoundImage":
                    raise
            return [DONE] * len(work_items)

        return self._run(
            images,
            context,
            prepare_ids(size=37),
            send,
            self._url_limits(limits.IDS_PER_DELETE.value),
            "delete_images",
        )

    @overload
    def tag_images(
        self, images: Source[ImageT], tags: Iterable[TagLike]
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def tag_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike], tags: Iterable[TagLike]
    ) -> BatchRun[ImageLike, None]: ...
    def tag_images(
        self, images: Source[ImageLike], tags: Iterable[TagLike]
    ) -> BatchRun[ImageLike, None]:
        """Add all of `tags` to every image.

        A result is a `duplicate` if the image had all of them before.
        """
        context = self._context()
        find = self._tags_once(as_tags(tags))

        async def prepare(
            start: int, items: Sequence[Any]
        ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
            ids = await find()
            work_items = items_from_ids(start, items, size=len(ids))
            for work_item in work_items:
                if isinstance(work_item, WorkItem):
                    work_item.payload = (work_item.payload, ids)
            return work_items

        return self._run(
            images,
            context,
            prepare,
            lambda work_items: send_tags(context, work_items),
            tag_limits(),
            "tag_images",
        )

    @overload
    def untag_images(
        self, images: Source[ImageT], tags: Iterable[TagLike]
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def untag_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike], tags: Iterable[TagLike]
    ) -> BatchRun[ImageLike, None]: ...
    def untag_images(
        self, images: Source[ImageLike], tags: Iterable[TagLike]
    ) -> BatchRun[ImageLike, None]:
        """Remove all of `tags` from every image."""
        context = self._context()
        find = self._tags_once(as_tags(tags))

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            return await send_untag(context, work_items, await find())

        async def prepare(
            start: int, items: Sequence[Any]
        ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
            await find()
            return items_from_ids(start, items)

        return self._run(images, context, prepare, send, untag_limits(), "untag_images")

    @overload
    def update_image_metadata(
        self, images: Source[ImageT], metadata: Mapping[str, str]
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def update_image_metadata(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike], metadata: Mapping[str, str]
    ) -> BatchRun[ImageLike, None]: ...
    def update_image_metadata(
        self, images: Source[ImageLike], metadata: Mapping[str, str]
    ) -> BatchRun[ImageLike, None]:
        """Set `metadata` (text to text, at most 10 pairs) on every image (since v3.3).

        Raises:
            LimitExceeded: There are too many pairs, or a key or value is too long.
            UnsupportedOperation: The version has no metadata.
        """
        checked = check_metadata(metadata)
        require(self.operations.version, ApiVersion.V3_3, "metadata of an image")
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            return await send_metadata(context, work_items, checked)

        return self._run(
            images, context, _unique_ids, send, metadata_limits(), "update_image_metadata"
        )

    def list_images(
        self,
        *,
        tagged: bool | None = None,
        tags: Iterable[TagLike] = (),
        iteration: IterationLike | None = None,
        order: Literal["newest", "oldest"] = "newest",
        filter: str | None = None,
        page_size: int = limits.MAX_PAGE_SIZE.value,
    ) -> AsyncItemPaged[Image]:
        """List images, in pages that are prefetched.

        An image that exists during the whole walk is yielded exactly once, also while others are
        uploaded and deleted.

        Args:
            tagged: True for images with tags only, False for those without.
            tags: Images with at least one of these tags only. More than 20 tags take several walks.
            iteration: Images of a trained iteration, instead of the current images.
            order: By creation time.
            filter: Condition on the metadata, in the grammar of the service:
                ``metadata=key1 eq 'value1' and key2 ne 'value2'`` (since v3.3).
            page_size: Images per page, 2 to 256.

        Raises:
            LimitExceeded: `page_size` is out of range.
        """
        return self._images(tagged, as_tags(tags), iteration, filter).paged(order, page_size)

    async def count_images(
        self,
        *,
        tagged: bool | None = None,
        tags: Iterable[TagLike] = (),
        iteration: IterationLike | None = None,
        filter: str | None = None,
    ) -> int:
        """Return the number of images that :meth:`list_images` would yield."""
        return await self._images(tagged, as_tags(tags), iteration, filter).count()

    async def get_image(self, image: ImageLike, *, iteration: IterationLike | None = None) -> Image:
        """Return one image (since v2.0).

        Raises:
            NotFoundError: The project has no such image.
        """
        found = await self.operations.get_images_by_ids(
            self.id, [image_id(image)], iteration_id=iteration
        )
        if not found:
            raise NotFoundError(
                f"the project has no image {image_id(image)}",
                status=200,
                operation="GetImagesByIds",
            )
        return found[0]

    def _images(
        self,
        tagged: bool | None,
        tags: tuple[TagLike, ...],
        iteration: IterationLike | None,
        filter: str | None,
    ) -> ImageList:
        iteration_id = None if iteration is None else id_of(iteration, "iteration")
        return ImageList(
            self.operations,
            self.id,
            self._tags_once(tags),
            tagged,
            bool(tags),
            iteration_id,
            filter,
            self._concurrency.prefetch_pages,
        )

    # --- regions

    def create_regions(self, regions: Source[RegionOnT]) -> BatchRun[RegionOnT, str]:
        """Create regions on images (since v2.0), from pairs of an image and a :class:`Region`.

        The image also gets the tag of the region. The `value` of a result is the id of the region.
        A result is a `duplicate` if the image had the region before.
        """
        context = self._context()
        resolver = TagResolver(self.operations, self.id)

        async def prepare(start: int, items: Sequence[Any]) -> list[Prepared]:
            pairs = [attempt(_pair, item) for item in items]
            await resolver.load(pair[1].tag for pair in pairs if isinstance(pair, tuple))
            return [
                prepare_item(index, item, _region_item, index, item, pair, resolver)
                for index, (item, pair) in enumerate(zip(items, pairs, strict=True), start)
            ]

        return self._run(
            regions,
            context,
            prepare,
            lambda work_items: send_regions(context, work_items),
            region_limits(),
            "create_regions",
        )

    def delete_regions(self, regions: Source[RegionT]) -> BatchRun[RegionT, None]:
        """Delete regions, given as ids or models (since v2.0).

        An image loses a tag with its last region of that tag. A region that does not exist counts
        as deleted.
        """
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(work_items) as meter:
                    await self.operations.delete_image_regions(
                        self.id, [work_item.payload for work_item in work_items], meter=meter
                    )
            except (NotFoundError, BadRequestError) as error:
                if len(work_items) > 1 or error.code not in _NO_SUCH_REGION:
                    raise
            return [DONE] * len(work_items)

        def read(region: object) -> str:
            return id_of(
                getattr(region, "region_id", None) or getattr(region, "value", None) or region,
                "region",
            )

        limit = self._url_limits(limits.REGIONS_PER_DELETE.value)
        return self._run(
            regions, context, prepare_ids(size=37, read=read), send, limit, "delete_regions"
        )

    # --- tags

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


async def _unique_ids(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
    """Return work items whose key is their id, by which the response is joined."""
    work_items = list(items_from_ids(start, items))
    for work_item in work_items:
        if isinstance(work_item, WorkItem):
            work_item.key = work_item.payload
    return work_items


def _pair(item: Any) -> tuple[str, Region]:
    """Return the image id and the region of an item of `create_regions`.

    Raises:
        ValueError, TypeError: The item is not a pair of an image and a region.
    """
    if isinstance(item, ImageRegionCreateEntry):
        region = Region(
            tag=UUID(item.tag_id),
            left=item.left,
            top=item.top,
            width=item.width,
            height=item.height,
        )
        return id_of(item.image_id, "image"), region
    image, region = item
    if not isinstance(region, Region):
        raise TypeError(f"expected a pair of an image and a Region, not {type(region).__name__}")
    return image_id(image), region


def _region_item(
    index: int, item: Any, pair: tuple[str, Region] | Exception, resolver: TagResolver
) -> WorkItem:
    if isinstance(pair, Exception):
        raise pair
    image, region = pair
    placed = (resolver.key_of(region.tag), *normalize_box(region))
    return WorkItem(index, item, (image, (placed,)), 1, key=region_key(image, placed))


ProjectLike: TypeAlias = str | UUID | Project | ProjectClient
"""A project as a caller gives it: its id, its model or its client."""
