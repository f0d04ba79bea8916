"""The operations on the images of a project: create, list, count, delete; their tags, regions and metadata."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from .. import limits
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
from .._wire.request import id_of, ids_of, plain_text
from ..errors import UnsupportedOperation
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
    Picture,
    check_batch,
    check_metadata,
    named_blob,
    region_tuple,
    region_tuples,
    within,
)

__all__ = ["ImageOperations"]


class ImageOperations(Caller):
    """See the module. `project_id` and all ids: text, `uuid.UUID`, or the model."""

    # -- create

    async def create_images_from_data(
        self,
        project_id: Id,
        image_data: Picture | Sequence[Picture],
        *,
        tag_ids: Iterable[Id] | None = None,
    ) -> ImageCreateSummary:
        """Create up to 64 images from their bytes, all with the same tags (up to 20).

        `image_data` is bytes, a path, a file open in binary mode, an ImageFile (only its picture and name are used),
        or a sequence of these. Results name an image by its name in double quotes; one without a name by its place.
        """
        single = isinstance(
            image_data, (bytes, bytearray, memoryview, str, os.PathLike, ImageFile)
        ) or hasattr(image_data, "read")
        pictures = (
            [cast(Picture, image_data)] if single else list(cast("Sequence[Picture]", image_data))
        )
        if not pictures:
            raise ValueError("CreateImagesFromData: image_data is empty")
        within(limits.IMAGES_PER_BATCH, len(pictures), "CreateImagesFromData")
        parts = []
        for place, picture in enumerate(pictures):
            name, blob = await named_blob(picture)
            parts.append((str(place) if name is None else name, blob))
        content = multipart(parts, field="imageData")
        query = {"tagIds": None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None}
        answer = await self.call(
            "CreateImagesFromData", path={"projectId": project_id}, query=query, content=content
        )
        return cast(ImageCreateSummary, answer.value)

    async def create_images_from_files(
        self,
        project_id: Id,
        batch: ImageFileCreateBatch | Iterable[ImageFileCreateEntry | ImageFile],
    ) -> ImageCreateSummary:
        """Create up to 64 images from their bytes, each with its own tags (20 distinct in all) and regions.

        `batch` may be the entries alone; an ImageFile's tags must be ids here.
        """
        if not isinstance(batch, ImageFileCreateBatch):
            batch = ImageFileCreateBatch(cast("Sequence[ImageFileCreateEntry]", list(batch)))
        entries = [await _entry(place, item) for place, item in enumerate(batch.images)]
        common = check_batch(
            "CreateImagesFromFiles",
            batch.tag_ids,
            [(entry.tag_ids, entry.regions) for entry in entries],
        )
        check_metadata("CreateImagesFromFiles", batch.metadata)
        content = files_batch(entries, common, batch.metadata, self.version)
        answer = await self.call(
            "CreateImagesFromFiles", path={"projectId": project_id}, content=content
        )
        return cast(ImageCreateSummary, answer.value)

    async def create_images_from_urls(
        self, project_id: Id, batch: ImageUrlCreateBatch | Iterable[ImageUrlCreateEntry]
    ) -> ImageCreateSummary:
        """Create up to 64 images that the service fetches from URLs; `batch` may be the entries alone."""
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
        return await self._create("CreateImagesFromUrls", urls_batch, project_id, entries, batch)

    async def create_images_from_predictions(
        self, project_id: Id, batch: ImageIdCreateBatch | Iterable[ImageIdCreateEntry]
    ) -> ImageCreateSummary:
        """Create up to 64 images from stored predictions; `batch` may be the entries alone."""
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
            "CreateImagesFromPredictions", ids_batch, project_id, entries, batch
        )

    async def _create(
        self,
        operation: str,
        plan: Any,
        project_id: Id,
        entries: Sequence[Any],
        batch: ImageUrlCreateBatch | ImageIdCreateBatch,
    ) -> ImageCreateSummary:
        common = check_batch(
            operation, batch.tag_ids, [(entry.tag_ids, entry.regions) for entry in entries]
        )
        check_metadata(operation, batch.metadata)
        content = plan(entries, common, batch.metadata, self.version)
        return cast(
            ImageCreateSummary,
            (await self.call(operation, path={"projectId": project_id}, content=content)).value,
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
    ) -> list[Image]:
        """A page of images, tagged or not (since v3.3): `take` at most 256 (50 unless given), after `skip`.

        `tag_ids` (up to 20) finds images with any of them; `filter` is an expression over metadata.
        """
        query = {
            "iterationId": iteration_id, "tagIds": _some(tag_ids), "taggingStatus": tagging_status, "$filter": filter,
            "orderBy": order_by, "take": take, "skip": skip,
        }  # fmt: skip
        return cast(
            "list[Image]",
            (await self.call("GetImages", path={"projectId": project_id}, query=query)).value,
        )

    async def get_image_count(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        tagging_status: str | None = None,
        filter: str | None = None,
        tag_ids: Iterable[Id] | None = None,
    ) -> int:
        """How many images ``get_images`` would find in all (since v3.3)."""
        query = {
            "iterationId": iteration_id,
            "taggingStatus": tagging_status,
            "$filter": filter,
            "tagIds": _some(tag_ids),
        }
        return cast(
            int,
            (await self.call("GetImageCount", path={"projectId": project_id}, query=query)).value,
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
    ) -> list[Image]:
        """A page of images that have a tag (any of `tag_ids`, up to 20): `take` at most 256 (50 unless given), after `skip`."""
        query = {
            "iterationId": iteration_id,
            "tagIds": _some(tag_ids),
            "orderBy": order_by,
            "take": take,
            "skip": skip,
        }
        return cast(
            "list[Image]",
            (await self.call("GetTaggedImages", path={"projectId": project_id}, query=query)).value,
        )

    async def get_tagged_image_count(
        self, project_id: Id, *, iteration_id: Id | None = None, tag_ids: Iterable[Id] | None = None
    ) -> int:
        """How many images have a tag, or any of `tag_ids` (since v2.0)."""
        query = {"iterationId": iteration_id, "tagIds": _some(tag_ids)}
        return cast(
            int,
            (
                await self.call("GetTaggedImageCount", path={"projectId": project_id}, query=query)
            ).value,
        )

    async def get_untagged_images(
        self,
        project_id: Id,
        *,
        iteration_id: Id | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
    ) -> list[Image]:
        """A page of images that have no tag: `take` at most 256 (50 unless given), after `skip`."""
        query = {"iterationId": iteration_id, "orderBy": order_by, "take": take, "skip": skip}
        return cast(
            "list[Image]",
            (
                await self.call("GetUntaggedImages", path={"projectId": project_id}, query=query)
            ).value,
        )

    async def get_untagged_image_count(
        self, project_id: Id, *, iteration_id: Id | None = None
    ) -> int:
        """How many images have no tag (since v2.0)."""
        answer = await self.call(
            "GetUntaggedImageCount",
            path={"projectId": project_id},
            query={"iterationId": iteration_id},
        )
        return cast(int, answer.value)

    async def get_images_by_ids(
        self,
        project_id: Id,
        image_ids: Iterable[Id] | None = None,
        *,
        iteration_id: Id | None = None,
    ) -> list[Image]:
        """Up to 256 images by id, the oldest first (since v2.0)."""
        query = {"imageIds": _some(image_ids), "iterationId": iteration_id}
        return cast(
            "list[Image]",
            (await self.call("GetImagesByIds", path={"projectId": project_id}, query=query)).value,
        )

    # -- change

    async def delete_images(
        self,
        project_id: Id,
        image_ids: Iterable[Id] | None = None,
        *,
        all_images: bool | None = None,
        all_iterations: bool | None = None,
    ) -> None:
        """Delete up to 256 images, or all of them (since v3.1; the service then goes on after it has answered).

        `all_iterations` (since v3.1) takes them out of every iteration too.

        Raises:
            ValueError: neither ids nor `all_images`: nothing says what to delete.
        """
        ids = _some(image_ids)
        if ids is None and not all_images:
            raise ValueError(
                "DeleteImages: give image_ids, or all_images=True to delete every image of the project"
            )
        if ids is None and self.version < ApiVersion.V3_1:
            message = f"DeleteImages has no allImages in {self.version}: the first version that has it is {ApiVersion.V3_1}"
            first = ApiVersion.V3_1.value
            raise UnsupportedOperation(
                message, operation="DeleteImages", version=self.version.value, first_version=first
            )
        query = {"imageIds": ids, "allImages": all_images, "allIterations": all_iterations}
        await self.call("DeleteImages", path={"projectId": project_id}, query=query)

    async def create_image_tags(
        self, project_id: Id, tags: Iterable[ImageTagCreateEntry | tuple[Id, Id]]
    ) -> ImageTagCreateSummary:
        """Put tags on images: up to 128 pairs of an image and a tag, as entries or as ``(image, tag)``."""
        pairs = [
            (id_of(pair.image_id), id_of(pair.tag_id))
            if isinstance(pair, ImageTagCreateEntry)
            else (id_of(pair[0]), id_of(pair[1]))
            for pair in tags
        ]
        within(limits.TAG_PAIRS_PER_BATCH, len(pairs), "CreateImageTags")
        answer = await self.call(
            "CreateImageTags",
            path={"projectId": project_id},
            content=pairs_batch(pairs, self.version),
        )
        return cast(ImageTagCreateSummary, answer.value)

    post_image_tags = create_image_tags
    """The name v1.2 has for it."""

    async def delete_image_tags(
        self, project_id: Id, image_ids: Iterable[Id], tag_ids: Iterable[Id]
    ) -> None:
        """Take each of up to 20 tags off each of up to 64 images."""
        query = {"imageIds": ids_of(image_ids, "image_ids"), "tagIds": ids_of(tag_ids, "tag_ids")}
        await self.call("DeleteImageTags", path={"projectId": project_id}, query=query)

    async def create_image_regions(
        self, project_id: Id, regions: Iterable[ImageRegionCreateEntry]
    ) -> ImageRegionCreateSummary:
        """Put up to 64 regions on images, with their tags (since v2.0)."""
        rows = [(id_of(region.image_id), region_tuple(region.tag_id, region)) for region in regions]
        within(limits.REGIONS_PER_BATCH, len(rows), "CreateImageRegions")
        answer = await self.call(
            "CreateImageRegions",
            path={"projectId": project_id},
            content=regions_batch(rows, self.version),
        )
        return cast(ImageRegionCreateSummary, answer.value)

    async def delete_image_regions(
        self, project_id: Id, region_ids: Iterable[Id | ImageRegion]
    ) -> None:
        """Delete up to 64 regions (since v2.0). An image loses a tag with the last region that has it."""
        ids = [
            id_of(region.region_id if isinstance(region, ImageRegion) else region)
            for region in region_ids
        ]
        await self.call(
            "DeleteImageRegions", path={"projectId": project_id}, query={"regionIds": ids}
        )

    async def get_image_region_proposals(self, project_id: Id, image_id: Id) -> ImageRegionProposal:
        """Where things may be in an image (since v2.0)."""
        answer = await self.call(
            "GetImageRegionProposals", path={"projectId": project_id, "imageId": image_id}
        )
        return cast(ImageRegionProposal, answer.value)

    async def update_image_metadata(
        self, project_id: Id, image_ids: Iterable[Id], metadata: Mapping[str, str]
    ) -> ImageMetadataUpdateSummary:
        """Put metadata on up to 64 images (since v3.3): 10 pairs, keys of 128 characters, values of 256 at the most."""
        check_metadata("UpdateImageMetadata", metadata)
        content = json_body(dict(metadata), self.version)
        query = {"imageIds": ids_of(image_ids, "image_ids")}
        answer = await self.call(
            "UpdateImageMetadata", path={"projectId": project_id}, query=query, content=content
        )
        return cast(ImageMetadataUpdateSummary, answer.value)


def _some(ids: Iterable[Id] | None) -> list[str] | None:
    """Ids, or None where there are none: an empty value in the query is not known to mean anything."""
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
    _, blob = await named_blob(item.contents)
    return Entry(item.name, blob, ids_of(item.tag_ids, "tag_ids"), region_tuples(item.regions))
