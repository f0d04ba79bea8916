"""One project: its images, tags and regions, any number at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias, TypeVar, cast, overload
from uuid import UUID

from .. import limits
from .._batch.report import ItemResult
from .._batch.run import BatchRun
from .._batch.work_item import Outcome, WorkItem
from .._batching import DONE, Prepared, image_id, items_from_ids, prepare_item
from .._paging import AsyncItemPaged, one_page
from .._wire.request import ValidatedIds, id_of
from ..errors import BadRequestError, NotFoundError, attempt
from ..models import (
    Image,
    ImageFile,
    ImageFromPrediction,
    ImagePrediction,
    ImageRegion,
    ImageRegionCreateEntry,
    ImageRegionCreateResult,
    ImageUrl,
    Project,
    Region,
    SkippedItem,
    StoredImagePrediction,
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
from .uploads import Uploads, checked_metadata, upload_limits

__all__ = ["ProjectClient", "ProjectLike"]

_SINGLE = (
    str, bytes, bytearray, memoryview, PathLike, UUID, ImageFile, ImageUrl, ImageFromPrediction, ImagePrediction, StoredImagePrediction
)  # fmt: skip
"""What is one image and no iterable of them."""
_NO_SUCH_REGION = frozenset({"BadRequestInvalidIds", "NotFoundRegion", "NotFoundInvalid"})
"""No recording says how a region that is not there is refused."""

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

    Verbs in the plural take any number of items, from any iterable or async iterable, and give a
    :class:`BatchRun`: await it, or watch it. Verbs in the singular are one request. `list_*` is
    iterated over, never awaited.
    """

    def __repr__(self) -> str:
        return f"<ProjectClient {self.id}{f' {self.name!r}' if self.name else ''}>"

    async def get_properties(self) -> Project:
        """The project as the service has it now."""
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
        """Upload any number of images: files, bytes, URLs and predictions together.

        Args: images: an iterable or async iterable of :class:`ImageFile`, :class:`ImageUrl`, paths,
            bytes, open binary files, stored
                predictions (models, or their ids as `uuid.UUID`); or a single one of these. Pulled
                only as fast as the service takes.
            tags: given to every image, besides its own.
            create_missing_tags: make the tags that the project lacks, once each.

        A result's `image` is the service's image; `duplicate` says that the project had the image
        already, in which case its tags and regions are made sure of. A file that is no image,
        over 6 MB, over 10,240 pixels a side or over 25:1 fails before it is sent, and costs the
        others nothing.
        """
        single = isinstance(images, _SINGLE) or hasattr(images, "read")
        source = cast("Source[UploadItem]", [images] if single else images)
        calls = self._calls()
        book = TagResolver(self.operations, self.id, create_missing=create_missing_tags)
        uploads = Uploads(calls, book, as_tags(tags))
        return self._run(
            source,
            calls,
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
        """Delete images; one that is not there (any more) counts as deleted.

        They go from the workspace, not from trained iterations.
        """
        calls = self._calls()

        async def send(units: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with calls.metered(units) as meter:
                    await self.operations.delete_images(
                        self.id, ValidatedIds([unit.payload for unit in units]), meter=meter
                    )
            except NotFoundError as error:
                if len(units) > 1 or error.code != "NotFoundImage":
                    raise
            return [DONE] * len(units)

        return self._run(
            images,
            calls,
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
        """Put every one of `tags` on every image.

        A result is marked `duplicate` where the image had them all.
        """
        calls = self._calls()
        find = self._tags_once(as_tags(tags))

        async def prepare(
            start: int, items: Sequence[Any]
        ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
            ids = await find()
            units = items_from_ids(start, items, size=len(ids))
            for unit in units:
                if isinstance(unit, WorkItem):
                    unit.payload = (unit.payload, ids)
            return units

        return self._run(
            images,
            calls,
            prepare,
            lambda units: send_tags(calls, units),
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
        """Take every one of `tags` off every image."""
        calls = self._calls()
        find = self._tags_once(as_tags(tags))

        async def send(units: Sequence[WorkItem]) -> Sequence[Outcome]:
            return await send_untag(calls, units, await find())

        async def prepare(
            start: int, items: Sequence[Any]
        ) -> Sequence[WorkItem | ItemResult[Any, Any]]:
            await find()
            return items_from_ids(start, items)

        return self._run(images, calls, prepare, send, untag_limits(), "untag_images")

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
            LimitExceeded: too many pairs, or one too long.
            UnsupportedOperation: the version has no metadata.
        """
        checked = dict(checked_metadata(metadata, self.operations.version) or {})
        calls = self._calls()

        async def send(units: Sequence[WorkItem]) -> Sequence[Outcome]:
            return await send_metadata(calls, units, checked)

        return self._run(
            images, calls, _unique_ids, send, metadata_limits(), "update_image_metadata"
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
        """The images, in pages that are fetched ahead; uploads and deletes meanwhile cause neither
        doubles nor gaps.

        Args: tagged: only those with a tag (True), or without one (False); both if None. tags: only
            those with at least one of these; any number (more than 20 become several walks,
            merged). iteration: those of a trained iteration, instead of the workspace. order: by
            when they were created. filter: on metadata, in the service's grammar: ``metadata=key1
            eq 'value1' and key2 ne 'value2'`` (since v3.3). page_size: 2 to 256.

        Raises:
            LimitExceeded: the page size is over 256.
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
        """How many images :meth:`list_images` would give."""
        return await self._images(tagged, as_tags(tags), iteration, filter).count()

    async def get_image(self, image: ImageLike, *, iteration: IterationLike | None = None) -> Image:
        """One image as the service has it now (since v2.0).

        Raises:
            NotFoundError: the project has no such image.
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
        """Put regions on images (since v2.0): pairs of an image and a :class:`Region`.

        A result's `value` is the id of the region.

        The image gets the region's tag too. A result is marked `duplicate` where the region was
        there.
        """
        calls = self._calls()
        book = TagResolver(self.operations, self.id)

        async def prepare(start: int, items: Sequence[Any]) -> list[Prepared]:
            pairs = [attempt(_pair, item) for item in items]
            await book.learn(pair[1].tag for pair in pairs if isinstance(pair, tuple))
            return [
                prepare_item(index, item, _region_unit, index, item, pair, book)
                for index, (item, pair) in enumerate(zip(items, pairs, strict=True), start)
            ]

        return self._run(
            regions,
            calls,
            prepare,
            lambda units: send_regions(calls, units),
            region_limits(),
            "create_regions",
        )

    def delete_regions(self, regions: Source[RegionT]) -> BatchRun[RegionT, None]:
        """Delete regions, given by id or as those of an image; one that is not there counts as
        deleted.

        An image loses the tag with its last region of that tag.
        """
        calls = self._calls()

        async def send(units: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with calls.metered(units) as meter:
                    await self.operations.delete_image_regions(
                        self.id, [unit.payload for unit in units], meter=meter
                    )
            except (NotFoundError, BadRequestError) as error:
                if len(units) > 1 or error.code not in _NO_SUCH_REGION:
                    raise
            return [DONE] * len(units)

        def read(region: object) -> str:
            return id_of(
                getattr(region, "region_id", None) or getattr(region, "value", None) or region,
                "region",
            )

        limit = self._url_limits(limits.REGIONS_PER_DELETE.value)
        return self._run(
            regions, calls, prepare_ids(size=37, read=read), send, limit, "delete_regions"
        )

    # --- tags

    def list_tags(self, *, iteration: IterationLike | None = None) -> AsyncItemPaged[Tag]:
        """The tags, all at once, each with its number of images."""
        return AsyncItemPaged(
            lambda: one_page(lambda: self.operations.get_tags(self.id, iteration_id=iteration))
        )

    async def create_tag(
        self, name: str, *, description: str | None = None, type: TagType | str | None = None
    ) -> Tag:
        """Make a tag. Not sent again after a lost answer: list the tags to see.

        Raises:
            BadRequestError: code BadRequestTagNameNotUnique where there is one of that name.
        """
        return await self.operations.create_tag(self.id, name, description=description, type=type)

    async def get_tag(self, tag: TagLike) -> Tag:
        """A tag by name, id or model, as the service has it now.

        Raises:
            LookupError: no tag has that name.
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
        """Change what is given of a tag, and leave the rest."""
        now = await self.get_tag(tag)
        update = TagUpdate(
            name=now.name if name is None else name,
            description=now.description if description is None else description,
            type=now.type if type is None else TagType(type),
        )
        return await self.operations.update_tag(self.id, now.id, update)

    async def delete_tag(self, tag: TagLike) -> None:
        """Delete a tag: it goes from all images, with its regions; the images stay."""
        await self.operations.delete_tag(self.id, await self._tag_id(tag))


async def _unique_ids(start: int, items: Sequence[Any]) -> list[WorkItem | ItemResult[Any, Any]]:
    """Units that never share a chunk with the same id: their answer is joined by it."""
    units = list(items_from_ids(start, items))
    for unit in units:
        if isinstance(unit, WorkItem):
            unit.key = unit.payload
    return units


def _pair(item: Any) -> tuple[str, Region]:
    """Return an item of `create_regions` as the id of an image and a region.

    Raises:
        ValueError, TypeError: it is none.
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


def _region_unit(
    index: int, item: Any, pair: tuple[str, Region] | Exception, book: TagResolver
) -> WorkItem:
    if isinstance(pair, Exception):
        raise pair
    image, region = pair
    placed = (book.id_of(region.tag), *normalize_box(region))
    return WorkItem(index, item, (image, (placed,)), 1, key=region_key(image, placed))


ProjectLike: TypeAlias = str | UUID | Project | ProjectClient
"""A project as a caller gives it: its id, its model or its client."""
