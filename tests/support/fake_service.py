"""A small, strict model of the service in memory, used as the transport of the fault campaign.

It holds one project. A request that breaks a rule (a batch over a limit, a body of another length
than announced, a URL that is too long, a missing key) is refused and recorded in `violations`. The
model uses no sockets and no threads, so it runs in virtual time. Its behaviour depends on its
`Random` only. A :class:`Faults` object decides the faults.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from hashlib import blake2b
from random import Random
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

from customvision_async._content import Blob, Content, ContentError
from customvision_async._transport.base import Request, Response
from customvision_async._transport.body import Reader, iter_pieces
from customvision_async._versions import ApiVersion
from customvision_async._wire.request import base_path
from tests.support.faults import Faults, Strike

__all__ = ["BASE", "ENDPOINT", "KEY", "SECOND_KEY", "Box", "Endless", "Habits", "Service", "Stored"]

ENDPOINT = "https://orchard.cognitiveservices.azure.com"
KEY = "0123456789abcdef0123456789abcdef"
SECOND_KEY = KEY[::-1]
BASE = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_URL = 8_192
"""Maximum length of a URL, in characters."""
"""The service's clock at the start of virtual time."""

Box = tuple[str, float, float, float, float]
Json = dict[str, Any]


class Endless(BaseException):
    """More requests than any run should need.

    Not an Exception, so that no code takes it for a result.
    """


class Refused(Exception):
    """An error response."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.body = json.dumps({"code": code, "message": message or code}).encode()


@dataclass(frozen=True, slots=True)
class Habits:
    """Unknown behaviour of the service. The switches of the emulator have the same names."""

    deduplicate: bool = True
    duplicate_has_image: bool = True
    duplicate_merges_tags: bool = False
    multi_status: bool = True
    shuffle_results: bool = True
    quoted_file_names: bool = True
    spoiled_batches: bool = False
    strict_ids: bool = False
    calls_per_second: float | None = None


@dataclass(slots=True)
class Stored:
    """An image of the project."""

    id: str
    content: bytes
    created: datetime
    tags: dict[str, None] = field(default_factory=dict)
    regions: list[tuple[str, Box]] = field(default_factory=list)
    metadata: dict[str, str] = field(default_factory=dict)


class Service:
    """The service, as a transport."""

    def __init__(
        self,
        random: Random,
        *,
        habits: Habits | None = None,
        faults: Faults | None = None,
        version: ApiVersion = ApiVersion.V3_3,
        most_calls: int = 20_000,
    ) -> None:
        self.random = random
        self.habits = habits or Habits()
        self.version = version
        self.faults = faults or Faults(random)
        self.project_id = self.new_id()
        self.tags: dict[str, str] = {}
        self.images: dict[str, Stored] = {}
        self.remote_content: dict[str, bytes] = {}
        """What stands at a URL, or was stored under the id of a prediction."""
        self.unreadable: set[bytes] = set()
        """Files that change between the inspection and the upload."""
        self.calls: dict[str, int] = {}
        self.violations: list[str] = []
        self.on_call: Callable[[], None] = lambda: None
        self.think: tuple[float, float] = (0.01, 0.3)
        self.closed = False
        self.in_flight = 0
        self._most_calls = most_calls
        self._trace = blake2b(digest_size=16)
        self._tokens = self._tokens_at = 0.0
        self._stamps = 0
        self._answers: dict[str, Response] = {}
        """The last response to each operation, to be repeated."""

    # --- for the test

    @property
    def trace(self) -> str:
        """A digest of all requests, their times and their responses."""
        return self._trace.hexdigest()

    @property
    def total(self) -> int:
        """The number of requests so far."""
        return sum(self.calls.values())

    def new_id(self) -> str:
        """Return a new id."""
        return str(UUID(int=self.random.getrandbits(128)))

    def add_tag(self, name: str) -> str:
        """Create a tag and return its id."""
        return self.tags.setdefault(name, self.new_id())

    def add_image(
        self, content: bytes, tags: Sequence[str] = (), *, at: datetime | None = None
    ) -> Stored:
        """Add an image without a request, as another client would."""
        self._stamps += 1
        created = (at or self._now()) + timedelta(microseconds=self._stamps)
        image = Stored(self.new_id(), content, created, dict.fromkeys(tags))
        self.images[image.id] = image
        return image

    def copies(self) -> dict[bytes, list[Stored]]:
        """Return the images by content."""
        found: dict[bytes, list[Stored]] = {}
        for image in self.images.values():
            found.setdefault(image.content, []).append(image)
        return found

    # --- the transport

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send one request and apply a fault."""
        self.in_flight += 1
        try:
            return await self._send(request, headers, on_sent or (lambda: None))
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Do nothing."""
        self.closed = True

    async def _send(
        self, request: Request, headers: Mapping[str, str], on_sent: Callable[[], None]
    ) -> Response:
        operation = request.operation
        self.calls[operation] = self.calls.get(operation, 0) + 1
        if self.total > self._most_calls:
            raise Endless(f"{self.total} calls: {self.calls}")
        self.on_call()
        query = self._checked(request, headers)
        strike = self.faults.strike(operation, self.total)
        self._note(
            "call",
            f"{asyncio.get_running_loop().time():.6f}",
            operation,
            strike.kind,
            json.dumps(query, sort_keys=True),
        )
        body = self._body(request.content)
        await self._on_the_way(request, strike, on_sent)
        answer = self._refusal(strike) or self._repeated(strike, request, query, body)
        await asyncio.sleep(self.random.uniform(*self.think))
        response = self.faults.returned(strike, answer, operation)
        self._note("answer", str(response.status))
        return response

    async def _on_the_way(
        self, request: Request, strike: Strike, on_sent: Callable[[], None]
    ) -> None:
        self.faults.before_body(strike, request.operation)
        await asyncio.sleep(self.random.uniform(0.0, 0.05))
        self.faults.in_body(strike, request.operation)
        on_sent()
        await asyncio.sleep(self.random.uniform(*self.think))

    def _refusal(self, strike: Strike) -> Response | None:
        """Return the error response if the operation does not take effect."""
        refusal = strike.refusal(self._now())
        rate = self.habits.calls_per_second
        if refusal is None and rate is not None:
            now = asyncio.get_running_loop().time()
            self._tokens = min(rate, self._tokens + (now - self._tokens_at) * rate)
            self._tokens_at = now
            if self._tokens < 1.0:
                return Response(
                    429,
                    {"retry-after": "1"},
                    b'{"error": {"code": "429", "message": "Rate limit is exceeded."}}',
                )
            self._tokens -= 1.0
        return refusal

    def _repeated(self, strike: Strike, request: Request, query: Json, body: Any) -> Response:
        """Handle the request. Return its response, or the last one of its operation."""
        before = self._answers.get(request.operation)
        if strike.kind == "repeated" and before is not None:
            return before
        answer = self._answers[request.operation] = self._answer(request, query, body, strike)
        return before if strike.kind == "repeated_after_effect" and before else answer

    def _answer(self, request: Request, query: Json, body: Any, strike: Strike) -> Response:
        """Handle the request."""
        headers = {
            "content-type": "application/json; charset=utf-8",
            "date": format_datetime(self._now(), usegmt=True),
        }
        try:
            status, value = getattr(self, "_" + request.operation)(query, body, strike)
        except Refused as refused:
            return Response(refused.status, headers, refused.body)
        value = strike.edited(value, request.operation)
        if self.version is ApiVersion.V1_2:
            value = _pascal({"tags": value} if request.operation == "GetTags" else value)
        return Response(status, headers, b"" if value is None else json.dumps(value).encode())

    def _checked(self, request: Request, headers: Mapping[str, str]) -> Json:
        """Return the query of a well-formed request."""
        url = urlsplit(request.url)
        start = f"{base_path(self.version)}/projects/{self.project_id}/"
        self._demand(
            request.url.startswith(ENDPOINT) and url.path.startswith(start),
            f"goes to {request.url[:200]}",
        )
        too_long = len(request.url) > LONGEST_URL and request.operation != "CreateTag"  # 414
        self._demand(not too_long, f"a URL of {len(request.url)} bytes")
        self._demand(
            headers.get("Training-Key") in (KEY, SECOND_KEY) and KEY not in request.url,
            "the key is not in its header alone",
        )
        self._demand(not self.closed, "a request after the client was closed")
        return {
            unquote(name): value for name, value in parse_qsl(url.query, keep_blank_values=True)
        }

    def _demand(self, good: bool, what: str) -> None:
        if not good:
            self.violations.append(what)

    def _body(self, content: Content | None) -> Any:
        if content is None:
            return None
        pieces: list[bytes] = []
        for piece in content.pieces:
            if isinstance(piece, Blob):
                data = bytes(piece.data) if piece.data is not None else _read(piece)
                if data in self.unreadable:
                    raise ContentError(piece, "the file has changed since it was looked at")
                pieces.append(base64.b64encode(data) if content.base64 else data)
            else:
                pieces.append(piece)
        whole = b"".join(pieces)
        self._demand(len(whole) == content.length, "a body of another length than announced")
        kind, _, rest = content.content_type.partition(";")
        if kind == "multipart/form-data":
            return _parts(whole, rest.partition("boundary=")[2].encode())
        return json.loads(whole)

    def _note(self, *words: str) -> None:
        self._trace.update("|".join(words).encode())

    def _now(self) -> datetime:
        return BASE + timedelta(seconds=asyncio.get_running_loop().time())

    # --- the operations: each returns a status and JSON

    def _CreateImagesFromData(self, query: Json, body: Any, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        mark = '"' if self.habits.quoted_file_names else ""
        return self._created(
            [(f"{mark}{name}{mark}", data, [], []) for name, data in body],
            _ids(query, "tagIds"),
            {},
            strike,
        )

    def _CreateImagesFromFiles(self, query: Json, body: Any, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        return self._created_from(
            body, lambda entry: (entry["name"], base64.b64decode(entry["contents"])), strike
        )

    def _CreateImagesFromUrls(self, query: Json, body: Any, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        return self._created_from(
            body, lambda entry: (entry["url"], self.remote_content.get(entry["url"])), strike
        )

    def _CreateImagesFromPredictions(  # noqa: N802
        self, query: Json, body: Any, strike: Strike
    ) -> tuple[int, Json]:
        return self._created_from(
            body, lambda entry: (entry["id"], self.remote_content.get(entry["id"])), strike
        )

    def _created_from(
        self, body: Json, read: Callable[[Json], tuple[str, bytes | None]], strike: Strike
    ) -> tuple[int, Json]:
        entries = []
        for given in body["images"]:
            boxes = [_box(region) for region in given.get("regions", ())]
            entries.append((*read(given), list(given.get("tagIds", ())), boxes))
        return self._created(entries, body.get("tagIds", []), body.get("metadata", {}), strike)

    def _created(
        self,
        entries: list[tuple[str, bytes | None, list[str], list[Box]]],
        common: list[str],
        metadata: dict[str, str],
        strike: Strike,
    ) -> tuple[int, Json]:
        distinct = {
            *common,
            *(tag for _, _, tags, boxes in entries for tag in (*tags, *(box[0] for box in boxes))),
        }
        self._note(
            "create",
            *(blake2b(data or b"", digest_size=8).hexdigest() for _, data, _, _ in entries),
        )
        self._demand(0 < len(entries) <= 64, f"a batch of {len(entries)} images")
        self._demand(len(distinct) <= 20, f"a batch of {len(distinct)} tags")
        self._demand(len({name for name, *_ in entries}) == len(entries), "a name twice in a batch")
        self._known(distinct, "BadRequestImageTags")
        if (
            len(entries) > 1
            and self.habits.spoiled_batches
            and any(data is None or b"BAD" in data for _, data, _, _ in entries)
        ):
            strike = Strike("all_unknown")
        if self.habits.shuffle_results:
            self.random.shuffle(entries)
        results = []
        for place, (name, data, tags, boxes) in enumerate(entries):
            status, image = strike.status_of(place), None
            if status == "OK":
                status, image = self._store(data, [*tags, *common], boxes, metadata)
            shown = image if status == "OK" or self.habits.duplicate_has_image else None
            results.append(
                {
                    "sourceUrl": name,
                    "status": status,
                    "image": shown and self._image(shown, named=False),
                }
            )
        fine = all(result["status"] == "OK" for result in results)
        return 200 if fine or not self.habits.multi_status else 207, {
            "isBatchSuccessful": fine,
            "images": results,
        }

    def _store(
        self, data: bytes | None, tags: list[str], boxes: list[Box], metadata: dict[str, str]
    ) -> tuple[str, Stored | None]:
        if data is None or b"BAD" in data:
            return "ErrorImageFormat" if data else "ErrorSource", None
        known = (
            next((image for image in self.images.values() if image.content == data), None)
            if self.habits.deduplicate
            else None
        )
        image = known or self.add_image(data)
        if known is None or self.habits.duplicate_merges_tags:
            image.tags.update(dict.fromkeys([*tags, *(box[0] for box in boxes)]))
            for box in boxes:
                self._place(image, box)
            image.metadata.update(metadata)
        return "OK" if known is None else "OKDuplicate", image

    def _place(self, image: Stored, box: Box) -> str | None:
        if any(there == box for _, there in image.regions):
            return None
        image.tags[box[0]] = None
        image.regions.append((self.new_id(), box))
        return image.regions[-1][0]

    def _GetTags(self, query: Json, body: Any, strike: Strike) -> tuple[int, list[Json]]:  # noqa: N802
        return 200, [
            {"id": id, "name": name, "description": None, "type": "Regular", "imageCount": 0}
            for name, id in self.tags.items()
        ]

    def _CreateTag(self, query: Json, body: Any, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        name = query["name"]
        if len(name) > LONGEST_URL:
            raise Refused(414, "")
        if name in self.tags:
            raise Refused(400, "BadRequestTagNameNotUnique")
        return 200, {
            "id": self.add_tag(name),
            "name": name,
            "description": None,
            "type": "Regular",
            "imageCount": 0,
        }

    def _CreateImageTags(self, query: Json, body: Json, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        pairs = body["tags"]
        self._demand(0 < len(pairs) <= 128, f"{len(pairs)} tag pairs")
        self._known({pair["tagId"] for pair in pairs}, "NotFoundTag", 404)
        self._present([pair["imageId"] for pair in pairs])
        summary: dict[str, list[Json]] = {"created": [], "duplicated": [], "exceeded": []}
        for pair in pairs:
            tags = self.images[pair["imageId"]].tags
            word = (
                "duplicated"
                if pair["tagId"] in tags
                else "exceeded"
                if len(tags) >= 100
                else "created"
            )
            if word == "created":
                tags[pair["tagId"]] = None
            summary[word].append(pair)
        return 200, summary

    def _DeleteImageTags(self, query: Json, body: Any, strike: Strike) -> tuple[int, None]:  # noqa: N802
        images, tags = _ids(query, "imageIds"), _ids(query, "tagIds")
        self._demand(
            0 < len(images) <= 64 and 0 < len(tags) <= 20,
            f"untag of {len(images)} images and {len(tags)} tags",
        )
        self._present(images, strict=self.habits.strict_ids)
        for image in images:
            for tag in tags:
                if image in self.images:
                    self.images[image].tags.pop(tag, None)
        return 204, None

    def _CreateImageRegions(self, query: Json, body: Json, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        regions = body["regions"]
        self._demand(0 < len(regions) <= 64, f"{len(regions)} regions")
        self._known({region["tagId"] for region in regions}, "NotFoundTag", 404)
        self._present([region["imageId"] for region in regions])
        summary: dict[str, list[Json]] = {"created": [], "duplicated": [], "exceeded": []}
        for region in regions:
            id = self._place(self.images[region["imageId"]], _box(region))
            if id is None:
                summary["duplicated"].append(region)
            else:
                summary["created"].append(
                    {**region, "regionId": id, "tagName": None, "created": self._now().isoformat()}
                )
        return 200 if not summary["duplicated"] or not self.habits.multi_status else 207, summary

    def _DeleteImageRegions(self, query: Json, body: Any, strike: Strike) -> tuple[int, None]:  # noqa: N802
        ids = _ids(query, "regionIds")
        self._demand(0 < len(ids) <= 64, f"{len(ids)} regions to delete")
        there = {id for image in self.images.values() for id, _ in image.regions}
        if self.habits.strict_ids and not there.issuperset(ids):
            raise Refused(400, "BadRequestInvalidIds")
        for image in self.images.values():
            gone = [box[0] for id, box in image.regions if id in ids]
            image.regions = [region for region in image.regions if region[0] not in ids]
            for tag in gone:
                if not any(box[0] == tag for _, box in image.regions):
                    image.tags.pop(tag, None)
        return 204, None

    def _DeleteImages(self, query: Json, body: Any, strike: Strike) -> tuple[int, None]:  # noqa: N802
        ids = _ids(query, "imageIds")
        self._demand(0 < len(ids) <= 256, f"{len(ids)} images to delete")
        self._present(ids, strict=self.habits.strict_ids)
        for id in ids:
            self.images.pop(id, None)
        return 204, None

    def _UpdateImageMetadata(self, query: Json, body: Json, strike: Strike) -> tuple[int, Json]:  # noqa: N802
        ids = _ids(query, "imageIds")
        self._demand(0 < len(ids) <= 64, f"metadata of {len(ids)} images")
        results = []
        for id in ids:
            status = "OK" if id in self.images else "ErrorImageNotFound"
            if status == "OK":
                self.images[id].metadata.update(body)
            results.append(
                {"imageId": id, "status": status, "metadata": body if status == "OK" else None}
            )
        return 200, {
            "isBatchSuccessful": all(result["status"] == "OK" for result in results),
            "images": results,
        }

    def _GetImages(  # noqa: N802
        self, query: Json, body: Any, strike: Strike, status: str = ""
    ) -> tuple[int, list[Json]]:
        take, skip = int(query.get("take", 50)), int(query.get("skip", 0))
        self._demand(take <= 256, f"a page of {take}")
        skip = max(0, skip - take + 1) if strike.kind == "page_before" else skip
        chosen = self._chosen(query, status)
        if query.get("orderBy", "Newest") == "Newest":
            chosen.reverse()
        return 200, [self._image(image) for image in chosen[skip : skip + take]]

    def _GetImageCount(self, query: Json, body: Any, strike: Strike) -> tuple[int, int]:  # noqa: N802
        return 200, len(self._chosen(query))

    def _GetTaggedImages(self, query: Json, body: Any, strike: Strike) -> tuple[int, list[Json]]:  # noqa: N802
        return self._GetImages(query, body, strike, "Tagged")

    def _GetUntaggedImages(self, query: Json, body: Any, strike: Strike) -> tuple[int, list[Json]]:  # noqa: N802
        return self._GetImages(query, body, strike, "Untagged")

    def _GetTaggedImageCount(self, query: Json, body: Any, strike: Strike) -> tuple[int, int]:  # noqa: N802
        return 200, len(self._chosen(query, "Tagged"))

    def _GetUntaggedImageCount(self, query: Json, body: Any, strike: Strike) -> tuple[int, int]:  # noqa: N802
        return 200, len(self._chosen(query, "Untagged"))

    def _chosen(self, query: Json, status: str = "") -> list[Stored]:
        tags, status = set(_ids(query, "tagIds")), status or query.get("taggingStatus", "All")
        self._demand(len(tags) <= 20, f"a filter of {len(tags)} tags")
        wanted = {"All": (True, False), "Tagged": (True,), "Untagged": (False,)}[status]
        return [
            image
            for image in self.images.values()
            if bool(image.tags) in wanted and (not tags or tags & image.tags.keys())
        ]

    def _GetImagesByIds(self, query: Json, body: Any, strike: Strike) -> tuple[int, list[Json]]:  # noqa: N802
        ids = _ids(query, "imageIds")
        self._demand(0 < len(ids) <= 256, f"{len(ids)} images by id")
        return 200, [self._image(image) for image in self.images.values() if image.id in ids]

    # --- parts of them

    def _known(self, tags: set[str], code: str, status: int = 400) -> None:
        if not tags <= set(self.tags.values()):
            raise Refused(status, code)

    def _present(self, images: list[str], *, strict: bool = True) -> None:
        if strict and any(image not in self.images for image in images):
            raise Refused(404, "NotFoundImage")

    def _image(self, image: Stored, *, named: bool = True) -> Json:
        names = {id: name for name, id in self.tags.items()} if named else {}
        created = image.created.replace(tzinfo=None).isoformat()
        return {
            "id": image.id,
            "created": created,
            "width": 1,
            "height": 1,
            "tags": [
                {"tagId": tag, "tagName": names.get(tag), "created": created} for tag in image.tags
            ],
            "regions": [
                {
                    "regionId": id,
                    "tagId": tag,
                    "left": left,
                    "top": top,
                    "width": width,
                    "height": height,
                }
                for id, (tag, left, top, width, height) in image.regions
            ],
        }


def _pascal(value: Any) -> Any:
    """Return `value` with the names of v1.2, which begin with capitals."""
    if isinstance(value, dict):
        return {name[:1].upper() + name[1:]: _pascal(inner) for name, inner in value.items()}
    return [_pascal(inner) for inner in value] if isinstance(value, list) else value


def _ids(query: Json, name: str) -> list[str]:
    return [id for id in query.get(name, "").split(",") if id]


def _box(region: Json) -> Box:
    return region["tagId"], region["left"], region["top"], region["width"], region["height"]


def _read(blob: Blob) -> bytes:
    """Return the bytes of a file, read as the real transport reads it in a thread."""
    reader = Reader()
    reader.may_wait = True
    return b"".join(bytes(piece or b"") for piece in iter_pieces(Content("", [blob]), reader))


def _parts(body: bytes, boundary: bytes) -> list[tuple[str, bytes]]:
    """Return the names and contents of a multipart body."""
    found = []
    for part in body.split(b"--" + boundary)[1:-1]:
        head, _, data = part.partition(b"\r\n\r\n")
        found.append((head.partition(b'filename="')[2].partition(b'"')[0].decode(), data[:-2]))
    return found
