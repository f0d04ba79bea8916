"""The operations on images: create, list, count, delete; tags, regions and metadata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import NoneType
from typing import Any, cast

from .. import limits
from .._content import Blob
from .._inputs.metadata import check_metadata
from .._inputs.normalize import is_single_image
from .._transport.base import Meter
from .._versions import ApiVersion
from .._wire.bodies import (
    files_batch,
    ids_batch,
    json_body,
    multipart,
    pairs_batch,
    regions_batch,
    urls_batch,
)
from .._wire.operation_spec import require
from .._wire.request import id_of, ids_of, plain_text
from ..models import (
    Id,
    Image,
    ImageCreateSummary,
    ImageFile,
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageIdCreateBatch,
    ImageIdCreateEntry,
    ImageMetadataUpdateSummary,
    ImageRegion,
    ImageRegionCreateEntry,
    ImageRegionCreateSummary,
    ImageRegionProposal,
    ImageTagCreateEntry,
    ImageTagCreateSummary,
    ImageUrlCreateBatch,
    ImageUrlCreateEntry,
)
from ._call import Caller
from ._image_data import (
    Entry,
    ImageData,
    NamedBlob,
    check_batch,
    named_blob,
    region_tuple,
    region_tuples,
    within,
)

__all__ = ["ImageOperations"]


class ImageOperations(Caller):
    """The operations on images. All ids may be strings, UUIDs or models."""

    # -- create

    async def create_images_from_data(
        self,
        project_id: Id,
        image_data: ImageData | Sequence[ImageData],
        *,
        tag_ids: Iterable[Id] | None = None,
        meter: Meter | None = None,
    ) -> ImageCreateSummary:
        """Create up to 64 images from their bytes, all with the same tags.

        Args:
            project_id: The project.
            image_data: Bytes, a path, a file open in binary mode, an ImageFile, of which the image
                and the name are used, or a sequence of these. A result names its image by its
                name in double quotes, or else by its position.
            tag_ids: Up to 20 tags.
            meter: Receives the cost of the request.
        """
        single = isinstance(image_data, NamedBlob) or is_single_image(image_data)
        images = (
            [cast(ImageData, image_data)]
            if single
            else list(cast("Sequence[ImageData]", image_data))
        )
        if not images:
            raise ValueError("CreateImagesFromData: image_data is empty")
        within(limits.IMAGES_PER_BATCH, len(images), "CreateImagesFromData")
        parts = []
        for place, image in enumerate(images):
            name, blob = await named_blob(image)
            parts.append((str(place) if name is None else name, blob))
        content = multipart(parts, field="imageData")
        query = {"tagIds": None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None}
        return await self._call(
            "CreateImagesFromData",
            ImageCreateSummary,
            path={"projectId": project_id},
            query=query,
            content=content,
            meter=meter,
        )

    async def create_images_from_files(
        self,
        project_id: Id,
        batch: ImageFileCreateBatch | Iterable[ImageFileCreateEntry | ImageFile],
        *,
        meter: Meter | None = None,
    ) -> ImageCreateSummary:
        """Create up to 64 images from their bytes, each with tags (20 distinct in all) and regions.

        `batch` may be a list of entries. The tags of an ImageFile must be ids.
        """
        if not isinstance(batch, ImageFileCreateBatch):
            batch = ImageFileCreateBatch(cast("Sequence[ImageFileCreateEntry]", list(batch)))
        entries = [await _entry(place, item) for place, item in enumerate(batch.images)]
        common = check_batch(
            "CreateImagesFromFiles",
            batch.tag_ids,
            [(entry.tag_ids, entry.regions) for entry in entries],
        )
        content = files_batch(entries, common, check_metadata(batch.metadata), self.version)
        return await self._call(
            "CreateImagesFromFiles",
            ImageCreateSummary,
            path={"projectId": project_id},
            content=content,
            meter=meter,
        )

    async def create_images_from_urls(
        self,
        project_id: Id,
        batch: ImageUrlCreateBatch | Iterable[ImageUrlCreateEntry],
        *,
        meter: Meter | None = None,
    ) -> ImageCreateSummary:
        """Create up to 64 images that the service fetches from URLs.

        `batch` may be a list of entries.
        """
        if not isinstance(batch, ImageUrlCreateBatch):
            batch = ImageUrlCreateBatch(list(batch))
        entries = [
            ImageUrlCreateEntry(
                plain_text(item.url, "url"),
                ids_of(item.tag_ids, "tag_ids"),
                cast(Any, region_tuples(item.regions)),
            )
            for item in batch.images
        ]
        return await self._create(
            "CreateImagesFromUrls", urls_batch, project_id, entries, batch, meter
        )

    async def create_images_from_predictions(
        self,
        project_id: Id,
        batch: ImageIdCreateBatch | Iterable[ImageIdCreateEntry],
        *,
        meter: Meter | None = None,
    ) -> ImageCreateSummary:
        """Create up to 64 images from stored predictions.

        `batch` may be a list of entries.
        """
        if not isinstance(batch, ImageIdCreateBatch):
            batch = ImageIdCreateBatch(list(batch))
        entries = [
            ImageIdCreateEntry(
                id_of(item.id),
                ids_of(item.tag_ids, "tag_ids"),
                cast(Any, region_tuples(item.regions)),
            )
            for item in batch.images
        ]
        return await self._create(
            "CreateImagesFromPredictions", ids_batch, project_id, entries, batch, meter
        )

    async def _create(
        self,
        operation: str,
        plan: Any,
        project_id: Id,
        entries: Sequence[Any],
        batch: ImageUrlCreateBatch | ImageIdCreateBatch,
        meter: Meter | None,
    ) -> ImageCreateSummary:
        common = check_batch(
            operation, batch.tag_ids, [(entry.tag_ids, entry.regions) for entry in entries]
        )
        content = plan(entries, common, check_metadata(batch.metadata), self.version)
        return await self._call(
            operation,
            ImageCreateSummary,
            path={"projectId": project_id},
            content=content,
            meter=meter,
        )

    # -- list and count

    async def get_images(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        tag_ids: Iterable[Id] | None = None,
        tagging_status: str | None = None,
        filter: str | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
        meter: Meter | None = None,
    ) -> list[Image]:
        """Return a page of images, tagged or not (since v3.3).

        Args:
            project_id: The project.
            iteration_id: The iteration, or None for the current images.
            tagging_status: Only tagged or only untagged images.
            filter: An expression over the metadata.
            tag_ids: Only images with any of these tags, up to 20.
            order_by: Newest or oldest first.
            take: Number of images, at most 256 (50 if None).
            skip: Number of images before the page.
            meter: Receives the cost of the request.
        """
        query = {
            "iterationId": iteration_id,
            "tagIds": _some(tag_ids),
            "taggingStatus": tagging_status,
            "$filter": filter,
            "orderBy": order_by,
            "take": take,
            "skip": skip,
        }
        return await self._call(
            "GetImages", list[Image], path={"projectId": project_id}, query=query, meter=meter
        )

    async def get_image_count(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        tagging_status: str | None = None,
        filter: str | None = None,
        tag_ids: Iterable[Id] | None = None,
        meter: Meter | None = None,
    ) -> int:
        """Return the number of images that `get_images` lists in all (since v3.3)."""
        query = {
            "iterationId": iteration_id,
            "taggingStatus": tagging_status,
            "$filter": filter,
            "tagIds": _some(tag_ids),
        }
        return await self._call(
            "GetImageCount", int, path={"projectId": project_id}, query=query, meter=meter
        )

    async def get_tagged_images(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        tag_ids: Iterable[Id] | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
        meter: Meter | None = None,
    ) -> list[Image]:
        """Return a page of images that have a tag, or any of `tag_ids` (up to 20).

        `take` is at most 256 (50 if None), after `skip` images.
        """
        query = {
            "iterationId": iteration_id,
            "tagIds": _some(tag_ids),
            "orderBy": order_by,
            "take": take,
            "skip": skip,
        }
        return await self._call(
            "GetTaggedImages", list[Image], path={"projectId": project_id}, query=query, meter=meter
        )

    async def get_tagged_image_count(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        tag_ids: Iterable[Id] | None = None,
        meter: Meter | None = None,
    ) -> int:
        """Return the number of images that have a tag, or any of `tag_ids` (since v2.0)."""
        query = {"iterationId": iteration_id, "tagIds": _some(tag_ids)}
        return await self._call(
            "GetTaggedImageCount", int, path={"projectId": project_id}, query=query, meter=meter
        )

    async def get_untagged_images(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
        meter: Meter | None = None,
    ) -> list[Image]:
        """Return a page of images without tags.

        `take` is at most 256 (50 if None), after `skip` images.
        """
        query = {"iterationId": iteration_id, "orderBy": order_by, "take": take, "skip": skip}
        return await self._call(
            "GetUntaggedImages",
            list[Image],
            path={"projectId": project_id},
            query=query,
            meter=meter,
        )

    async def get_untagged_image_count(
        self, project_id: Id, *, iteration_id: Id | None = None, meter: Meter | None = None
    ) -> int:
        """Return the number of images without tags (since v2.0)."""
        return await self._call(
            "GetUntaggedImageCount",
            int,
            path={"projectId": project_id},
            query={"iterationId": iteration_id},
            meter=meter,
        )

    async def get_images_by_ids(
        self,
        project_id: Id,
        image_ids: Iterable[Id] | None = None,
        *,
        iteration_id: Id | None = None,
        meter: Meter | None = None,
    ) -> list[Image]:
        """Return up to 256 images by id, the oldest first (since v2.0)."""
        query = {"imageIds": _some(image_ids), "iterationId": iteration_id}
        return await self._call(
            "GetImagesByIds", list[Image], path={"projectId": project_id}, query=query, meter=meter
        )

    # -- change

    async def delete_images(
        self,
        project_id: Id,
        image_ids: Iterable[Id] | None = None,
        *,
        all_images: bool | None = None,
        all_iterations: bool | None = None,
        meter: Meter | None = None,
    ) -> None:
        """Delete up to 256 images, or all images (since v3.1).

        Deleting all continues after the response.

        Args:
            project_id: The project.
            image_ids: The images.
            all_images: Delete all images of the project.
            all_iterations: Delete the images from every iteration too (since v3.1).
            meter: Receives the cost of the request.

        Raises:
            ValueError: There are neither ids nor `all_images`.
        """
        ids = _some(image_ids)
        if ids is None and not all_images:
            raise ValueError(
                "DeleteImages: give image_ids,"
                " or all_images=True to delete every image of the project"
            )
        if ids is None:
            require(self.version, ApiVersion.V3_1, "all_images of DeleteImages", "DeleteImages")
        query = {"imageIds": ids, "allImages": all_images, "allIterations": all_iterations}
        await self._call(
            "DeleteImages", NoneType, path={"projectId": project_id}, query=query, meter=meter
        )

    async def create_image_tags(
        self,
        project_id: Id,
        tags: Iterable[ImageTagCreateEntry | tuple[Id, Id]],
        *,
        meter: Meter | None = None,
    ) -> ImageTagCreateSummary:
        """Tag images: up to 128 pairs of image and tag, as entries or ``(image, tag)``."""
        pairs = [
            (id_of(pair.image_id), id_of(pair.tag_id))
            if isinstance(pair, ImageTagCreateEntry)
            else (id_of(pair[0]), id_of(pair[1]))
            for pair in tags
        ]
        within(limits.TAG_PAIRS_PER_BATCH, len(pairs), "CreateImageTags")
        return await self._call(
            "CreateImageTags",
            ImageTagCreateSummary,
            path={"projectId": project_id},
            content=pairs_batch(pairs, self.version),
            meter=meter,
        )

    post_image_tags = create_image_tags
    """Name of the operation in v1.2."""

    async def delete_image_tags(
        self,
        project_id: Id,
        image_ids: Iterable[Id],
        tag_ids: Iterable[Id],
        *,
        meter: Meter | None = None,
    ) -> None:
        """Remove up to 20 tags from each of up to 64 images."""
        query = {"imageIds": ids_of(image_ids, "image_ids"), "tagIds": ids_of(tag_ids, "tag_ids")}
        await self._call(
            "DeleteImageTags", NoneType, path={"projectId": project_id}, query=query, meter=meter
        )

    async def create_image_regions(
        self,
        project_id: Id,
        regions: Iterable[ImageRegionCreateEntry],
        *,
        meter: Meter | None = None,
    ) -> ImageRegionCreateSummary:
        """Create up to 64 regions on images, with their tags (since v2.0)."""
        rows = [(id_of(region.image_id), region_tuple(region.tag_id, region)) for region in regions]
        within(limits.REGIONS_PER_BATCH, len(rows), "CreateImageRegions")
        return await self._call(
            "CreateImageRegions",
            ImageRegionCreateSummary,
            path={"projectId": project_id},
            content=regions_batch(rows, self.version),
            meter=meter,
        )

    async def delete_image_regions(
        self, project_id: Id, region_ids: Iterable[Id | ImageRegion], *, meter: Meter | None = None
    ) -> None:
        """Delete up to 64 regions (since v2.0).

        An image loses a tag with its last region of that tag.
        """
        ids = [
            id_of(region.region_id if isinstance(region, ImageRegion) else region)
            for region in region_ids
        ]
        await self._call(
            "DeleteImageRegions",
            NoneType,
            path={"projectId": project_id},
            query={"regionIds": ids},
            meter=meter,
        )

    async def get_image_region_proposals(
        self, project_id: Id, image_id: Id, *, meter: Meter | None = None
    ) -> ImageRegionProposal:
        """Return regions of an image that may show objects (since v2.0)."""
        return await self._call(
            "GetImageRegionProposals",
            ImageRegionProposal,
            path={"projectId": project_id, "imageId": image_id},
            meter=meter,
        )

    async def update_image_metadata(
        self,
        project_id: Id,
        image_ids: Iterable[Id],
        metadata: Mapping[str, str],
        *,
        meter: Meter | None = None,
    ) -> ImageMetadataUpdateSummary:
        """Update the metadata of up to 64 images (since v3.3).

        The limits are 10 pairs, keys of 128 characters and values of 256.
        """
        content = json_body(check_metadata(metadata), self.version)
        query = {"imageIds": ids_of(image_ids, "image_ids")}
        return await self._call(
            "UpdateImageMetadata",
            ImageMetadataUpdateSummary,
            path={"projectId": project_id},
            query=query,
            content=content,
            meter=meter,
        )


def _some(ids: Iterable[Id] | None) -> list[str] | None:
    """Return the ids, or None if there are none. An empty query value has no known meaning."""
    return None if ids is None else ids_of(ids, "ids") or None


async def _entry(place: int, item: ImageFileCreateEntry | ImageFile) -> Entry:
    if isinstance(item, ImageFile):
        name, blob = await named_blob(item)
        return Entry(
            str(place) if name is None else name,
            blob,
            ids_of(item.tags, "tags"),
            region_tuples(item.regions),
        )
    contents = item.contents
    blob = contents if isinstance(contents, Blob) else (await named_blob(contents))[1]
    return Entry(item.name, blob, ids_of(item.tag_ids, "tag_ids"), region_tuples(item.regions))
