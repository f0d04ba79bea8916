"""Regions onto images and off them, any number at a time; and what makes a region well formed."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Sequence

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, WorkItem
from .._batching import BatchContext
from .._wire.bodies import RegionTuple
from ..errors import attempt, shown, words_of
from ..models import ImageRegionCreateEntry, Region
from .tags import parts

__all__ = ["Box", "normalize_box", "region_key", "region_limits", "same_box", "send_regions"]

Box = tuple[float, float, float, float]
"""left, top, width, height: fractions of the image, from the top left corner."""

_EDGE_TOLERANCE = 1e-3
"""How far a box may run over the edge and be cut to it: tools round, and a thousandth of an image is less than a pixel or two."""
_FLOAT32 = 1e-5
"""The service keeps single precision: a box comes back changed by less than this."""


def normalize_box(region: Region) -> Box:
    """The four numbers of `region`, with a box a hair over the edge cut to it.

    Raises:
        ValueError: it is not a rectangle within the image; the message says why.
    """
    given = attempt(
        lambda: [float(edge) for edge in (region.left, region.top, region.width, region.height)]
    )
    if isinstance(given, Exception):  # no numbers, one beyond a float (10**400), or what they raise
        raise ValueError(f"a region has four numbers: {shown(region)}: {words_of(given)}")
    left, top, width, height = given
    numbers = f"left={left:g}, top={top:g}, width={width:g}, height={height:g}"
    if not all(map(math.isfinite, (left, top, width, height))):
        raise ValueError(f"a region has four finite numbers, this one has {numbers}")
    if (
        min(left, top) < -_EDGE_TOLERANCE
        or left + width > 1 + _EDGE_TOLERANCE
        or top + height > 1 + _EDGE_TOLERANCE
    ):
        raise ValueError(
            f"the region runs out of the image ({numbers}): give fractions of its width and "
            "height, with left and top the corner"
            " (YOLO gives the centre: take half the width and height off), not pixels"
        )
    right, bottom = min(left + width, 1.0), min(top + height, 1.0)
    left, top = max(left, 0.0), max(top, 0.0)
    width, height = min(width, right - left), min(height, bottom - top)
    if width <= 0 or height <= 0:
        raise ValueError(f"the region has no area ({numbers})")
    return left, top, width, height


def region_key(image: str, region: RegionTuple) -> tuple[str, ...]:
    """Return what two regions have in common that are one to the service, which keeps single
    precision.

    It refuses a batch that has the same region twice.
    """
    tag, *box = region
    return (image.lower(), tag.lower(), struct.pack("<4f", *box).hex())


def same_box(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two boxes are the same to the service."""
    return all(abs(a - b) < _FLOAT32 for a, b in zip(one, other, strict=True))


def region_limits() -> ChunkLimits:
    """Chunks of regions for one call; a unit weighs as many regions as it has."""
    return ChunkLimits(limits.REGIONS_PER_BATCH.value, limits.REGIONS_PER_BATCH.value)


async def send_regions(
    calls: BatchContext, units: Sequence[WorkItem], *, named: bool = True
) -> list[Outcome]:
    """Put the regions of each unit (its load: the image's id and the regions) on its image.

    The answer is joined by image, tag and box: it has no other key, and no order to rely on. Of
    regions that were there it does not say the ids: `named` asks for these, too.
    """
    entries = list(
        {
            region_key(unit.payload[0], region): (unit.payload[0], region)
            for unit in units
            for region in unit.payload[1]
        }.values()
    )
    answers: dict[tuple[str, str], list[tuple[Box, str, str]]] = defaultdict(list)
    for part in parts(entries, limits.REGIONS_PER_BATCH.value):
        with calls.metered(units) as meter:
            summary = await calls.operations.create_image_regions(
                calls.project_id,
                [_create_entry(image, region) for image, region in part],
                meter=meter,
            )
        for word, answered in (
            ("made", summary.created),
            ("there", summary.duplicated),
            ("over", summary.exceeded),
        ):
            for entry in answered:
                box = (entry.left, entry.top, entry.width, entry.height)
                region_id = getattr(entry, "region_id", "")
                answers[entry.image_id.lower(), entry.tag_id.lower()].append((box, word, region_id))
    outcomes = [_outcome(unit, answers) for unit in units]
    return await _named(calls, units, outcomes) if named else outcomes


def _create_entry(
    image_id: str, region: tuple[str, float, float, float, float]
) -> ImageRegionCreateEntry:
    tag_id, left, top, width, height = region
    return ImageRegionCreateEntry(
        image_id=image_id, tag_id=tag_id, left=left, top=top, width=width, height=height
    )


async def _named(
    calls: BatchContext, units: Sequence[WorkItem], outcomes: list[Outcome]
) -> list[Outcome]:
    """The outcomes with the ids of the regions that were there before, perhaps by our own earlier
    attempt.
    """
    nameless = [
        place
        for place, outcome in enumerate(outcomes)
        if isinstance(outcome, Done) and outcome.value is None
    ]
    if not nameless:
        return outcomes
    ids = list(dict.fromkeys(units[place].payload[0] for place in nameless))
    with calls.metered(()) as meter:
        images = {
            image.id.lower(): image
            for image in await calls.operations.get_images_by_ids(
                calls.project_id, ids, meter=meter
            )
        }
    for place in nameless:
        image_id, regions = units[place].payload
        outcome = outcomes[place]
        if image_id in images and regions and isinstance(outcome, Done):
            tag, *box = regions[-1]
            there = (r for r in images[image_id].regions if r.tag_id.lower() == tag)
            found = next(
                (r.region_id for r in there if same_box((r.left, r.top, r.width, r.height), box)),
                None,
            )
            outcomes[place] = Done(outcome.status, found, outcome.duplicate)
    return outcomes


def _outcome(unit: WorkItem, answers: dict[tuple[str, str], list[tuple[Box, str, str]]]) -> Outcome:
    image: str = unit.payload[0]
    regions: Sequence[RegionTuple] = unit.payload[1]
    words: list[str] = []
    region_id = ""
    for tag, *box in regions:
        near = [answer for answer in answers.get((image, tag), ()) if same_box(answer[0], box)]
        if not near:
            return UNANSWERED
        found = min(near, key=lambda answer: math.dist(answer[0], box))
        words.append(found[1])
        region_id = found[2]
    if "over" in words:
        reason = f"{words.count('over')} of its {len(words)} regions were refused: an image has at most {limits.REGIONS_PER_IMAGE}"
        return Failed(reason, status="ErrorRegionLimitExceed")
    return Done(value=region_id or None, duplicate=bool(words) and set(words) == {"there"})
