"""Send one chunk of images by the create operation that fits them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from .._batch.work_item import WorkItem
from .._batching import BatchContext
from .._content import Blob
from .._operations import NamedBlob
from .._transport.base import Meter
from ..models import (
    ImageCreateSummary,
    ImageFile,
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageIdCreateBatch,
    ImageIdCreateEntry,
    ImageUrl,
    ImageUrlCreateBatch,
    ImageUrlCreateEntry,
    Region,
)
from .upload_items import Upload

__all__ = ["create_images", "names_for"]


def names_for(work_items: Sequence[WorkItem]) -> list[str]:
    """Return the name of each image in one request, by which its result is found.

    URLs and predictions are their own names. Names of files are used in no other request, so the
    response to another request cannot be taken for the response to this one.
    """
    uploads: list[Upload] = [work_item.payload for work_item in work_items]
    if uploads[0].kind is ImageFile:
        nonce = secrets.token_hex(8)
        return [f"{nonce}{place:02}" for place in range(len(uploads))]
    return [str(upload.source) for upload in uploads]


async def create_images(
    context: BatchContext, work_items: Sequence[WorkItem], names: Sequence[str], meter: Meter
) -> ImageCreateSummary:
    """Create the images of one chunk in one request.

    Args:
        context: The project.
        work_items: Images of the same kind and with the same metadata.
        names: The name of each image, from :func:`names_for`.
        meter: Receives the cost of the request.
    """
    operations, project_id = context.operations, context.project_id
    uploads: list[Upload] = [work_item.payload for work_item in work_items]
    first = uploads[0]
    metadata = first.metadata or None
    if first.kind is ImageFile:
        blobs = [
            NamedBlob(name, upload.source)
            for name, upload in zip(names, uploads, strict=True)
            if isinstance(upload.source, Blob)
        ]
        affinities = {work_item.affinity for work_item in work_items}
        if len(affinities) == 1 and None not in affinities:
            return await operations.create_images_from_data(
                project_id, blobs, tag_ids=first.labels.tags, meter=meter
            )
        files = [
            ImageFileCreateEntry(name, blob, upload.labels.tags, _regions(upload))
            for (name, blob), upload in zip(blobs, uploads, strict=True)
        ]
        return await operations.create_images_from_files(
            project_id, ImageFileCreateBatch(files, metadata=metadata), meter=meter
        )
    if first.kind is ImageUrl:
        urls = [
            ImageUrlCreateEntry(name, upload.labels.tags, _regions(upload))
            for name, upload in zip(names, uploads, strict=True)
        ]
        return await operations.create_images_from_urls(
            project_id, ImageUrlCreateBatch(urls, metadata=metadata), meter=meter
        )
    predictions = [
        ImageIdCreateEntry(name, upload.labels.tags, _regions(upload))
        for name, upload in zip(names, uploads, strict=True)
    ]
    return await operations.create_images_from_predictions(
        project_id, ImageIdCreateBatch(predictions, metadata=metadata), meter=meter
    )


def _regions(upload: Upload) -> tuple[Region, ...]:
    return tuple(Region(tag, *box) for tag, *box in upload.labels.regions)
