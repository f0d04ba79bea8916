"""Add the tags, regions and metadata that a create request did not apply."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .._batch.settler import settle_all
from .._batch.work_item import Done, Failed, Outcome, WorkItem
from .._batching import BatchContext, classify_error
from .metadata import metadata_limits, send_metadata
from .regions import region_limits, same_box, send_regions
from .tags import send_tags, tag_limits
from .upload_items import Upload

__all__ = ["apply_followups"]


class _Followups(msgspec.Struct):
    """Work items for the images of one chunk. The index of each is a place in the chunk."""

    tags: list[WorkItem]
    regions: list[WorkItem]
    metadata: list[WorkItem]


async def apply_followups(
    context: BatchContext, work_items: Sequence[WorkItem], outcomes: list[Outcome]
) -> None:
    """Add the tags and regions that were not in the create request, and everything to duplicates.

    An image to which they could not be added fails: its entry in `outcomes` is replaced.

    Args:
        context: The project.
        work_items: The images of one chunk.
        outcomes: The outcome of each.
    """
    followups = _collect(work_items, outcomes)
    if followups.tags:
        added = await settle_all(
            followups.tags, tag_limits(), lambda chunk: send_tags(context, chunk), classify_error
        )
        _record_failures(outcomes, added, "tags")
    if regions := _of_images_that_succeeded(followups.regions, outcomes):
        added = await settle_all(
            regions,
            region_limits(),
            lambda chunk: _send_missing_regions(context, chunk),
            classify_error,
        )
        _record_failures(outcomes, added, "regions")
    if metadata := _of_images_that_succeeded(followups.metadata, outcomes):
        added = await settle_all(
            metadata,
            metadata_limits(),
            lambda chunk: send_metadata(context, chunk),
            classify_error,
        )
        _record_failures(outcomes, added, "metadata")


def _collect(work_items: Sequence[WorkItem], outcomes: list[Outcome]) -> _Followups:
    found = _Followups([], [], [])
    for place, (work_item, outcome) in enumerate(zip(work_items, outcomes, strict=True)):
        if not isinstance(outcome, Done):
            continue
        upload: Upload = work_item.payload
        labels = upload.labels
        tags, regions, metadata = labels.later_tags, labels.later_regions, False
        if outcome.status != "OK":
            # The create request changed nothing, because the project already has the image.
            tags, regions = labels.tags + tags, labels.regions + regions
            metadata = bool(upload.metadata)
        if not (tags or regions or metadata):
            continue
        if outcome.value is None:
            outcomes[place] = _image_unknown(work_item, outcome)
            continue
        image = outcome.value.id.lower()
        if tags:
            found.tags.append(WorkItem(place, work_item, (image, tags), len(tags), key=image))
        if regions:
            found.regions.append(
                WorkItem(place, work_item, (image, regions), len(regions), key=image)
            )
        if metadata:
            # All images of a chunk have the same metadata.
            followup = WorkItem(place, work_item, (image, upload.metadata), key=image)
            found.metadata.append(followup)
    return found


def _of_images_that_succeeded(
    followups: Sequence[WorkItem], outcomes: Sequence[Outcome]
) -> list[WorkItem]:
    return [followup for followup in followups if isinstance(outcomes[followup.index], Done)]


async def _send_missing_regions(
    context: BatchContext, followups: Sequence[WorkItem]
) -> list[Outcome]:
    """Create the regions of each image that it does not have.

    The service would create a second region, because the coordinates that it stores differ in the
    last digits.
    """
    with context.metered(()) as meter:
        images = await context.operations.get_images_by_ids(
            context.project_id, [followup.payload[0] for followup in followups], meter=meter
        )
    existing = {image.id.lower(): image.regions for image in images}
    missing: list[WorkItem] = []
    for followup in followups:
        image_id, regions = followup.payload
        left = tuple(
            (tag, *box)
            for tag, *box in regions
            if not any(
                region.tag_id.lower() == tag
                and same_box((region.left, region.top, region.width, region.height), box)
                for region in existing.get(image_id, ())
            )
        )
        missing.append(WorkItem(followup.index, followup.item, (image_id, left), len(left)))
    return await send_regions(context, missing, named=False)


def _record_failures(
    outcomes: list[Outcome], added: Sequence[tuple[WorkItem, Done | Failed]], subject: str
) -> None:
    """Replace the outcome of each image to which `subject` could not be added."""
    for followup, result in added:
        created = outcomes[followup.index]
        if isinstance(result, Failed) and isinstance(created, Done):
            image = created.value
            outcomes[followup.index] = Failed(
                f"the image is in the project as image {image.id}, but its {subject} could not be "
                f"added: {result.reason}",
                status=result.status,
                cause=result.cause,
                value=image,
            )


def _image_unknown(work_item: WorkItem, outcome: Done) -> Outcome:
    """Return the outcome of a duplicate with follow-ups, if the response lacks the image's id."""
    upload: Upload = work_item.payload
    if work_item.in_doubt and not outcome.duplicate and not upload.labels.later_tags:
        # An earlier request of this run created it with its tags. The result reports the doubt.
        return outcome
    return Failed(
        "the project already has this image, and the service does not report its id, so its tags "
        "and regions could not be added: find it with list_images and tag it",
        status=outcome.status,
    )
