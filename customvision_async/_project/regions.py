"""Check regions, and send chunks of them."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, TypeAlias

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, WorkItem
from .._batching import BatchContext
from .._wire.bodies import RegionTuple
from ..errors import attempt, shown, words_of
from ..models import (
    ImageRegion,
    ImageRegionCreateEntry,
    ImageRegionCreateResult,
    ImageRegionCreateSummary,
    Region,
)
from .tags import batched

__all__ = ["Box", "normalize_box", "region_key", "region_limits", "same_box", "send_regions"]

Box = tuple[float, float, float, float]
"""left, top, width, height, as fractions of the image, from the top left corner."""

_EDGE_TOLERANCE = 1e-3
"""How far a box may exceed the image and be cut. Tools round, and this is a pixel or two."""
_FLOAT32 = 1e-5
"""Maximum change of a coordinate that the service stores, in single precision."""

_Answer: TypeAlias = tuple[Box, Literal["created", "duplicated", "exceeded"], str]
"""A region of a response: its box, the list it is in, and its id or ""."""
_Answers: TypeAlias = dict[tuple[str, str], list[_Answer]]
"""Per (image id, tag id), the regions of the response."""


def normalize_box(region: Region) -> Box:
    """Return the box of `region`, cut to the image if it exceeds it by at most a thousandth.

    Raises:
        ValueError: It is not a rectangle within the image. The message says why.
    """
    edges = attempt(
        lambda: [float(edge) for edge in (region.left, region.top, region.width, region.height)]
    )
    # Objects of the caller may be no numbers, exceed a float (10**400), or raise.
    if isinstance(edges, Exception):
        raise ValueError(f"a region must have four numbers: {shown(region)}: {words_of(edges)}")
    left, top, width, height = edges
    numbers = f"left={left:g}, top={top:g}, width={width:g}, height={height:g}"
    if not all(map(math.isfinite, edges)):
        raise ValueError(f"a region must have four finite numbers, not {numbers}")
    if (
        min(left, top) < -_EDGE_TOLERANCE
        or left + width > 1 + _EDGE_TOLERANCE
        or top + height > 1 + _EDGE_TOLERANCE
    ):
        raise ValueError(
            f"the region exceeds the image ({numbers}): give fractions of its width and height, not"
            " pixels, with left and top the corner (YOLO gives the centre: subtract half the width"
            " and height)"
        )
    right, bottom = min(left + width, 1.0), min(top + height, 1.0)
    left, top = max(left, 0.0), max(top, 0.0)
    width, height = min(width, right - left), min(height, bottom - top)
    if width <= 0 or height <= 0:
        raise ValueError(f"the region has no area ({numbers})")
    return left, top, width, height


def region_key(image: str, region: RegionTuple) -> tuple[str, ...]:
    """Return a key that is equal for regions that are the same to the service.

    The service stores single precision, and refuses a batch that has a region twice.
    """
    tag, *box = region
    return (image.lower(), tag.lower(), struct.pack("<4f", *box).hex())


def same_box(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether two boxes are the same to the service."""
    return all(abs(a - b) < _FLOAT32 for a, b in zip(one, other, strict=True))


def region_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_regions`. The size of an item is its regions."""
    return ChunkLimits(limits.REGIONS_PER_BATCH.value, limits.REGIONS_PER_BATCH.value)


async def send_regions(
    context: BatchContext, work_items: Sequence[WorkItem], *, named: bool = True
) -> list[Outcome]:
    """Create the regions of each work item on its image.

    The payloads are pairs of an image id and its regions. The response is joined by image, tag and
    box, because it has no other key and no defined order.

    Args:
        context: The project.
        work_items: The images and their regions.
        named: Return the id of a region also if the image had it before. The response does not
            contain it, so this takes another request.
    """
    entries = list(
        {
            region_key(image, region): (image, region)
            for image, regions in (work_item.payload for work_item in work_items)
            for region in regions
        }.values()
    )
    answers: _Answers = defaultdict(list)
    for batch in batched(entries, limits.REGIONS_PER_BATCH.value):
        with context.metered(work_items) as meter:
            summary = await context.operations.create_image_regions(
                context.project_id,
                [_create_entry(image, region) for image, region in batch],
                meter=meter,
            )
        _add_answers(answers, summary)
    outcomes = [_outcome(work_item, answers) for work_item in work_items]
    if named:
        await _add_region_ids(context, work_items, outcomes)
    return outcomes


def _create_entry(image_id: str, region: RegionTuple) -> ImageRegionCreateEntry:
    tag_id, left, top, width, height = region
    return ImageRegionCreateEntry(
        image_id=image_id, tag_id=tag_id, left=left, top=top, width=width, height=height
    )


def _add_answers(answers: _Answers, summary: ImageRegionCreateSummary) -> None:
    def add(
        word: Literal["created", "duplicated", "exceeded"],
        region: ImageRegionCreateEntry | ImageRegionCreateResult,
        id: str,
    ) -> None:
        box = (region.left, region.top, region.width, region.height)
        answers[region.image_id.lower(), region.tag_id.lower()].append((box, word, id))

    for created in summary.created:
        add("created", created, created.region_id)
    for region in summary.duplicated:
        add("duplicated", region, "")
    for region in summary.exceeded:
        add("exceeded", region, "")


async def _add_region_ids(
    context: BatchContext, work_items: Sequence[WorkItem], outcomes: list[Outcome]
) -> None:
    """Add the ids of regions that the images had before, perhaps from an earlier request."""
    places = [
        place
        for place, outcome in enumerate(outcomes)
        if isinstance(outcome, Done) and outcome.value is None
    ]
    if not places:
        return
    ids = list(dict.fromkeys(work_items[place].payload[0] for place in places))
    with context.metered(()) as meter:
        images = await context.operations.get_images_by_ids(context.project_id, ids, meter=meter)
    regions_by_image = {image.id.lower(): image.regions for image in images}
    for place in places:
        image_id, regions = work_items[place].payload
        outcome = outcomes[place]
        if regions and isinstance(outcome, Done):
            region_id = _find_region(regions_by_image.get(image_id, ()), regions[-1])
            outcomes[place] = Done(outcome.status, region_id, outcome.duplicate)


def _find_region(existing: Sequence[ImageRegion], region: RegionTuple) -> str | None:
    tag, *box = region
    for one in existing:
        if one.tag_id.lower() == tag and same_box((one.left, one.top, one.width, one.height), box):
            return one.region_id
    return None


def _outcome(work_item: WorkItem, answers: _Answers) -> Outcome:
    image: str = work_item.payload[0]
    regions: Sequence[RegionTuple] = work_item.payload[1]
    words: list[str] = []
    region_id = ""
    for tag, *box in regions:
        near = [answer for answer in answers.get((image, tag), ()) if same_box(answer[0], box)]
        if not near:
            return UNANSWERED
        _, word, region_id = min(near, key=lambda answer: math.dist(answer[0], box))
        words.append(word)
    if refused := words.count("exceeded"):
        return Failed(
            f"{refused} of its {len(words)} regions were refused: an image has at most "
            f"{limits.REGIONS_PER_IMAGE}",
            status="ErrorRegionLimitExceed",
        )
    return Done(value=region_id or None, duplicate=bool(words) and set(words) == {"duplicated"})
