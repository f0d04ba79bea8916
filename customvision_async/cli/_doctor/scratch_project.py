"""The scratch project of ``customvision doctor --probe``: made, filled, and deleted whatever
happens.
"""

from __future__ import annotations

import base64
import http.client
import json
import secrets
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import anyio

from .network import Link, Response

__all__ = [
    "Resource",
    "Scratch",
    "UnsettledError",
    "png",
    "public_status",
    "results_of",
    "rotated_jpeg",
    "scratch_project",
]

T = TypeVar("T")
_CREATING = 20.0
"""Seconds that the creation of the project may take."""
_DELETING = 7.0
"""Seconds that the deletion of the project may take, also after Ctrl-C."""
_WAITS = 8
"""How often a request that is refused with 429 is sent again."""
_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6"
    "/+b9//j/wAALCAAQADABAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AAAAA/9k="
)
"""A grey JPEG of 48 x 16 pixels."""


class UnsettledError(Exception):
    """A switch cannot be settled; the message says why, and holds nothing of the account."""


def png(number: int) -> bytes:
    """Return a PNG of 64 x 64 pixels of one colour; another number gives another image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    row = b"\0" + (number * 0x9E3779 & 0xFFFFFF).to_bytes(3) * 64
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 64))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def rotated_jpeg() -> bytes:
    """Return a JPEG that is stored as 48 x 16 pixels and is to be seen as 16 x 48."""
    whole = base64.b64decode(_JPEG)
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + orientation + bytes(4)
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:]


@dataclass
class Resource:
    """Requests to one resource with its key.

    A request refused with 429 is waited for and sent again.
    """

    link: Link
    key: str = field(repr=False)
    version: str = "v3.3"
    requests: int = 0
    first: int = field(default_factory=lambda: secrets.randbelow(1 << 22))
    refusals: list[Response] = field(default_factory=list[Response])

    async def send_once(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        *,
        body: bytes | None = None,
        content_type: str = "application/json",
        version: str | None = None,
        headers: Mapping[str, str] | None = None,
        link: Link | None = None,
    ) -> Response:
        """Send one request to the Training API."""
        number = version or self.version
        api = "training" if number >= "v3" else "Training"
        address = f"/customvision/{number}/{api}{path}"
        if query:
            address += "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query)
        lines = {"Training-Key": self.key, **(headers or {})}
        if body is not None:
            lines["Content-Type"] = content_type
        elif method in ("POST", "PATCH"):
            body = b""
        self.requests += 1
        return await (link or self.link).request(method, address, headers=lines, body=body)

    async def call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        json_body: object = None,
        **more: Any,
    ) -> Response:
        """Send a request, with a JSON body if one is given, and wait where it is refused with 429."""
        if json_body is not None:
            more["body"] = json.dumps(json_body).encode()
        for _ in range(_WAITS):
            response = await self.send_once(method, path, query, **more)
            if response.status != 429:
                return response
            self.refusals.append(response)
            await anyio.sleep(response.retry_after)
        raise UnsettledError(f"429 {_WAITS} times")

    async def request_json(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        """Return the JSON of a request that is to succeed."""
        response = await self.call(method, path, *args, **more)
        if response.status not in (200, 207):
            raise UnsettledError(
                f"a request that it needs was answered with {public_status(response)}"
            )
        return response.json


def public_status(response: Response) -> str:
    """Return status and code of a response: what can be told in public."""
    code = response.code if response.code.isalnum() and not response.code.isdigit() else ""
    return f"{response.status} {code}".strip()


@dataclass
class Scratch:
    """A project of the probe's own, and what has been found in it so far."""

    resource: Resource
    id: str
    _known: dict[str, Any] = field(default_factory=dict[str, Any])
    _images: int = 0

    def image(self) -> bytes:
        """Return an image that the project does not have."""
        self._images += 1
        return png(self.resource.first + self._images)

    async def call(self, method: str, path: str, *args: Any, **more: Any) -> Response:
        """Send a request to the project."""
        return await self.resource.call(method, f"/projects/{self.id}{path}", *args, **more)

    async def request_json(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        """Return the JSON of a request to the project that is to succeed."""
        return await self.resource.request_json(method, f"/projects/{self.id}{path}", *args, **more)

    async def tag(self, name: str) -> str:
        """Return the id of a tag of that name; it is made the first time."""
        key = f"tag {name}"
        if key not in self._known:
            self._known[key] = (await self.request_json("POST", "/tags", [("name", name)]))["id"]
        return str(self._known[key])

    async def cached(self, find: Callable[[Scratch], Awaitable[T]]) -> T:
        """Return `find(self)`, which is called once for all switches that need it.

        A failure is kept too.
        """
        key = f"find {find.__name__}"
        if key not in self._known:
            try:
                self._known[key] = await find(self)
            except UnsettledError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, UnsettledError):
            raise found
        return found  # type: ignore[no-any-return]  # what this very function has returned before

    async def upload(
        self, images: Sequence[tuple[str, bytes]], tags: Sequence[str] = (), **entry: Any
    ) -> Response:
        """Upload images by CreateImagesFromFiles; `entry` are further members of each."""
        entries = [
            {"name": name, "contents": base64.b64encode(data).decode(), **entry}
            for name, data in images
        ]
        body = {"images": entries, "tagIds": list(tags)}
        return await self.call("POST", "/images/files", json_body=body)

    async def results(self, *args: Any, **more: Any) -> dict[str, dict[str, Any]]:
        """Return the results of an upload by the names of the images."""
        response = await self.upload(*args, **more)
        return results_of(response)


def results_of(response: Response) -> dict[str, dict[str, Any]]:
    """Return the results of a batch by the names of its images, without the quotes that data
    uploads have.
    """
    found = response.json
    if response.status not in (200, 207) or not isinstance(found, dict):
        raise UnsettledError(f"a batch was answered with {public_status(response)}")
    return {str(result.get("sourceUrl", "")).strip('"'): result for result in found["images"]}


@asynccontextmanager
async def scratch_project(
    resource: Resource,
    name: str,
    settings: Mapping[str, str],
    on_refused: Callable[[Response], None],
    on_not_deleted: Callable[[str], None],
) -> AsyncIterator[Scratch]:
    """Make a project of that name, and delete it on the way out, whatever happened and whoever
    cancelled.

    `refused` is told a response that says no to a new project, `left` the name of one that could
    not be deleted.

    Raises:
        UnsettledError: There is no project.
    """
    made: str | None = None
    try:
        response = await _created(resource, [("name", name), *settings.items()])
        if response.status != 200:
            on_refused(response)
            name = ""
            raise UnsettledError(f"no project could be made: {public_status(response)}")
        made = str(response.json["id"])
        await anyio.lowlevel.checkpoint()
        yield Scratch(resource, made)
    finally:
        with anyio.move_on_after(_DELETING, shield=True):
            if name and await _deleted(resource, name, made):
                name = ""
        if name:
            on_not_deleted(name)


async def _created(resource: Resource, query: Sequence[tuple[str, str]]) -> Response:
    """Make a project.

    A cancellation waits for the response: without the id, nobody could delete it.
    """
    response: Response | None = None
    with anyio.move_on_after(_CREATING, shield=True):
        response = await resource.call("POST", "/projects", query)
    if response is None:
        raise UnsettledError("no project could be made in time")
    return response


async def _deleted(resource: Resource, name: str, made: str | None) -> bool:
    """Delete the project; by its name where the response that had its id was lost.

    Return whether it is gone.
    """
    try:
        if made is None:
            there = await resource.request_json("GET", "/projects")
            made = next((project["id"] for project in there if project["name"] == name), None)
        if made is None:
            return True
        for _ in range(2):  # a deletion whose response was lost is seen by the second
            try:
                response = await resource.call("DELETE", f"/projects/{made}")
                return response.status in (204, 404)
            except (OSError, http.client.HTTPException):
                continue
    except (OSError, http.client.HTTPException, UnsettledError, KeyError, TypeError):
        pass
    return False
