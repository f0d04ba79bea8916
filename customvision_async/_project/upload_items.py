"""Turn the items of an upload into work items: normalized, inspected, with ids of their tags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec

from .. import limits
from .._batch.work_item import WorkItem
from .._batching import Prepared, prepare_item, skipped_item
from .._content import Blob
from .._inputs.image_header import inspect_given
from .._inputs.loading import is_async_file, read_async_file
from .._inputs.metadata import check_metadata
from .._inputs.normalize import NormalizedImage, normalize_image
from .._inputs.scanned import ScannedImage
from .._versions import ApiVersion
from .._wire.bodies import RegionTuple
from .._wire.operation_spec import require
from .._wire.request import id_of, plain_text
from ..errors import LimitExceeded, attempt
from ..models import ImageFile, ImageFromPrediction, ImageUrl, SkippedItem, Tag
from ..models.inputs import TagLike
from .regions import normalize_box
from .tag_resolver import TagResolver, UnknownTag

__all__ = ["ImageLabels", "Upload", "UploadItems"]

_Image: TypeAlias = "ImageFile | ImageUrl | ImageFromPrediction"

_IMAGE_OVERHEAD = 250
"""Upper bound of the bytes of a body around one image. Likewise below, for a tag and a region."""
_TAG_BYTES = 40
_REGION_BYTES = 180
_MAX_CACHED = 10_000
"""Combinations of tags to remember the ids of."""
_MAX_PREFETCHED = 16_000_000
"""Bytes of prefetched files to hold. The files beyond are read again when they are sent."""


class ImageLabels(msgspec.Struct, frozen=True, eq=False):
    """The tags and regions of an image, by the keys of tags or by their ids.

    `tags` and `regions` are part of the create request. `later_tags` and `later_regions` exceed its
    limit of 20 tags, and are added afterwards.
    """

    tags: tuple[str, ...]
    regions: tuple[RegionTuple, ...]
    later_tags: tuple[str, ...]
    later_regions: tuple[RegionTuple, ...]
    distinct: frozenset[str]
    """The tags of the create request, those of its regions included."""

    def all_tags(self) -> Iterator[str]:
        """Yield the keys of all tags, in order. A key may come several times."""
        yield from self.tags
        yield from self.later_tags
        yield from (region[0] for region in self.regions)
        yield from (region[0] for region in self.later_regions)


class Upload(msgspec.Struct, eq=False):
    """The payload of a work item.

    Attributes:
        kind: The class of the normalized image.
        source: The bytes of a file, a URL, or the id of a prediction.
        labels: The tags and regions.
        metadata: The metadata, or an empty mapping.
        sent_at: Time of the event loop when the first request started, or None.
    """

    kind: type[_Image]
    source: Blob | str
    labels: ImageLabels
    metadata: Mapping[str, str]
    sent_at: float | None = None


class UploadItems:
    """Prepare the items of one upload run.

    Args:
        version: Version of the API.
        resolver: Finds the ids of tags.
        tags: Tags of every image.
    """

    def __init__(self, version: ApiVersion, resolver: TagResolver, tags: Iterable[TagLike]) -> None:
        self._version = version
        self._resolver = resolver
        self._common_tags = tuple(tags)
        self._cache: dict[tuple[TagLike, ...], ImageLabels] = {}
        self._memory = 0
        """Bytes of images in memory, from their preparation to the end of their first request."""

    async def prepare(self, start: int, items: Sequence[Any]) -> list[Prepared]:
        """Return a work item, or the result of an item that cannot be sent, for each item.

        Args:
            start: Index of the first item.
            items: The items as the caller gave them.

        Raises:
            CustomVisionError: The tags could not be listed.
        """
        images = [await _read(attempt(normalize_image, item)) for item in items]
        await self._resolver.load(self._tags_to_load(images))
        blobs = await _inspect(images)
        return [
            self._prepare_one(index, item, image, blob)
            for index, (item, image, blob) in enumerate(
                zip(items, images, blobs, strict=True), start
            )
        ]

    async def resolve_tags(self, work_items: Sequence[WorkItem]) -> list[UnknownTag | None]:
        """Replace the keys of tags by ids. Create the tags that the project lacks.

        Return None for each item whose tags have ids, or why one of its tags has none.

        Raises:
            CustomVisionError: The tags of any other item would get the same error.
        """
        labels = {id(labels): labels for labels in (item.payload.labels for item in work_items)}
        ids = await self._resolver.resolve(key for one in labels.values() for key in one.all_tags())
        if not ids:
            return [None] * len(work_items)
        resolved = {place: _with_ids(one, ids) for place, one in labels.items()}
        outcomes: list[UnknownTag | None] = []
        for work_item in work_items:
            found = resolved[id(work_item.payload.labels)]
            if isinstance(found, ImageLabels):
                work_item.payload.labels = found
                outcomes.append(None)
            else:
                outcomes.append(found)
                self._drop(work_item)
        return outcomes

    def _drop(self, work_item: WorkItem) -> None:
        """Free the memory of an item that will not be sent."""
        self._memory -= work_item.memory
        source = work_item.payload.source
        if isinstance(source, Blob):
            # The report keeps the item, and must not keep its bytes.
            source.pop_prefetched()

    @contextmanager
    def sending(self, work_items: Sequence[WorkItem]) -> Iterator[None]:
        """Record the start of the first request of each item, and free its memory on exit."""
        now, memory = anyio.current_time(), 0
        for work_item in work_items:
            if work_item.payload.sent_at is None:
                work_item.payload.sent_at = now
                memory += work_item.memory
        try:
            yield
        finally:
            self._memory -= memory

    def _tags_to_load(self, images: Iterable[NormalizedImage | Exception]) -> Iterator[TagLike]:
        yield from self._common_tags
        for image in images:
            if isinstance(image, (SkippedItem, Exception)) or self._cached(image):
                continue
            yield from image.tags
            yield from (region.tag for region in image.regions)

    def _prepare_one(
        self,
        index: int,
        item: Any,
        image: NormalizedImage | Exception,
        blob: Blob | Exception | None,
    ) -> Prepared:
        if isinstance(image, SkippedItem):
            return skipped_item(index, item, image)
        prepared = prepare_item(index, item, self._work_item, index, item, image, blob)
        if isinstance(blob, Blob) and not isinstance(prepared, WorkItem):
            # The report keeps the item, and must not keep its bytes.
            blob.pop_prefetched()
        return prepared

    def _work_item(
        self, index: int, item: Any, image: _Image | Exception, blob: Blob | Exception | None
    ) -> WorkItem:
        for failure in (image, blob):
            if isinstance(failure, Exception):
                raise failure
        assert not isinstance(image, Exception)
        labels = self._cached(image) or self._labels(image)
        metadata = check_metadata(image.metadata)
        if metadata:
            require(self._version, ApiVersion.V3_3, "metadata of an image")
        size = _IMAGE_OVERHEAD + _TAG_BYTES * len(labels.tags) + _REGION_BYTES * len(labels.regions)
        if isinstance(blob, Blob):
            return self._file_item(index, item, Upload(ImageFile, blob, labels, metadata), size)
        if isinstance(image, ImageUrl):
            upload = Upload(ImageUrl, plain_text(image.url, "url"), labels, metadata)
        else:
            prediction_id = id_of(image, "prediction")
            upload = Upload(ImageFromPrediction, prediction_id, labels, metadata)
        source = str(upload.source)
        return WorkItem(
            index,
            item,
            upload,
            size + len(source),
            labels.distinct,
            key=source,
            partition=_partition(upload),
            # A "data:" URL holds the image.
            memory=len(source) if len(source) > _IMAGE_OVERHEAD else 0,
        )

    def _file_item(self, index: int, item: Any, upload: Upload, size: int) -> WorkItem:
        blob, labels = upload.source, upload.labels
        assert isinstance(blob, Blob)
        # Files with the same tags and nothing else are sent as raw bytes, which is the smallest
        # body. In a chunk with others they are sent as base64.
        raw = not labels.regions and not upload.metadata
        base64_bytes = (blob.size + 2) // 3 * 4
        return WorkItem(
            index,
            item,
            upload,
            size + (blob.size if raw else base64_bytes),
            labels.distinct,
            partition=_partition(upload),
            affinity=labels.distinct if raw else None,
            memory=self._reserve(blob),
            mixed_overhead=base64_bytes - blob.size if raw else 0,
        )

    def _reserve(self, blob: Blob) -> int:
        """Return the bytes of memory that an image uses. Drop prefetched bytes over the limit."""
        if blob.prefetched and self._memory + blob.size > _MAX_PREFETCHED:
            blob.pop_prefetched()
        memory = blob.size if blob.prefetched or blob.data is not None else 0
        self._memory += memory
        return memory

    def _cached(self, image: _Image) -> ImageLabels | None:
        return self._cache.get(image.tags) if self._cache and _is_cacheable(image) else None

    def _labels(self, image: _Image) -> ImageLabels:
        """Return the labels of an image, and cache them if it has only tags.

        Raises:
            UnknownTag, ValueError, LimitExceeded: A tag or a region is invalid.
            UnsupportedOperation: The version has no regions.
        """
        key_of = self._resolver.key_of
        tags = tuple(dict.fromkeys(key_of(tag) for tag in (*self._common_tags, *image.tags)))
        regions = tuple((key_of(region.tag), *normalize_box(region)) for region in image.regions)
        if regions:
            require(self._version, ApiVersion.V2_0, "a region of an image")
        # Tags of regions first, because adding regions afterwards costs more.
        distinct = list(dict.fromkeys((*(region[0] for region in regions), *tags)))
        for limit, actual in (
            (limits.TAGS_PER_IMAGE, len(distinct)),
            (limits.REGIONS_PER_IMAGE, len(regions)),
        ):
            if actual > limit.value:
                raise LimitExceeded(limit, actual, image.name or "the bytes")
        created = frozenset(distinct[: limits.TAGS_PER_BATCH.value])
        labels = ImageLabels(
            tags=tuple(tag for tag in tags if tag in created),
            regions=tuple(region for region in regions if region[0] in created),
            later_tags=tuple(tag for tag in tags if tag not in created),
            later_regions=tuple(region for region in regions if region[0] not in created),
            distinct=created,
        )
        if len(self._cache) < _MAX_CACHED and _is_cacheable(image):
            self._cache[image.tags] = labels
        return labels


def _with_ids(labels: ImageLabels, ids: Mapping[str, str | UnknownTag]) -> ImageLabels | UnknownTag:
    """Return labels with the ids of their tags, or why one of these has none."""
    by_key: dict[str, str] = {}
    for key in labels.all_tags():
        tag_id = ids.get(key, key)
        if isinstance(tag_id, UnknownTag):
            return tag_id
        by_key[key] = tag_id

    # Two names may be the same tag.
    def tags(keys: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(by_key[key] for key in keys))

    def regions(given: Iterable[RegionTuple]) -> tuple[RegionTuple, ...]:
        return tuple((by_key[region[0]], *region[1:]) for region in given)

    return ImageLabels(
        tags(labels.tags),
        regions(labels.regions),
        tags(labels.later_tags),
        regions(labels.later_regions),
        frozenset(tags(labels.distinct)),
    )


def _is_cacheable(image: _Image) -> bool:
    """Return whether the labels of an image depend on its tags only, and these can be dict keys.

    Only strings, UUIDs and models can: another object of the caller may compare in any way.
    """
    return not image.regions and all(
        type(tag) is str or type(tag) is Tag or type(tag) is UUID for tag in image.tags
    )


def _partition(upload: Upload) -> tuple[object, ...]:
    """Return the partition of an upload: a request has one kind of image, and one metadata."""
    if not upload.metadata:
        return (upload.kind,)
    return (upload.kind, *sorted(upload.metadata.items()))


async def _read(image: NormalizedImage | Exception) -> NormalizedImage | Exception:
    """Return an image, or the error, with the content of an asynchronous file in memory."""
    if not is_async_file(image):
        return image
    try:
        return await read_async_file(image, limits.IMAGE_BYTES)
    except ValueError as error:
        return error


async def _inspect(
    images: Sequence[NormalizedImage | Exception],
) -> list[Blob | Exception | None]:
    """Return the blob of each file, or the error. None for an image that is not a file.

    Files that a scan has not inspected are inspected in one call of a worker thread.
    """
    blobs: list[Blob | Exception | None] = [
        image.blob if isinstance(image, ScannedImage) else None for image in images
    ]
    places = [
        place
        for place, image in enumerate(images)
        if isinstance(image, ImageFile) and blobs[place] is None
    ]
    if places:
        files = [image for place in places if isinstance(image := images[place], ImageFile)]
        inspected = await anyio.to_thread.run_sync(
            lambda: [attempt(inspect_given, file) for file in files]
        )
        for place, blob in zip(places, inspected, strict=True):
            blobs[place] = blob
    return blobs
