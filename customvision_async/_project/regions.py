"""The regions of images."""

from __future__ import annotations

import math
import struct
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypeVar
from uuid import UUID

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult
from .._batch.run import BatchRun
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, WorkItem
from .._batching import DONE, BatchContext, Prepared, image_id, prepare_item
from .._wire.bodies import RegionTuple
from .._wire.request import id_of
from ..errors import BadRequestError, NotFoundError, attempt, shown, words_of
from ..models import (
    ImageRegion,
    ImageRegionCreateEntry,
    ImageRegionCreateResult,
    ImageRegionCreateSummary,
    Region,
)
from .base import ImageLike, ProjectBase, Source, prepare_ids
from .tag_resolver import TagResolver
from .tags import batched

__all__ = [
    "Box",
    "RegionLike",
    "RegionMethods",
    "RegionOn",
    "normalize_box",
    "region_key",
    "region_limits",
    "same_box",
    "send_regions",
]

Box = tuple[float, float, float, float]
"""left, top, width, height, as fractions of the image, from the top left corner."""

RegionOn: TypeAlias = tuple[ImageLike, Region] | ImageRegionCreateEntry
"""A region and the image it goes on."""

RegionLike: TypeAlias = str | UUID | ImageRegion | ImageRegionCreateResult | ItemResult[object, str]
"""A region of an image as a caller gives it: its id, its model, or the result of its creation."""

RegionOnT = TypeVar("RegionOnT", bound=RegionOn)
RegionT = TypeVar("RegionT", bound=RegionLike)

_NO_SUCH_REGION = frozenset({"BadRequestInvalidIds", "NotFoundRegion", "NotFoundInvalid"})
"""Codes with which the service may refuse a region that does not exist. None is recorded."""
_EDGE_TOLERANCE = 1e-3
"""How far a box may exceed the image and be cut. Tools round, and this is a pixel or two."""
_FLOAT32 = 1e-5
"""Maximum change of a coordinate that the service stores, in single precision."""

_Answer: TypeAlias = tuple[Box, Literal["created", "duplicated", "exceeded"], str]
"""A region of a response: its box, the list it is in, and its id or ""."""
_Answers: TypeAlias = dict[tuple[str, str], list[_Answer]]
"""Per (image id, tag id), the regions of the response."""


class RegionMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` for regions."""

    def create_regions(self, regions: Source[RegionOnT]) -> BatchRun[RegionOnT, str]:
        """Create regions on images (since v2.0), from pairs of an image and a :class:`Region`.

        The image also gets the tag of the region. The `value` of a result is the id of the region.
        A result is a `duplicate` if the image had the region before.
        """
        context = self._context()
        resolver = TagResolver(self.operations, self.id)

        async def prepare(start: int, items: Sequence[Any]) -> list[Prepared]:
            pairs = [attempt(_pair, item) for item in items]
            await resolver.load(pair[1].tag for pair in pairs if isinstance(pair, tuple))
            return [
                prepare_item(index, item, _region_item, index, item, pair, resolver)
                for index, (item, pair) in enumerate(zip(items, pairs, strict=True), start)
            ]

        return self._run(
            regions,
            context,
            prepare,
            lambda work_items: send_regions(context, work_items),
            region_limits(),
            "create_regions",
        )

    def delete_regions(self, regions: Source[RegionT]) -> BatchRun[RegionT, None]:
        """Delete regions, given as ids or models (since v2.0).

        An image loses a tag with its last region of that tag. A region that does not exist counts
        as deleted.
        """
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(work_items) as meter:
                    await self.operations.delete_image_regions(
                        self.id, [work_item.payload for work_item in work_items], meter=meter
                    )
            except (NotFoundError, BadRequestError) as error:
                if len(work_items) > 1 or error.code not in _NO_SUCH_REGION:
                    raise
            return [DONE] * len(work_items)

        def read(region: object) -> str:
            return id_of(
                getattr(region, "region_id", None) or getattr(region, "value", None) or region,
                "region",
            )

        limit = self._url_limits(limits.REGIONS_PER_DELETE.value)
        return self._run(
            regions, context, prepare_ids(size=37, read=read), send, limit, "delete_regions"
        )


def _pair(item: Any) -> tuple[str, Region]:
    """Return the image id and the region of an item of `create_regions`.

    Raises:
        ValueError, TypeError: The item is not a pair of an image and a region.
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


def _region_item(
    index: int, item: Any, pair: tuple[str, Region] | Exception, resolver: TagResolver
) -> WorkItem:
    if isinstance(pair, Exception):
        raise pair
    image, region = pair
    placed = (resolver.key_of(region.tag), *normalize_box(region))
    return WorkItem(index, item, (image, (placed,)), 1, key=region_key(image, placed))


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
