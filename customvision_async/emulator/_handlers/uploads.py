"""Uploads of images as data, files, URLs or stored predictions.

Each request is one batch, and its response has one result per image.
"""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from dataclasses import dataclass
from dataclasses import field as member
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .._api_request import ApiRequest, ApiResponse, handles, handles_slowly, unsupported
from .._bodies import Part, field, list_field, parse_multipart
from .._ids import guid_key, guid_text
from .._image_files import Buffer, InspectedImage, InvalidImage
from .._quota import UNLIMITED
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import images_json
from .images import checked_metadata, merged_metadata
from .regions import Box, insert_region, read_box
from .tags import attach


@dataclass(slots=True)
class _Entry:
    """One image of a batch: its name in the response, its bytes or error status, its tags and
    boxes.
    """

    source: str
    data: Buffer | None
    status: str = "OK"
    tags: list[bytes] = member(default_factory=list)
    boxes: list[Box] = member(default_factory=list)
    image: bytes | None = None


class _Batch:
    """The images of one request, to be stored in a project."""

    def __init__(self, request: ApiRequest, empty_message: str) -> None:
        self.request = request
        self.resource: Resource = request.resource
        self.project = request.resource.project(request.key("projectId"))
        self.empty_message = empty_message
        self.tags: list[bytes] = []
        self.metadata: dict[str, str] = {}
        self.entries: list[_Entry] = []
        rows = self.resource.state.rows(
            "SELECT id, type FROM tags WHERE project = ?", self.project["id"]
        )
        self.types: dict[bytes, str] = {row["id"]: row["type"] for row in rows}

    # Reading the request.

    def read(self, name: str) -> list[Any]:
        """Read the JSON body, and return the objects of its entries.

        `name` is the member of an entry that identifies the image.
        """
        body = self.request.json
        images = list_field(body, "images")
        self.limit_count(len(images))
        try:
            self.tags = [guid_key(str(id)) for id in list_field(body, "tagIds")]
            for entry in images:
                source = field(entry, name)
                tags = [guid_key(str(id)) for id in list_field(entry, "tagIds")]
                boxes = [read_box(region) for region in list_field(entry, "regions")]
                self.entries.append(
                    _Entry("" if source is None else str(source), None, tags=tags, boxes=boxes)
                )
        except (ValueError, ServiceFault):
            # With one invalid id the service ignores the whole body (azure-sdk-for-python#24026).
            raise ServiceFault("BadRequestImageBatch", self.empty_message) from None
        if self.request.version >= V.V3_3:
            self.metadata = checked_metadata(self.request, field(body, "metadata"))
        self.limit_tags()
        return images

    def limit_count(self, count: int) -> None:
        """Reject an empty batch, and one of more than 64 images."""
        limit = limits.IMAGES_PER_BATCH.value
        if count > limit:
            raise ServiceFault(
                "BadRequestExceededBatchSize",
                f"The batch has {count} images; at most {limit} are allowed.",
            )
        if not count:
            raise ServiceFault("BadRequestImageBatch", self.empty_message)

    def limit_tags(self) -> None:
        """Reject more than 20 tags, and tags that the project does not have."""
        lists = [
            self.tags,
            *(entry.tags + [box.tag for box in entry.boxes] for entry in self.entries),
        ]
        if self.resource.switches.tag_limit_over_all:
            lists = [[tag for tags in lists for tag in tags]]
        limit = limits.TAGS_PER_BATCH.value
        for tags in lists:
            if len(set(tags)) > limit:
                raise ServiceFault(
                    "BadRequestExceededBatchSize",
                    f"The batch has {len(set(tags))} tags; at most {limit} are allowed.",
                )
        # v3.4-preview has a status for an unknown tag. Earlier versions may use ErrorUnknown.
        if self.request.version < V.V3_4_PREVIEW and self.resource.switches.unknown_tag == "batch":
            for tag in {tag for tags in lists for tag in tags} - self.types.keys():
                raise ServiceFault(
                    "BadRequestImageTags", f"Tag {guid_text(tag)} is not in the project."
                )

    # Storing.

    def store_all(self) -> ApiResponse:
        """Store the valid images, and return the response."""
        order = list(self.entries)
        if self.resource.switches.shuffle_results:
            self.resource.random.shuffle(order)
        room = self._remaining_quota()
        seen: set[bytes] = set()
        images: dict[int, InspectedImage] = {}
        for index, entry in enumerate(order):
            self._inspect(entry, index, images)
        self._apply_batch_switches(order)
        for index, entry in enumerate(order):
            if entry.status == "OK":
                room -= self._store(entry, images[index], room, seen)
        return self._response(order)

    def _remaining_quota(self) -> int:
        """Return how many more images the project may have."""
        limit = self.resource.quota.images
        if limit >= UNLIMITED:  # avoid the count in soak tests
            return limit
        count = self.resource.state.scalar(
            "SELECT count(*) FROM images WHERE project = ? AND present = 1", self.project["id"]
        )
        return limit - int(count)

    def _inspect(self, entry: _Entry, index: int, images: dict[int, InspectedImage]) -> None:
        """Validate the image, tags and boxes of an entry."""
        if entry.status != "OK" or entry.data is None:
            return
        if self.tags:
            entry.tags = (
                [*entry.tags, *self.tags]
                if self.resource.switches.entry_tags_add or not entry.tags
                else entry.tags
            )
        entry.tags = list(dict.fromkeys([*entry.tags, *(box.tag for box in entry.boxes)]))
        try:
            images[index] = self.resource.inspect(entry.data)
            self._check(entry)
        except InvalidImage as invalid:
            entry.status = self._status_in_version(invalid.status)

    def _check(self, entry: _Entry) -> None:
        if any(tag not in self.types for tag in entry.tags):
            raise InvalidImage("ErrorInvalidTag")
        if any(not box.inside for box in entry.boxes) or (
            entry.boxes and self.project["classification"]
        ):
            raise InvalidImage("ErrorInvalidRegion")
        if len(entry.tags) > limits.TAGS_PER_IMAGE.value or (
            len(entry.tags) > 1 and self.project["classification"] == "Multiclass"
        ):
            raise InvalidImage("ErrorTagLimitExceed")
        if len(entry.boxes) > limits.REGIONS_PER_IMAGE.value:
            raise InvalidImage("ErrorRegionLimitExceed")
        if len({self.types[tag] == "Negative" for tag in entry.tags}) > 1:
            raise InvalidImage("ErrorNegativeAndRegularTagOnSameImage")

    def _status_in_version(self, status: str) -> str:
        """Return the status as the version has it.

        ErrorInvalidRegion is in no version's list, but the service was seen to return it.
        """
        since = {
            "ErrorImageDimensions": (V.V3_4_PREVIEW, "ErrorImageSize"),
            "ErrorInvalidTag": (V.V3_4_PREVIEW, "ErrorUnknown"),
            "ErrorNegativeAndRegularTagOnSameImage": (V.V2_2, "ErrorUnknown"),
            "ErrorRegionLimitExceed": (V.V2_0, "ErrorUnknown"),
        }
        first, before = since.get(status, (V.V1_2, ""))
        return status if self.request.version >= first else before

    def _apply_batch_switches(self, order: list[_Entry]) -> None:
        bad = [entry for entry in order if entry.status != "OK"]
        if len(bad) == len(order) and self.resource.switches.all_bad_is_400:
            raise ServiceFault("BadRequestImageBatch", "No valid image files")
        if bad and len(order) > 1 and self.resource.switches.spoiled_batches:
            for entry in order:
                entry.status = "ErrorUnknown"

    def _store(self, entry: _Entry, image: InspectedImage, room: int, seen: set[bytes]) -> int:
        """Store one image, and return the number of new images: 1 or 0."""
        state, switches = self.resource.state, self.resource.switches
        if switches.deduplicate and (switches.duplicates_in_batch or image.digest not in seen):
            known = state.row(
                "SELECT * FROM images WHERE digest = ? AND project = ? AND present = 1 LIMIT 1",
                image.digest,
                self.project["id"],
            )
            if known is not None:
                return self._store_duplicate(entry, known)
        seen.add(image.digest)
        if room < 1:
            entry.status = "ErrorLimitExceed"
            return 0
        self.resource.keep(image)
        entry.image, now = state.ids.key(), state.clock.now()
        metadata = json.dumps(self.metadata) if self.metadata else None
        state.db.execute(
            (
                "INSERT INTO images (id, project, created, width, height, digest, metadata) VALUES "
                "(?, ?, ?, ?, ?, ?, ?)"
            ),
            (
                entry.image,
                self.project["id"],
                now,
                image.width,
                image.height,
                image.digest,
                metadata,
            ),
        )
        tagged = state.clock.now()
        state.db.executemany(
            "INSERT INTO image_tags VALUES (X'', ?, ?, ?)",
            [(entry.image, tag, tagged) for tag in entry.tags],
        )
        for box in entry.boxes:
            insert_region(self.resource, entry.image, box)
        return 1

    def _store_duplicate(self, entry: _Entry, known: Any) -> int:
        """Record an image that the project has already. Return 0, the number of new images."""
        entry.status = "OKDuplicate"
        entry.image = known["id"]
        if not self.resource.switches.duplicate_merges_tags:
            return 0
        for tag in entry.tags:
            attach(self.resource, self.project, known["id"], tag, self.types)
        for box in entry.boxes:
            insert_region(self.resource, known["id"], box)
        if self.metadata:
            merged = merged_metadata(known, self.metadata, limits.METADATA_PAIRS.value)
            if merged is not None:
                self.resource.state.db.execute(
                    "UPDATE images SET metadata = ? WHERE id = ?", (json.dumps(merged), known["id"])
                )
        return 0

    # Responding.

    def _response(self, order: list[_Entry]) -> ApiResponse:
        switches = self.resource.switches
        keys = list({entry.image for entry in order if entry.image})
        rows = self.resource.state.rows(
            f"SELECT * FROM images WHERE id IN ({','.join('?' * len(keys))})", *keys
        )
        views = images_json(self.resource, rows, self.request.version, named=False)
        images = {row["id"]: view for row, view in zip(rows, views, strict=True)}
        results: list[dict[str, Any]] = []
        for entry in order:
            result: dict[str, Any] = {"sourceUrl": entry.source, "status": entry.status}
            shown = entry.status == "OK" or (
                entry.status == "OKDuplicate" and switches.duplicate_has_image
            )
            if shown and entry.image:
                result["image"] = images[entry.image]
            elif switches.failed_image_is_null:
                result["image"] = None
            results.append(result)
        good = ("OK", "OKDuplicate") if switches.duplicate_is_success else ("OK",)
        fine = all(entry.status in good for entry in order)
        mixed = not fine and switches.multi_status and self.request.version >= V.V3_3
        return ApiResponse(207 if mixed else 200, {"isBatchSuccessful": fine, "images": results})


@handles("CreateImagesFromData")
def create_images_from_data(request: ApiRequest) -> ApiResponse:
    """Create images from the parts of a multipart body, or one from the whole body.

    All get the tags in the query.
    """
    batch = _Batch(request, "No valid image files")
    batch.tags = request.keys("tagIds")
    parts = upload_parts(request)
    batch.limit_count(len(parts))
    batch.limit_tags()
    quoted = request.resource.switches.quoted_file_names
    for part in parts:
        name = (
            part.filename
            if part.filename is not None
            else request.resource.state.ids.text().replace("-", "")
        )
        batch.entries.append(
            _Entry(f'"{name}"' if quoted and part.filename is not None else name, part.data)
        )
    return batch.store_all()


def upload_parts(request: ApiRequest) -> list[Part]:
    """Return the images of a body in either of its two forms."""
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return parse_multipart(request.body, request.content_type)
    if kind == "application/octet-stream":
        return [Part("", None, request.body)] if request.body else []
    raise unsupported(kind)


@handles("CreateImagesFromFiles")
def create_images_from_files(request: ApiRequest) -> ApiResponse:
    """Create images from base64 in JSON, each with its name, tags and regions."""
    batch = _Batch(request, "No valid image files")
    for given, entry in zip(batch.read("name"), batch.entries, strict=True):
        _decode_contents(entry, given)
    return batch.store_all()


def _decode_contents(entry: _Entry, given: Any) -> None:
    contents = field(given, "contents")
    try:
        entry.data = base64.b64decode(contents, validate=True) if contents else b""
    except (binascii.Error, TypeError, ValueError):
        entry.data = None
        entry.status = "ErrorImageFormat"


@handles_slowly("CreateImagesFromUrls")
async def create_images_from_urls(request: ApiRequest) -> ApiResponse:
    """Create images that the service fetches itself."""
    batch = _Batch(request, "No image urls provided")
    batch.read("url")
    limit = limits.IMAGE_BYTES.value

    async def fetch(entry: _Entry) -> None:
        try:
            entry.data = await request.resource.fetch_image(entry.source, limit)
        except InvalidImage as invalid:
            entry.status = invalid.status

    await asyncio.gather(*(fetch(entry) for entry in batch.entries))
    with request.resource.state.transaction():
        request.resource.project(batch.project["id"])  # it may be deleted by now
        return batch.store_all()


@handles("CreateImagesFromPredictions")
def create_images_from_predictions(request: ApiRequest) -> ApiResponse:
    """Create images from stored predictions."""
    batch = _Batch(request, "No prediction ids provided")
    batch.read("id")
    for entry in batch.entries:
        try:
            key = guid_key(entry.source)
        except ValueError:
            raise ServiceFault("BadRequestImageBatch", batch.empty_message) from None
        entry.source = guid_text(key)
        digest = request.resource.state.scalar(
            "SELECT digest FROM predictions WHERE id = ? AND project = ?", key, batch.project["id"]
        )
        entry.data = request.resource.image_content(digest) if digest else None
        if entry.data is None:
            entry.status = "ErrorSource"
    return batch.store_all()
