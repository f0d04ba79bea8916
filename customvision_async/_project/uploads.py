"""Uploading: from what a person gives to units, from a chunk of units to one call, and from its
answer to outcomes.

How an image gets its tags and regions. Those that fit the limits of a create call go with it. The
rest (an image with more than 20 tags), and all of them for an image that was there before, are
added afterwards by the calls for tags and regions, which tell apart what is there already: so they
are never assumed and never doubled.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import PurePath
from typing import Any, TypeAlias
from urllib.parse import unquote
from uuid import UUID

import anyio
import anyio.to_thread
import msgspec

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.report import ItemResult
from .._batch.settler import settle_all
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._batching import BatchContext, Prepared, classify_error, prepare_item, skipped_item
from .._content import Blob, ContentError
from .._inputs.image_header import inspect_given
from .._operations import NamedBlob
from .._transport.base import Meter
from .._versions import ApiVersion
from .._wire.advice import VAGUE_STATUSES, status_help
from .._wire.bodies import RegionTuple
from .._wire.operation_spec import require
from .._wire.request import id_of, plain_text
from ..errors import LimitExceeded, attempt, called, shown, words_of
from ..models import (
    Image,
    ImageCreateResult,
    ImageCreateSummary,
    ImageFile,
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageFromPrediction,
    ImageIdCreateBatch,
    ImageIdCreateEntry,
    ImagePrediction,
    ImageUrl,
    ImageUrlCreateBatch,
    ImageUrlCreateEntry,
    Region,
    SkippedItem,
    StoredImagePrediction,
    Tag,
)
from ..models.inputs import TagLike
from ..sources import ScannedImage
from .regions import normalize_box, region_limits, same_box, send_regions
from .tag_resolver import TagResolver
from .tags import metadata_limits, send_metadata, send_tags, tag_limits

__all__ = ["Uploads", "checked_metadata", "upload_limits"]

_Input: TypeAlias = "ImageFile | ImageUrl | ImageFromPrediction | SkippedItem"

_OVERHEAD = 250
"""Bytes of a body around one image, generously; and so for each of its tags and regions."""
_TAG_BYTES = 40
_REGION_BYTES = 180
_KNOWN = 10_000
"""Combinations of tags whose ids are kept at hand."""
_AHEAD_MOST = 16_000_000
"""Bytes that may be held by images on their way before those of small files, which are read ahead, are let go and read again later."""
_CLOCKS_APART = timedelta(seconds=2)
"""How far the service's own times may disagree with each other."""


class Upload(msgspec.Struct, eq=False):
    """The load of a unit.

    `source` is a blob, a URL or the id of a prediction; `after_*` do not fit the create call.
    """

    source: Blob | str
    tags: tuple[str, ...]
    regions: tuple[RegionTuple, ...]
    after_tags: tuple[str, ...]
    after_regions: tuple[RegionTuple, ...]
    metadata: Mapping[str, str] | None
    sent_at: float | None = None
    """The loop's time when it was first sent."""


class _Plan(msgspec.Struct, eq=False):
    """What all plain images with the same tags share: no regions, no metadata."""

    tags: tuple[str, ...]
    after_tags: tuple[str, ...]
    with_it: frozenset[str]
    weight: int


_FILES = (ImageFile, None)
"""The lane of files without metadata."""


def upload_limits(chunk_bytes: int) -> ChunkLimits:
    """What one create call may hold."""
    most = min(chunk_bytes, limits.MAX_BODY_BYTES.value)
    return ChunkLimits(limits.IMAGES_PER_BATCH.value, most, limits.TAGS_PER_BATCH.value)


class Uploads:
    """The `prepare` and `send` of one upload run."""

    def __init__(self, calls: BatchContext, book: TagResolver, tags: Iterable[TagLike]) -> None:
        self._calls = calls
        self._version = calls.operations.version
        self._book = book
        self._common = tuple(tags)
        self._known: dict[tuple[TagLike, ...], tuple[str, ...]] = {}
        self._plans: dict[tuple[TagLike, ...], _Plan] = {}
        self._held = 0
        """Bytes of images that are in memory, from when they are prepared until their first request has ended."""

    # --- from items to units

    async def prepare(
        self, start: int, items: Sequence[Any]
    ) -> list[WorkItem | ItemResult[Any, Any]]:
        """Look at the files (in one hop to a worker thread), find the tags, make the units."""
        if self._plans and (units := self._planned(start, items)) is not None:
            return units
        given = [attempt(_input_of, item) for item in items]
        await self._book.learn(
            tag
            for one in given
            if not isinstance(one, (SkippedItem, Exception))
            for tag in (*self._common, *one.tags, *(region.tag for region in one.regions))
        )
        blobs = [one.blob if isinstance(one, ScannedImage) else None for one in given]
        unseen = {
            place: one
            for place, one in enumerate(given)
            if isinstance(one, ImageFile) and blobs[place] is None
        }
        seen: dict[int, Blob | Exception] = {}
        if unseen:
            looked = await anyio.to_thread.run_sync(
                lambda: [attempt(inspect_given, one) for one in unseen.values()]
            )
            seen = dict(zip(unseen, looked, strict=True))
        return [
            self._prepared(start + place, items[place], one, blobs[place] or seen.get(place))
            for place, one in enumerate(given)
        ]

    def _planned(
        self, start: int, items: Sequence[Any]
    ) -> list[WorkItem | ItemResult[Any, Any]] | None:
        """The units of files of a folder whose tags were all met before: the short way, for most.

        None where there is anything else.
        """
        found: list[tuple[Blob, _Plan]] = []
        for item in items:
            blob = item.blob if type(item) is ScannedImage else None
            plan = self._plans.get(item.tags) if isinstance(blob, Blob) else None
            if plan is None or not isinstance(blob, Blob):
                return None
            found.append((blob, plan))
        units: list[WorkItem | ItemResult[Any, Any]] = []
        for index, (item, (blob, plan)) in enumerate(zip(items, found, strict=True), start):
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

    def _prepared(
        self, index: int, item: Any, one: _Input | Exception, blob: Blob | Exception | None
    ) -> Prepared:
        if isinstance(one, SkippedItem):
            return skipped_item(index, item, one)
        unit = prepare_item(index, item, self._unit, index, item, one, blob)
        if isinstance(blob, Blob) and not isinstance(unit, WorkItem):
            blob.taken()  # the report keeps the item, and is not to keep its bytes
        return unit

    def _unit(
        self,
        index: int,
        item: Any,
        one: ImageFile | ImageUrl | ImageFromPrediction | Exception,
        blob: Any,
    ) -> WorkItem:
        if isinstance(one, Exception):
            raise one
        if isinstance(blob, Exception):
            raise blob
        tags = self._tag_ids(one.tags)
        regions = tuple(
            (self._book.id_of(region.tag), *normalize_box(region)) for region in one.regions
        )
        if regions:
            require(self._version, ApiVersion.V2_0, "a region of an image")
        metadata = checked_metadata(one.metadata, self._version)
        kind = next(
            kind for kind in (ImageFile, ImageUrl, ImageFromPrediction) if isinstance(one, kind)
        )
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
        lane = _FILES if kind is ImageFile and stamp is None else (kind, stamp)
        unit = WorkItem(index, item, load, weight, with_it, partition=lane)
        if (
            type(one) is ScannedImage
            and not regions
            and not metadata
            and _are_plain(one.tags)
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
        """The memory of an image that is prepared now.

        What was read ahead is let go where there is enough of it.
        """
        if blob.ahead and self._held + blob.size > _AHEAD_MOST:
            blob.taken()
        held = blob.size if blob.ahead or blob.data is not None else 0
        self._held += held
        return held

    def _tag_ids(self, tags: tuple[TagLike, ...]) -> tuple[str, ...]:
        plain = _are_plain(tags)
        ids = self._known.get(tags) if plain else None
        if ids is None:
            ids = tuple(dict.fromkeys(self._book.id_of(tag) for tag in (*self._common, *tags)))
            if not plain:
                return ids
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
            names = _names(units)
            with self._calls.metered(units, creates=True) as meter:
                summary = await self._create(units, names, meter)
        except ContentError as error:
            error.__traceback__ = None  # a cycle, and those frames hold buffers
            return [_unreadable(unit, error) for unit in units]
        finally:
            self._held -= held
        outcomes = _joined(units, names, summary.images, meter.date)
        return await self._completed(units, outcomes)

    async def _create(
        self, units: Sequence[WorkItem], names: Sequence[str], meter: Meter
    ) -> ImageCreateSummary:
        """Send one chunk by the operation that fits it."""
        operations, project_id = self._calls.operations, self._calls.project_id
        first = units[0]
        metadata = first.payload.metadata  # the items of a chunk share it
        if isinstance(first.payload.source, Blob):
            kinds = {unit.affinity for unit in units}
            if len(kinds) == 1 and None not in kinds:
                # One set of tags and nothing else: the bytes go as they are.
                parts = [
                    NamedBlob(name, unit.payload.source)
                    for name, unit in zip(names, units, strict=True)
                ]
                return await operations.create_images_from_data(
                    project_id, parts, tag_ids=first.payload.tags, meter=meter
                )
            files = [
                ImageFileCreateEntry(
                    name, unit.payload.source, unit.payload.tags, _regions(unit.payload)
                )
                for name, unit in zip(names, units, strict=True)
            ]
            return await operations.create_images_from_files(
                project_id, ImageFileCreateBatch(files, metadata=metadata), meter=meter
            )
        if _kind(first) is ImageUrl:
            urls = [
                ImageUrlCreateEntry(unit.payload.source, unit.payload.tags, _regions(unit.payload))
                for unit in units
            ]
            return await operations.create_images_from_urls(
                project_id, ImageUrlCreateBatch(urls, metadata=metadata), meter=meter
            )
        predictions = [
            ImageIdCreateEntry(unit.payload.source, unit.payload.tags, _regions(unit.payload))
            for unit in units
        ]
        return await operations.create_images_from_predictions(
            project_id, ImageIdCreateBatch(predictions, metadata=metadata), meter=meter
        )

    # --- from its answer to outcomes

    async def _completed(self, units: Sequence[WorkItem], outcomes: list[Outcome]) -> list[Outcome]:
        """Add what did not go with the create call, and for images that were there before
        everything.
        """
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
        """Put the regions of each unit on its image, but for those that are there: the service
        tells them apart by the last digit.
        """
        calls = self._calls
        with calls.metered(()) as meter:
            there = {
                image.id.lower(): image
                for image in await calls.operations.get_images_by_ids(
                    calls.project_id, [unit.payload[0] for unit in units], meter=meter
                )
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


def _kind(unit: WorkItem) -> type:
    """Return which of the inputs a unit was made from."""
    lane: Any = unit.partition  # (kind, metadata)
    kind: type = lane[0]
    return kind


def _are_plain(tags: Iterable[object]) -> bool:
    """Return whether tags may be keys of a dict: a caller's object may compare as it likes."""
    return all(type(tag) is str or type(tag) is Tag or type(tag) is UUID for tag in tags)


def _input_of(item: Any) -> _Input:
    """Return an item as one of the inputs.

    Raises:
        TypeError: it is none.
    """
    if isinstance(item, SkippedItem):
        return item
    if isinstance(item, (ImageFile, ImageUrl, ImageFromPrediction)):
        given: tuple[object, ...] = item.regions
        for region in given:
            if not isinstance(region, Region):
                raise TypeError(
                    f"{called(item) or 'the bytes'}: a region is a Region, not {shown(region)}"
                )
        return item
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
    raise TypeError(
        f"cannot upload a {type(item).__name__}: give an ImageFile, an ImageUrl, a path, "
        "bytes, an open file or a prediction"
    )


def checked_metadata(
    metadata: Mapping[str, str] | None, version: ApiVersion
) -> Mapping[str, str] | None:
    """Return a copy of `metadata`, or None where there is none.

    Raises:
        ValueError, TypeError, LimitExceeded: It cannot be read, or the service would not take it.
        UnsupportedOperation: The version has no metadata.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):  # what a caller gave
        raise TypeError(f"metadata is a mapping of text to text, not {type(metadata).__name__}")
    pairs = _pairs_of(metadata)
    if not pairs:
        return None
    require(version, ApiVersion.V3_3, "metadata of an image")
    if len(pairs) > limits.METADATA_PAIRS.value:
        raise LimitExceeded(limits.METADATA_PAIRS, len(pairs))
    checked: dict[str, str] = {}
    for key, value in pairs:
        if not isinstance(key, str) or not isinstance(value, str):  # what a caller gave
            raise TypeError(f"metadata is text to text, not {shown(key)}: {shown(value)}")
        key, value = str.__str__(key), str.__str__(value)
        if len(key) > limits.METADATA_KEY_LENGTH.value:
            raise LimitExceeded(limits.METADATA_KEY_LENGTH, len(key), key[:40])
        if len(value) > limits.METADATA_VALUE_LENGTH.value:
            raise LimitExceeded(limits.METADATA_VALUE_LENGTH, len(value), key)
        try:
            f"{key}{value}".encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"metadata cannot be written as UTF-8: {key!r}: {value[:80]!r}"
            ) from None
        checked[key] = value
    return checked


def _pairs_of(metadata: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the pairs of a caller's mapping, which may raise, yield what is no pair, or never end.

    Of one that never ends, or has more pairs than there may be, all that counts is that it does.
    """
    pairs = attempt(
        lambda: [(k, v) for k, v in islice(metadata.items(), limits.METADATA_PAIRS.value + 1)]
    )
    if isinstance(pairs, Exception):
        raise ValueError(f"the metadata cannot be read: {words_of(pairs)}")
    return pairs


def _split_tags(
    tags: tuple[str, ...], regions: tuple[RegionTuple, ...]
) -> tuple[frozenset[str], frozenset[str]]:
    """The distinct tags of an image: those that go with the create call, and the rest.

    Those of regions first: they cost more later.
    """
    distinct = dict.fromkeys((*(region[0] for region in regions), *tags))
    most = limits.TAGS_PER_BATCH.value
    if len(distinct) <= most:
        return frozenset(distinct), frozenset()
    ordered = list(distinct)
    return frozenset(ordered[:most]), frozenset(ordered[most:])


def _regions(upload: Upload) -> tuple[Region, ...]:
    return tuple(Region(tag, *box) for tag, *box in upload.regions)


def _names(units: Sequence[WorkItem]) -> list[str]:
    """Return the name of each image in one request, by which the response is joined.

    No other request has the names of files, so a response to another request names none of them.
    """
    if isinstance(units[0].payload.source, Blob):
        nonce = secrets.token_hex(8)
        return [f"{nonce}{n:02}" for n in range(len(units))]
    return [unit.payload.source for unit in units]


def _joined(
    units: Sequence[WorkItem],
    names: Sequence[str],
    results: Sequence[ImageCreateResult],
    date: datetime | None,
) -> list[Outcome]:
    """Return the outcome of each unit.

    Results are joined by name alone, also that of one image: they come in any order, and the
    response may be to another request.
    """
    key = _key(units)
    by_name: dict[str, ImageCreateResult | None] = {}
    for result in results:
        name = key(result.source_url or "")
        if (other := by_name.setdefault(name, result)) is not result and other != result:
            by_name[name] = None  # it says two things of one image: ask again
    found = (by_name.get(key(name)) for name in names)
    return [_outcome(unit, result, date) for unit, result in zip(units, found, strict=True)]


def _key(units: Sequence[WorkItem]) -> Callable[[str], str]:
    """Return what makes a name of a request and the same name in a response equal."""
    if isinstance(units[0].payload.source, Blob):
        return lambda name: name.strip('"')
    if _kind(units[0]) is ImageFromPrediction:
        return str.lower
    # Alone, a URL may come back written in another way. In company that may be another URL.
    return (lambda url: unquote(url.partition("#")[0]).casefold()) if len(units) == 1 else str


def _outcome(unit: WorkItem, result: ImageCreateResult | None, date: datetime | None) -> Outcome:
    if result is None:
        unit.in_doubt = True  # it may have landed all the same
        return UNANSWERED
    status = str(result.status)
    if status in ("OK", "OKDuplicate") and (status != "OK" or result.image is not None):
        return Done(
            status,
            result.image,
            status == "OKDuplicate" and not _is_own_retry(unit, result.image, date),
        )
    if status == "OK":
        unit.in_doubt = True
        return Resend(Failed("the service says OK and gives no image", status))
    known = status_help(status)
    reason = f"{status}: {known.cause}" + (f": {known.fix}" if known.fix else "")
    failure = Failed(reason, status)
    return Resend(failure) if status in VAGUE_STATUSES else failure


def _is_own_retry(unit: WorkItem, image: Image | None, date: datetime | None) -> bool:
    """Whether a duplicate is the work of an earlier attempt of ours whose answer was lost.

    Only a unit in doubt can be; then the image is ours if it is younger than our first attempt, by
    the clock of the
    service: its Date now, less the time that has passed here.
    """
    if not unit.in_doubt:
        return False
    if image is None or image.created is None or date is None or unit.payload.sent_at is None:
        return True
    first_sent = date - timedelta(seconds=anyio.current_time() - unit.payload.sent_at)
    return image.created >= first_sent - _CLOCKS_APART


def _unreadable(unit: WorkItem, error: ContentError) -> Outcome:
    """A body that broke off took no effect: the culprit fails, the others go again as they are."""
    if unit.payload.source is error.blob:
        where = msgspec.structs.replace(error.blob, data=None, file=None)
        return Failed(error.reason, cause=ContentError(where, error.reason))
    return Resend(Failed("its batch could not be sent"), together=True)


def _missing_image(unit: WorkItem, outcome: Done) -> Outcome:
    """A duplicate whose image the answer does not name, and which was to have tags or regions."""
    if unit.in_doubt and not outcome.duplicate and not unit.payload.after_tags:
        # made by our own earlier attempt, with all that went with it; the result says that it is in
        # doubt
        return outcome
    return Failed(
        "the project has this image already, and the service does not say as which image: "
        "what was to go with it could not be ensured;"
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
                (
                    f"the image is in the project as image {image.id}, but its {what} could not "
                    f"be added: {added.reason}"
                ),
                status=added.status, cause=added.cause, value=image,
            )  # fmt: skip
