"""Images that come: as data, files, URLs or stored predictions.

One batch, one answer with a result an image.
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
from .._api_request import Answer, Call, handles, handles_slowly, unsupported
from .._bodies import Part, field, list_field, parts_of
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
    """One image of a batch: its name in the answer, its bytes (or the status it fails with), its
    tags and boxes.
    """

    source: str
    data: Buffer | None
    status: str = "OK"
    tags: list[bytes] = member(default_factory=list)
    boxes: list[Box] = member(default_factory=list)
    image: bytes | None = None


class _Batch:
    """The images of one call, on their way into a project."""

    def __init__(self, call: Call, nothing: str) -> None:
        self.call = call
        self.world: Resource = call.world
        self.project = call.world.project(call.key("projectId"))
        self.nothing = nothing
        self.tags: list[bytes] = []
        self.metadata: dict[str, str] = {}
        self.entries: list[_Entry] = []
        rows = self.world.state.rows(
            "SELECT id, type FROM tags WHERE project = ?", self.project["id"]
        )
        self.types: dict[bytes, str] = {row["id"]: row["type"] for row in rows}

    # Reading the request.

    def read(self, name: str) -> list[Any]:
        """Read the JSON body; `name` is the member of an entry that says which image it is.

        Returns the entries' objects.
        """
        body = self.call.json
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
        except (
            ValueError,
            ServiceFault,
            # one id that is no GUID and the service sees no body at all (azure-sdk-for-python, issue
            # 24026)
        ):
            raise ServiceFault("BadRequestImageBatch", self.nothing) from None
        if self.call.version >= V.V3_3:
            self.metadata = checked_metadata(self.call, field(body, "metadata"))
        self.limit_tags()
        return images

    def limit_count(self, count: int) -> None:
        """Refuse an empty batch, and one of more than 64."""
        most = limits.IMAGES_PER_BATCH.value
        if count > most:
            raise ServiceFault(
                "BadRequestExceededBatchSize",
                f"The batch has {count} images; at most {most} are allowed.",
            )
        if not count:
            raise ServiceFault("BadRequestImageBatch", self.nothing)

    def limit_tags(self) -> None:
        """Refuse more than 20 tags, and tags that the project does not have."""
        lists = [
            self.tags,
            *(entry.tags + [box.tag for box in entry.boxes] for entry in self.entries),
        ]
        if self.world.switches.tag_limit_over_all:
            lists = [[tag for tags in lists for tag in tags]]
        most = limits.TAGS_PER_BATCH.value
        for tags in lists:
            if len(set(tags)) > most:
                raise ServiceFault(
                    "BadRequestExceededBatchSize",
                    f"The batch has {len(set(tags))} tags; at most {most} are allowed.",
                )
        # v3.4-preview has a status for it, and the versions before may use ErrorUnknown.
        if self.call.version < V.V3_4_PREVIEW and self.world.switches.unknown_tag == "batch":
            for tag in {tag for tags in lists for tag in tags} - self.types.keys():
                raise ServiceFault(
                    "BadRequestImageTags", f"Tag {guid_text(tag)} is not in the project."
                )

    # Storing.

    def settle(self) -> Answer:
        """Store what is good and answer."""
        order = list(self.entries)
        if self.world.switches.shuffle_results:
            self.world.random.shuffle(order)
        room = self._room()
        seen: set[bytes] = set()
        images: dict[int, InspectedImage] = {}
        for index, entry in enumerate(order):
            self._look(entry, index, images)
        self._spoil(order)
        for index, entry in enumerate(order):
            if entry.status == "OK":
                room -= self._store(entry, images[index], room, seen)
        return self._answer(order)

    def _room(self) -> int:
        """How many images more the project may have."""
        most = self.world.quota.images
        if most >= UNLIMITED:  # spare soak tests the count
            return most
        count = self.world.state.scalar(
            "SELECT count(*) FROM images WHERE project = ? AND present = 1", self.project["id"]
        )
        return most - int(count)

    def _look(self, entry: _Entry, index: int, images: dict[int, InspectedImage]) -> None:
        """Judge an entry: its image, its tags, its boxes."""
        if entry.status != "OK" or entry.data is None:
            return
        if self.tags:
            entry.tags = (
                [*entry.tags, *self.tags]
                if self.world.switches.entry_tags_add or not entry.tags
                else entry.tags
            )
        entry.tags = list(dict.fromkeys([*entry.tags, *(box.tag for box in entry.boxes)]))
        try:
            images[index] = self.world.inspect(entry.data)
            self._judge(entry)
        except InvalidImage as unfit:
            entry.status = self._known(unfit.status)

    def _judge(self, entry: _Entry) -> None:
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

    def _known(self, status: str) -> str:
        """The status as the version words it. (ErrorInvalidRegion is in no version's list, and was
        seen all the same.)
        """
        since = {
            "ErrorImageDimensions": (V.V3_4_PREVIEW, "ErrorImageSize"),
            "ErrorInvalidTag": (V.V3_4_PREVIEW, "ErrorUnknown"),
            "ErrorNegativeAndRegularTagOnSameImage": (V.V2_2, "ErrorUnknown"),
            "ErrorRegionLimitExceed": (V.V2_0, "ErrorUnknown"),
        }
        first, before = since.get(status, (V.V1_2, ""))
        return status if self.call.version >= first else before

    def _spoil(self, order: list[_Entry]) -> None:
        bad = [entry for entry in order if entry.status != "OK"]
        if len(bad) == len(order) and self.world.switches.all_bad_is_400:
            raise ServiceFault("BadRequestImageBatch", "No valid image files")
        if bad and len(order) > 1 and self.world.switches.spoiled_batches:
            for entry in order:
                entry.status = "ErrorUnknown"

    def _store(self, entry: _Entry, image: InspectedImage, room: int, seen: set[bytes]) -> int:
        """Store one image; returns the number of places it takes."""
        state, switches = self.world.state, self.world.switches
        if switches.deduplicate and (switches.duplicates_in_batch or image.digest not in seen):
            known = state.row(
                "SELECT * FROM images WHERE digest = ? AND project = ? AND present = 1 LIMIT 1",
                image.digest,
                self.project["id"],
            )
            if known is not None:
                return self._meet(entry, known)
        seen.add(image.digest)
        if room < 1:
            entry.status = "ErrorLimitExceed"
            return 0
        self.world.keep(image)
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
            insert_region(self.world, entry.image, box)
        return 1

    def _meet(self, entry: _Entry, known: Any) -> int:
        """An image that the project has already."""
        entry.status = "OKDuplicate"
        entry.image = known["id"]
        if not self.world.switches.duplicate_merges_tags:
            return 0
        for tag in entry.tags:
            attach(self.world, self.project, known["id"], tag, self.types)
        for box in entry.boxes:
            insert_region(self.world, known["id"], box)
        if self.metadata:
            merged = merged_metadata(known, self.metadata, limits.METADATA_PAIRS.value)
            if merged is not None:
                self.world.state.db.execute(
                    "UPDATE images SET metadata = ? WHERE id = ?", (json.dumps(merged), known["id"])
                )
        return 0

    # Answering.

    def _answer(self, order: list[_Entry]) -> Answer:
        switches = self.world.switches
        keys = list({entry.image for entry in order if entry.image})
        rows = self.world.state.rows(
            f"SELECT * FROM images WHERE id IN ({','.join('?' * len(keys))})", *keys
        )
        views = images_json(self.world, rows, self.call.version, named=False)
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
        mixed = not fine and switches.multi_status and self.call.version >= V.V3_3
        return Answer(207 if mixed else 200, {"isBatchSuccessful": fine, "images": results})


@handles("CreateImagesFromData")
def create_images_from_data(call: Call) -> Answer:
    """Images as parts of a multipart body, or one as the whole body.

    All get the tags of the query.
    """
    batch = _Batch(call, "No valid image files")
    batch.tags = call.keys("tagIds")
    parts = upload_parts(call)
    batch.limit_count(len(parts))
    batch.limit_tags()
    quoted = call.world.switches.quoted_file_names
    for part in parts:
        name = (
            part.filename
            if part.filename is not None
            else call.world.state.ids.text().replace("-", "")
        )
        batch.entries.append(
            _Entry(f'"{name}"' if quoted and part.filename is not None else name, part.data)
        )
    return batch.settle()


def upload_parts(call: Call) -> list[Part]:
    """The images of a body, in either of its two forms."""
    kind = call.content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return parts_of(call.body, call.content_type)
    if kind == "application/octet-stream":
        return [Part("", None, call.body)] if call.body else []
    raise unsupported(kind)


@handles("CreateImagesFromFiles")
def create_images_from_files(call: Call) -> Answer:
    """Images in JSON, base64; each with its name, tags and regions."""
    batch = _Batch(call, "No valid image files")
    for given, entry in zip(batch.read("name"), batch.entries, strict=True):
        _fill(entry, given)
    return batch.settle()


def _fill(entry: _Entry, given: Any) -> None:
    contents = field(given, "contents")
    try:
        entry.data = base64.b64decode(contents, validate=True) if contents else b""
    except (binascii.Error, TypeError, ValueError):
        entry.data = None
        entry.status = "ErrorImageFormat"


@handles_slowly("CreateImagesFromUrls")
async def create_images_from_urls(call: Call) -> Answer:
    """Images that the service fetches itself."""
    batch = _Batch(call, "No image urls provided")
    batch.read("url")
    most = limits.IMAGE_BYTES.value

    async def fetch(entry: _Entry) -> None:
        try:
            entry.data = await call.world.fetch_image(entry.source, most)
        except InvalidImage as unfit:
            entry.status = unfit.status

    await asyncio.gather(*(fetch(entry) for entry in batch.entries))
    with call.world.state.transaction():
        call.world.project(batch.project["id"])  # it may have gone meanwhile
        return batch.settle()


@handles("CreateImagesFromPredictions")
def create_images_from_predictions(call: Call) -> Answer:
    """Images that were sent for prediction and stored."""
    batch = _Batch(call, "No prediction ids provided")
    batch.read("id")
    for entry in batch.entries:
        try:
            key = guid_key(entry.source)
        except ValueError:
            raise ServiceFault("BadRequestImageBatch", batch.nothing) from None
        entry.source = guid_text(key)
        digest = call.world.state.scalar(
            "SELECT digest FROM predictions WHERE id = ? AND project = ?", key, batch.project["id"]
        )
        entry.data = call.world.image_content(digest) if digest else None
        if entry.data is None:
            entry.status = "ErrorSource"
    return batch.settle()
