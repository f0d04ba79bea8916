"""Tags onto images and off them, and metadata onto them, any number at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._batching import DONE, BatchContext
from .._wire.advice import VAGUE_STATUSES, status_help

__all__ = [
    "TagPairs",
    "metadata_limits",
    "parts",
    "send_metadata",
    "send_tags",
    "send_untag",
    "tag_limits",
    "untag_limits",
]

T = TypeVar("T")

TagPairs = tuple[str, tuple[str, ...]]
"""The load of a unit: an image id and the ids of tags."""


def parts(sequence: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """`sequence` in parts of up to `size`."""
    return (sequence[start : start + size] for start in range(0, len(sequence), size))


def tag_limits() -> ChunkLimits:
    """Chunks whose units weigh as many pairs as they have tags."""
    return ChunkLimits(limits.TAG_PAIRS_PER_BATCH.value, limits.TAG_PAIRS_PER_BATCH.value)


def untag_limits() -> ChunkLimits:
    """Chunks of images for one call."""
    return ChunkLimits(limits.IMAGES_PER_UNTAG.value)


async def send_tags(calls: BatchContext, units: Sequence[WorkItem]) -> list[Outcome]:
    """Add the tags of each unit to its image.

    Pairs that are there already are well. An image with over 128 tags takes several calls.
    """
    loads: Sequence[TagPairs] = [unit.payload for unit in units]
    pairs = [(image, tag) for image, tags in loads for tag in tags]
    made: set[tuple[str, str]] = set()
    there: set[tuple[str, str]] = set()
    over: set[tuple[str, str]] = set()
    for part in parts(pairs, limits.TAG_PAIRS_PER_BATCH.value):
        with calls.metered(units) as meter:
            summary = await calls.operations.create_image_tags(calls.project_id, part, meter=meter)
        made |= {(entry.image_id.lower(), entry.tag_id.lower()) for entry in summary.created}
        there |= {(entry.image_id.lower(), entry.tag_id.lower()) for entry in summary.duplicated}
        over |= {(entry.image_id.lower(), entry.tag_id.lower()) for entry in summary.exceeded}
    if not there and not over and made.issuperset(pairs):  # as it is for most
        return [DONE] * len(units)
    return [_outcome(load, made, there, over) for load in loads]


def _outcome(
    load: TagPairs,
    made: set[tuple[str, str]],
    there: set[tuple[str, str]],
    over: set[tuple[str, str]],
) -> Outcome:
    image, tags = load
    pairs = [(image, tag) for tag in tags]
    if any(pair in over for pair in pairs):
        number = sum(pair in over for pair in pairs)
        return Failed(
            (
                f"{number} of its {len(pairs)} tags were refused: an image has at most "
                f"{limits.TAGS_PER_IMAGE}"
            ),
            status="ErrorTagLimitExceed",
        )
    if all(pair in made or pair in there for pair in pairs):
        return Done(
            duplicate=bool(pairs)
            and all(pair in there for pair in pairs)
            and not any(pair in made for pair in pairs)
        )
    return UNANSWERED


async def send_untag(
    calls: BatchContext, units: Sequence[WorkItem], tags: Sequence[str]
) -> list[Outcome]:
    """Take `tags` off the images; each 20 tags are a call."""
    ids = [unit.payload for unit in units]
    for part in parts(tags, limits.TAGS_PER_UNTAG.value):
        with calls.metered(units) as meter:
            await calls.operations.delete_image_tags(calls.project_id, ids, part, meter=meter)
    return [DONE] * len(units)


def metadata_limits() -> ChunkLimits:
    """Chunks of images for one update of metadata.

    Their keys must be their ids: the answer is joined by them.
    """
    return ChunkLimits(limits.IMAGES_PER_METADATA_UPDATE.value)


async def send_metadata(
    calls: BatchContext, units: Sequence[WorkItem], metadata: Mapping[str, str]
) -> list[Outcome]:
    """Set `metadata` on the images."""
    with calls.metered(units) as meter:
        summary = await calls.operations.update_image_metadata(
            calls.project_id, [unit.payload for unit in units], metadata, meter=meter
        )
    statuses = {entry.image_id.lower(): str(entry.status) for entry in summary.images}
    return [_metadata_outcome(statuses.get(unit.payload)) for unit in units]


def _metadata_outcome(status: str | None) -> Outcome:
    if status is None:
        return UNANSWERED
    if status == "OK":
        return DONE
    known = status_help(status)
    failure = Failed(f"{status}: {known.cause}: {known.fix}", status)
    return Resend(failure) if status in VAGUE_STATUSES else failure
