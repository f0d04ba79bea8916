"""Uploading: from what a person gives to units, from a chunk of units to one call, and from its answer to outcomes.

How a picture gets its tags and regions. Those that fit the limits of a create call go with it. The rest (an image with more
than 20 tags), and all of them for a picture that was there before, are added afterwards by the calls for tags and regions, which
tell apart what is there already: so they are never assumed and never doubled.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import PurePath
from typing import Any
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult
from .._batch.settler import settle_all
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._batching import BatchCaller, classify_error, item_failure
from .._content import Blob, ContentError
from .._inputs.image_header import inspect_given
from .._operations import Answer
from .._versions import ApiVersion
from .._wire import bodies
from .._wire.advice import VAGUE_STATUSES, status_help
from .._wire.bodies import RegionTuple
from .._wire.request import id_of, plain_text
from ..errors import CustomVisionError, LimitExceeded
from ..models import (
    Image,
    ImageCreateResult,
    ImageFile,
    ImageFromPrediction,
    ImagePrediction,
    ImageUrl,
    Region,
    SkippedItem,
    StoredImagePrediction,
)
from ..models.inputs import TagLike
from ..sources import ScannedImage
from .regions import normalize_box, region_limits, same_box, send_regions
from .tag_resolver import TagResolver, UnknownTag
from .tags import metadata_limits, send_metadata, send_tags, tag_limits

__all__ = ["Uploads", "checked_metadata", "upload_limits"]

_OVERHEAD = 250
"""Bytes of a body around one picture, generously; and so for each of its tags and regions."""
_TAG_BYTES = 40
_REGION_BYTES = 180
_KNOWN = 10_000
"""Combinations of tags whose ids are kept at hand."""
_AHEAD_MOST = 16_000_000
"""Bytes that may be held by pictures on their way before those of small files, which are read ahead, are let go and read again later."""
_CLOCKS_APART = timedelta(seconds=2)
"""How far the service's own times may disagree with each other."""


class Upload(msgspec.Struct, eq=False):
    """The load of a unit. `source` is a blob, a URL or the id of a prediction; `after_*` do not fit the create call."""

    source: Blob | str
    tags: tuple[str, ...]
    regions: tuple[RegionTuple, ...]
    after_tags: tuple[str, ...]
    after_regions: tuple[RegionTuple, ...]
    metadata: Mapping[str, str] | None
    sent_at: float | None = None
    """The loop's time when it was first sent."""


class _Plan(msgspec.Struct, eq=False):
    """What all plain pictures with the same tags share: no regions, no metadata."""

    tags: tuple[str, ...]
    after_tags: tuple[str, ...]
    with_it: frozenset[str]
    weight: int


_FILES = (ImageFile, None)
"""The lane of files without metadata."""


class _Entry(msgspec.Struct, eq=False):
    """One picture of a create call, in whichever batch body."""

    name: str
    tag_ids: tuple[str, ...]
    regions: tuple[RegionTuple, ...]
    blob: Blob | None = None

    @property
    def url(self) -> str:
        return self.name

    @property
    def id(self) -> str:
        return self.name


def upload_limits(chunk_bytes: int) -> ChunkLimits:
    """What one create call may hold."""
    most = min(chunk_bytes, limits.MAX_BODY_BYTES.value)
    return ChunkLimits(limits.IMAGES_PER_BATCH.value, most, limits.TAGS_PER_BATCH.value)


class Uploads:
    """The `prepare` and `send` of one upload run."""

    def __init__(self, calls: BatchCaller, book: TagResolver, tags: Iterable[TagLike]) -> None:
        self._calls = calls
        self._version = calls.operations.version
        self._book = book
        self._common = tuple(tags)
        self._known: dict[tuple[TagLike, ...], tuple[str, ...]] = {}
        self._plans: dict[tuple[TagLike, ...], _Plan] = {}
        self._held = 0
        """Bytes of pictures that are in memory, from when they are prepared until their first request has ended."""

    # --- from items to units

    async def prepare(
        self, start: int, items: Sequence[Any]
    ) -> list[WorkItem | ItemResult[Any, Any]]:
        """Look at the files (in one hop to a worker thread), find the tags, make the units."""
        if self._plans and (units := self._planned(start, items)) is not None:
            return units
        given = [_as_input(item) for item in items]
        await self._book.learn(
            tag
            for one in given
            if isinstance(one, (ImageFile, ImageUrl, ImageFromPrediction))
            for tag in (*self._common, *one.tags, *(region.tag for region in one.regions))
            if isinstance(tag, str)
        )
        blobs = [one.blob if isinstance(one, ScannedImage) else None for one in given]
        unseen = [
            place
            for place, one in enumerate(given)
            if isinstance(one, ImageFile) and blobs[place] is None
        ]
        seen: dict[int, Blob | Exception] = {}
        if unseen:
            looked = await anyio.to_thread.run_sync(
                lambda: [inspect_given(given[place]) for place in unseen]
            )
            seen = dict(zip(unseen, looked, strict=True))
        return [
            self._unit(start + place, items[place], one, blobs[place] or seen.get(place))
            for place, one in enumerate(given)
        ]

    def _planned(
        self, start: int, items: Sequence[Any]
    ) -> list[WorkItem | ItemResult[Any, Any]] | None:
        """The units of files of a folder whose tags were all met before: the short way, for most. None where there is anything else."""
        plans, units = self._plans, list[WorkItem | ItemResult[Any, Any]]()
        for index, item in enumerate(items, start):
            blob: Blob | None = item.blob if type(item) is ScannedImage else None
            plan = plans.get(item.tags) if blob is not None else None
            if plan is None or blob is None:
                return None
            size = blob.size
            load = Upload(blob, plan.tags, (), plan.after_tags, (), None)
            held = self._held_by(blob) if blob.ahead else 0
            extra = (size + 2) // 3 * 4 - size
            units.append(
                WorkItem(
                    index,
                    item,
                    load,
                    plan.weight + size,
                    plan.with_it,
                    None,
                    _FILES,
                    plan.with_it,
                    held,
                    extra,
                )
            )
        return units

    def _unit(
        self, index: int, item: Any, one: Any, blob: Blob | Exception | None
    ) -> WorkItem | ItemResult[Any, Any]:
        if isinstance(one, SkippedItem):
            result = item_failure(index, item, f"{one.name}: {one.reason}", "Skipped")
            return msgspec.structs.replace(result, skipped=True)
        if isinstance(one, Exception):
            return item_failure(index, item, one)
        if isinstance(blob, Exception):
            return item_failure(index, item, blob)
        try:
            return self._checked(index, item, one, blob)
        except (UnknownTag, ValueError, TypeError, CustomVisionError) as problem:
            if blob is not None:
                blob.taken()  # the report keeps the item, and is not to keep its bytes
            return item_failure(index, item, problem)

    def _checked(
        self, index: int, item: Any, one: ImageFile | ImageUrl | ImageFromPrediction, blob: Any
    ) -> WorkItem:
        tags = self._tag_ids(one.tags)
        regions = tuple(
            (self._book.id_of(region.tag), *normalize_box(region)) for region in one.regions
        )
        if regions and self._version < ApiVersion.V2_0:
            raise ValueError(
                f"regions are not in {self._version}: the first version that has them is v2.0"
            )
        metadata = checked_metadata(one.metadata, self._version)
        with_it, after = _split_tags(tags, regions)
        if len(with_it) + len(after) > limits.TAGS_PER_IMAGE.value:
            raise LimitExceeded(
                limits.TAGS_PER_IMAGE, len(with_it) + len(after), one.name or "the bytes"
            )
        if len(regions) > limits.REGIONS_PER_IMAGE.value:
            raise LimitExceeded(limits.REGIONS_PER_IMAGE, len(regions), one.name or "the bytes")
        load = Upload(
            source=blob,
            tags=tuple(tag for tag in tags if tag in with_it),
            regions=tuple(region for region in regions if region[0] in with_it),
            after_tags=tuple(tag for tag in tags if tag in after),
            after_regions=tuple(region for region in regions if region[0] in after),
            metadata=metadata,
        )
        stamp = tuple(sorted(metadata.items())) if metadata else None
        weight = _OVERHEAD + _TAG_BYTES * len(load.tags) + _REGION_BYTES * len(load.regions)
        lane = (
            _FILES
            if isinstance(one, ImageFile) and stamp is None
            else (ImageFile if isinstance(one, ImageFile) else type(one), stamp)
        )
        unit = WorkItem(index, item, load, weight, with_it, partition=lane)
        if (
            type(one) is ScannedImage
            and not regions
            and not metadata
            and one.tags not in self._plans
            and len(self._plans) < _KNOWN
        ):
            self._plans[one.tags] = _Plan(load.tags, load.after_tags, with_it, weight)
        if isinstance(blob, Blob):
            plain = not regions and not metadata
            encoded = (blob.size + 2) // 3 * 4
            unit.size += blob.size if plain else encoded
            unit.mixed_overhead = (
                encoded - blob.size if plain else 0
            )  # in company with other tags it goes as base64
            unit.memory = self._held_by(blob)
            unit.affinity = with_it if plain else None
        else:
            load.source = unit.key = (
                plain_text(one.url, "url")
                if isinstance(one, ImageUrl)
                else id_of(one, "prediction")
            )
            unit.size += len(load.source)
            unit.memory = len(load.source) if len(load.source) > _OVERHEAD else 0  # a data: URL
        return unit

    def _held_by(self, blob: Blob) -> int:
        """The memory of a picture that is prepared now. What was read ahead is let go where there is enough of it."""
        if blob.ahead and self._held + blob.size > _AHEAD_MOST:
            blob.taken()
        held = blob.size if blob.ahead or blob.data is not None else 0
        self._held += held
        return held

    def _tag_ids(self, tags: tuple[TagLike, ...]) -> tuple[str, ...]:
        ids = self._known.get(tags)
        if ids is None:
            ids = tuple(dict.fromkeys(self._book.id_of(tag) for tag in (*self._common, *tags)))
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[tags] = ids
        return ids

    # --- from a chunk to a call

    async def send(self, units: Sequence[WorkItem]) -> list[Outcome]:
        """Create the images of one chunk, then what has to be added afterwards."""
        now, held = anyio.current_time(), 0
        for unit in units:
            if unit.payload.sent_at is None:
                unit.payload.sent_at = now
                held += unit.memory
        try:
            answer = await self._create(units)
        except ContentError as error:
            return [_unreadable(unit, error) for unit in units]
        finally:
            self._held -= held
        outcomes = self._joined(units, answer)
        return await self._completed(units, outcomes)

    async def _create(self, units: Sequence[WorkItem]) -> Answer:
        first = units[0]
        version = self._version
        if isinstance(first.payload.source, Blob):
            kinds = {unit.affinity for unit in units}
            if (
                len(kinds) == 1 and None not in kinds
            ):  # one set of tags and nothing else: the bytes go as they are
                content = bodies.multipart(
                    [(str(n), unit.payload.source) for n, unit in enumerate(units)],
                    field="imageData",
                )
                return await self._calls(
                    "CreateImagesFromData",
                    units,
                    {"tagIds": list(first.payload.tags) or None},
                    content,
                    creates=True,
                )
            entries = [
                _Entry(str(n), unit.payload.tags, unit.payload.regions, unit.payload.source)
                for n, unit in enumerate(units)
            ]
            content = bodies.files_batch(entries, (), first.payload.metadata, version)  # type: ignore[arg-type]  # every blob is there
            return await self._calls("CreateImagesFromFiles", units, {}, content, creates=True)
        entries = [
            _Entry(unit.payload.source, unit.payload.tags, unit.payload.regions) for unit in units
        ]
        if isinstance(first.item, ImageUrl):
            content = bodies.urls_batch(entries, (), first.payload.metadata, version)
            return await self._calls("CreateImagesFromUrls", units, {}, content, creates=True)
        content = bodies.ids_batch(entries, (), first.payload.metadata, version)
        return await self._calls("CreateImagesFromPredictions", units, {}, content, creates=True)

    # --- from its answer to outcomes

    def _joined(self, units: Sequence[WorkItem], answer: Answer) -> list[Outcome]:
        """Join by name: the service answers in whatever order. A chunk of one needs no name."""
        results: Sequence[ImageCreateResult] = answer.value.images
        if len(units) == 1 and len(results) == 1:
            return [_outcome(units[0], results[0], answer)]
        blobs = isinstance(units[0].payload.source, Blob)
        by_name: dict[str, ImageCreateResult | None] = {}
        for result in results:
            name = result.source_url or ""
            if blobs:
                name = name.strip('"')
            elif isinstance(units[0].item, ImageFromPrediction):
                name = name.lower()
            if (other := by_name.setdefault(name, result)) is not result and other != result:
                by_name[name] = None  # it says two things of one picture: ask again
        names = map(str, range(len(units))) if blobs else (unit.payload.source for unit in units)
        found = (by_name.get(name) for name in names)
        return [_outcome(unit, result, answer) for unit, result in zip(units, found, strict=True)]

    async def _completed(self, units: Sequence[WorkItem], outcomes: list[Outcome]) -> list[Outcome]:
        """Add what did not go with the create call, and for pictures that were there before everything."""
        tags: list[WorkItem] = []
        regions: list[WorkItem] = []
        metadata: list[WorkItem] = []
        for place, (unit, outcome) in enumerate(zip(units, outcomes, strict=True)):
            load: Upload = unit.payload
            if not isinstance(outcome, Done) or (
                outcome.status == "OK" and not load.after_tags and not load.after_regions
            ):
                continue
            old = outcome.status != "OK"
            add_tags = load.tags + load.after_tags if old else load.after_tags
            add_regions = load.regions + load.after_regions if old else load.after_regions
            add_metadata = load.metadata if old else None
            if not (add_tags or add_regions or add_metadata):
                continue
            if outcome.value is None:
                outcomes[place] = _missing_image(unit, outcome)
                continue
            image = outcome.value.id.lower()
            if add_tags:
                tags.append(WorkItem(place, unit, (image, add_tags), len(add_tags), key=image))
            if add_regions:
                regions.append(
                    WorkItem(place, unit, (image, add_regions), len(add_regions), key=image)
                )
            if add_metadata:
                metadata.append(WorkItem(place, unit, image, key=image))
        if tags:
            _enter(
                outcomes,
                await settle_all(
                    tags, tag_limits(), lambda part: send_tags(self._calls, part), classify_error
                ),
                "tags",
            )
        if regions:
            regions = [unit for unit in regions if isinstance(outcomes[unit.index], Done)]
            _enter(
                outcomes,
                await settle_all(regions, region_limits(), self._send_missing, classify_error),
                "regions",
            )
        if metadata:
            given: Mapping[str, str] = units[0].payload.metadata  # a chunk shares it
            metadata = [unit for unit in metadata if isinstance(outcomes[unit.index], Done)]
            landed = await settle_all(
                metadata,
                metadata_limits(),
                lambda part: send_metadata(self._calls, part, given),
                classify_error,
            )
            _enter(outcomes, landed, "metadata")
        return outcomes

    async def _send_missing(self, units: Sequence[WorkItem]) -> list[Outcome]:
        """Put the regions of each unit on its image, but for those that are there: the service tells them apart by the last digit."""
        query = {"imageIds": [unit.payload[0] for unit in units]}
        there: dict[str, Image] = {
            image.id.lower(): image
            for image in (await self._calls("GetImagesByIds", (), query)).value
        }
        missing: list[WorkItem] = []
        for unit in units:
            image_id, regions = unit.payload
            known = there[image_id].regions if image_id in there else ()
            left = tuple(
                region
                for region in regions
                if not any(
                    r.tag_id.lower() == region[0]
                    and same_box((r.left, r.top, r.width, r.height), region[1:])
                    for r in known
                )
            )
            missing.append(WorkItem(unit.index, unit.item, (image_id, left), len(left)))
        return await send_regions(self._calls, missing, named=False)


def _as_input(item: Any) -> Any:
    """What a person gave, as one of the inputs; an exception where it is none."""
    if isinstance(item, (ImageFile, ImageUrl, ImageFromPrediction)):
        given: tuple[object, ...] = item.regions
        wrong = next((region for region in given if not isinstance(region, Region)), None)
        return (
            item
            if wrong is None
            else TypeError(f"{item.name or 'the bytes'}: a region is a Region, not {wrong!r:.80}")
        )
    if isinstance(item, SkippedItem):
        return item
    try:
        if isinstance(item, (str, PurePath, os.PathLike)):
            return ImageFile(item)
        if isinstance(item, (bytes, bytearray, memoryview)):
            return ImageFile(data=item)
        if isinstance(item, UUID):
            return ImageFromPrediction(item)
        if isinstance(item, (ImagePrediction, StoredImagePrediction)):
            return ImageFromPrediction(item.id)
        if hasattr(item, "read"):
            return ImageFile(file=item)
    except TypeError as error:
        return error
    return TypeError(
        f"cannot upload a {type(item).__name__}: give an ImageFile, an ImageUrl, a path, bytes, an open file or a prediction"
    )


def checked_metadata(
    metadata: Mapping[str, str] | None, version: ApiVersion
) -> Mapping[str, str] | None:
    """`metadata`, or None where there is none. Raises ValueError, TypeError or LimitExceeded where the service would not take it."""
    if not metadata:
        return None
    if not isinstance(metadata, Mapping):  # what a person gave
        raise TypeError(f"metadata is a mapping of text to text, not {type(metadata).__name__}")
    if version < ApiVersion.V3_3:
        raise ValueError(f"metadata is not in {version}: the first version that has it is v3.3")
    if len(metadata) > limits.METADATA_PAIRS.value:
        raise LimitExceeded(limits.METADATA_PAIRS, len(metadata))
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):  # type: ignore[redundant-expr]  # what a person gave
            raise TypeError(f"metadata is text to text, not {key!r}: {value!r}")
        if len(key) > limits.METADATA_KEY_LENGTH.value:
            raise LimitExceeded(limits.METADATA_KEY_LENGTH, len(key), key[:40])
        if len(value) > limits.METADATA_VALUE_LENGTH.value:
            raise LimitExceeded(limits.METADATA_VALUE_LENGTH, len(value), key)
    return metadata


def _split_tags(
    tags: tuple[str, ...], regions: tuple[RegionTuple, ...]
) -> tuple[frozenset[str], frozenset[str]]:
    """The distinct tags of an image: those that go with the create call, and the rest. Those of regions first: they cost more later."""
    distinct = dict.fromkeys((*(region[0] for region in regions), *tags))
    most = limits.TAGS_PER_BATCH.value
    if len(distinct) <= most:
        return frozenset(distinct), frozenset()
    ordered = list(distinct)
    return frozenset(ordered[:most]), frozenset(ordered[most:])


def _outcome(unit: WorkItem, result: ImageCreateResult | None, answer: Answer) -> Outcome:
    if result is None:
        unit.in_doubt = True  # it may have landed all the same
        return UNANSWERED
    status = str(result.status)
    if status in ("OK", "OKDuplicate") and (status != "OK" or result.image is not None):
        return Done(
            status,
            result.image,
            status == "OKDuplicate" and not _is_own_retry(unit, result.image, answer),
        )
    if status == "OK":
        unit.in_doubt = True
        return Resend(Failed("the service says OK and gives no image", status))
    known = status_help(status)
    reason = f"{status}: {known.cause}" + (f": {known.fix}" if known.fix else "")
    failure = Failed(reason, status)
    return Resend(failure) if status in VAGUE_STATUSES else failure


def _is_own_retry(unit: WorkItem, image: Image | None, answer: Answer) -> bool:
    """Whether a duplicate is the work of an earlier attempt of ours whose answer was lost.

    Only a unit in doubt can be; then the image is ours if it is younger than our first attempt, by the clock of the
    service: its Date now, less the time that has passed here.
    """
    if not unit.in_doubt:
        return False
    if (
        image is None
        or image.created is None
        or answer.date is None
        or unit.payload.sent_at is None
    ):
        return True
    first_sent = answer.date - timedelta(seconds=anyio.current_time() - unit.payload.sent_at)
    return image.created >= first_sent - _CLOCKS_APART


def _unreadable(unit: WorkItem, error: ContentError) -> Outcome:
    """A body that broke off took no effect: the culprit fails, the others go again as they are."""
    if unit.payload.source is error.blob:
        return Failed(
            error.reason, cause=error.with_traceback(None)
        )  # kept with the report, and those frames hold buffers
    return Resend(Failed("its batch could not be sent"), together=True)


def _missing_image(unit: WorkItem, outcome: Done) -> Outcome:
    """A duplicate whose image the answer does not name, and which was to have tags or regions."""
    if unit.in_doubt and not outcome.duplicate and not unit.payload.after_tags:
        return outcome  # made by our own earlier attempt, with all that went with it; the result says that it is in doubt
    return Failed(
        "the project has this picture already, and the service does not say as which image: what was to go with it could not be ensured;"
        " find it with list_images and tag it",
        status=outcome.status,
    )


def _enter(
    outcomes: list[Outcome], landed: Sequence[tuple[WorkItem, Done | Failed]], what: str
) -> None:
    """An image that landed without its tags or regions has failed, and says so."""
    for unit, added in landed:
        done = outcomes[unit.index]
        if isinstance(added, Failed) and isinstance(done, Done):
            image = done.value
            outcomes[unit.index] = Failed(
                f"the picture is in the project as image {image.id}, but its {what} could not be added: {added.reason}",
                status=added.status, cause=added.cause, value=image,
            )  # fmt: skip
