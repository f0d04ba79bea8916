"""Send chunks of tag associations and of metadata."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._batching import DONE, BatchContext
from .._wire.advice import VAGUE_STATUSES, status_help
from ..models import ImageTagCreateEntry

__all__ = [
    "TagPairs",
    "batched",
    "metadata_limits",
    "send_metadata",
    "send_tags",
    "send_untag",
    "tag_limits",
    "untag_limits",
]

T = TypeVar("T")

TagPairs: TypeAlias = tuple[str, tuple[str, ...]]
"""The payload of a work item: the id of an image, and the ids of tags."""

_Pairs: TypeAlias = set[tuple[str, str]]
"""Pairs of an image id and a tag id."""


def batched(sequence: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Split `sequence` into batches of up to `size`."""
    return (sequence[start : start + size] for start in range(0, len(sequence), size))


def tag_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_tags`. The size of an item is its tags."""
    return ChunkLimits(limits.TAG_PAIRS_PER_BATCH.value, limits.TAG_PAIRS_PER_BATCH.value)


def untag_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_untag`."""
    return ChunkLimits(limits.IMAGES_PER_UNTAG.value)


def metadata_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_metadata`.

    The key of each work item must be the id of its image, by which the response is joined.
    """
    return ChunkLimits(limits.IMAGES_PER_METADATA_UPDATE.value)


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


async def send_untag(
    context: BatchContext, work_items: Sequence[WorkItem], tags: Sequence[str]
) -> list[Outcome]:
    """Remove `tags` from the images. The payloads are image ids.

    More than 20 tags take several requests.
    """
    ids = [work_item.payload for work_item in work_items]
    for batch in batched(tags, limits.TAGS_PER_UNTAG.value):
        with context.metered(work_items) as meter:
            await context.operations.delete_image_tags(context.project_id, ids, batch, meter=meter)
    return [DONE] * len(work_items)


async def send_metadata(
    context: BatchContext, work_items: Sequence[WorkItem], metadata: Mapping[str, str]
) -> list[Outcome]:
    """Set `metadata` on the images. The payloads are image ids."""
    with context.metered(work_items) as meter:
        summary = await context.operations.update_image_metadata(
            context.project_id,
            [work_item.payload for work_item in work_items],
            metadata,
            meter=meter,
        )
    statuses = {entry.image_id.lower(): str(entry.status) for entry in summary.images}
    return [_metadata_outcome(statuses.get(work_item.payload)) for work_item in work_items]


def _metadata_outcome(status: str | None) -> Outcome:
    if status is None:
        return UNANSWERED
    if status == "OK":
        return DONE
    advice = status_help(status)
    failure = Failed(f"{status}: {advice.cause}: {advice.fix}", status)
    return Resend(failure) if status in VAGUE_STATUSES else failure
