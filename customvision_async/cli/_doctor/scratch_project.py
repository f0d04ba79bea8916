"""The scratch project of ``customvision doctor --probe``, which is always deleted at the end."""

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
_CREATE_SECONDS = 20.0
"""Timeout for the creation of the project."""
_DELETE_SECONDS = 7.0
"""Timeout for the deletion of the project, even after Ctrl-C."""
_MAX_ATTEMPTS = 8
"""Maximum attempts of a request that is refused with 429."""
_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqM"
    "yP/L2u71////m8H////6/+b9//j/wAALCAAQADABAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AAAAA/9k="
)
"""A grey JPEG of 48 x 16 pixels."""


class UnsettledError(Exception):
    """A switch cannot be settled. The message says why, without any data of the account."""


def png(number: int) -> bytes:
    """Return a PNG of 64 x 64 pixels in one colour, which depends on `number`."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    row = b"\0" + (number * 0x9E3779 & 0xFFFFFF).to_bytes(3) * 64
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * 64))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def rotated_jpeg() -> bytes:
    """Return a JPEG with 48 x 16 stored pixels, whose orientation makes it 16 x 48."""
    whole = base64.b64decode(_JPEG)
    orientation = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + orientation + bytes(4)
    return whole[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + whole[2:]


@dataclass
class Resource:
    """Send requests to one resource with its key.

    Attributes:
        link: The connection.
        key: The training key.
        version: The version of the Training API.
        requests: The number of requests so far.
        first_image: The number of the first image. It is random, so that images differ between
            probes.
        refusals: The responses with status 429.
    """

    link: Link
    key: str = field(repr=False)
    version: str = "v3.3"
    requests: int = 0
    first_image: int = field(default_factory=lambda: secrets.randbelow(1 << 22))
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
        """Send one request to the Training API, without retries."""
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
        """Send a request, with an optional JSON body, and retry it after a 429.

        Raises:
            UnsettledError: All attempts were refused with 429.
        """
        if json_body is not None:
            more["body"] = json.dumps(json_body).encode()
        for _ in range(_MAX_ATTEMPTS):
            response = await self.send_once(method, path, query, **more)
            if response.status != 429:
                return response
            self.refusals.append(response)
            await anyio.sleep(response.retry_after)
        raise UnsettledError(f"429 {_MAX_ATTEMPTS} times")

    async def request_json(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        """Send a request, and return the JSON of its response.

        Raises:
            UnsettledError: The request failed.
        """
        response = await self.call(method, path, *args, **more)
        if response.status not in (200, 207):
            raise UnsettledError(
                f"a request that it needs was answered with {public_status(response)}"
            )
        return response.json


def public_status(response: Response) -> str:
    """Return the status and the code of a response, which contain no private data."""
    code = response.code if response.code.isalnum() and not response.code.isdigit() else ""
    return f"{response.status} {code}".strip()


@dataclass
class Scratch:
    """A scratch project, with a cache of the results so far."""

    resource: Resource
    id: str
    _known: dict[str, Any] = field(default_factory=dict[str, Any])
    _images: int = 0

    def image(self) -> bytes:
        """Return an image that is not in the project."""
        self._images += 1
        return png(self.resource.first_image + self._images)

    async def call(self, method: str, path: str, *args: Any, **more: Any) -> Response:
        """Send a request to the project."""
        return await self.resource.call(method, f"/projects/{self.id}{path}", *args, **more)

    async def request_json(self, method: str, path: str, *args: Any, **more: Any) -> Any:
        """Send a request to the project, and return the JSON of its response."""
        return await self.resource.request_json(method, f"/projects/{self.id}{path}", *args, **more)

    async def tag(self, name: str) -> str:
        """Return the id of the tag of that name. Create it the first time."""
        key = f"tag {name}"
        if key not in self._known:
            self._known[key] = (await self.request_json("POST", "/tags", [("name", name)]))["id"]
        return str(self._known[key])

    async def cached(self, find: Callable[[Scratch], Awaitable[T]]) -> T:
        """Return the result of `find(self)`, which is called once. A failure is cached too."""
        key = f"find {find.__name__}"
        if key not in self._known:
            try:
                self._known[key] = await find(self)
            except UnsettledError as error:
                self._known[key] = error
        found = self._known[key]
        if isinstance(found, UnsettledError):
            raise found
        return found  # type: ignore[no-any-return]  # the result of `find`

    async def upload(
        self, images: Sequence[tuple[str, bytes]], tags: Sequence[str] = (), **entry: Any
    ) -> Response:
        """Upload images with CreateImagesFromFiles. `entry` has further members of each entry."""
        entries = [
            {"name": name, "contents": base64.b64encode(data).decode(), **entry}
            for name, data in images
        ]
        body = {"images": entries, "tagIds": list(tags)}
        return await self.call("POST", "/images/files", json_body=body)

    async def results(self, *args: Any, **more: Any) -> dict[str, dict[str, Any]]:
        """Upload images, and return the results by image name."""
        response = await self.upload(*args, **more)
        return results_of(response)


def results_of(response: Response) -> dict[str, dict[str, Any]]:
    """Return the results of a batch by image name, without the quotes of a data upload.

    Raises:
        UnsettledError: The batch failed.
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
    """Create a project, and delete it at the end, even after an error or a cancellation.

    Args:
        resource: The resource to create it in.
        name: The name of the project.
        settings: Further query parameters of the creation.
        on_refused: Called with the response if the project was refused.
        on_not_deleted: Called with the name if the project could not be deleted.

    Raises:
        UnsettledError: The project could not be created.
    """
    project: str | None = None
    try:
        response = await _create(resource, [("name", name), *settings.items()])
        if response.status != 200:
            on_refused(response)
            name = ""
            raise UnsettledError(f"no project could be made: {public_status(response)}")
        project = str(response.json["id"])
        await anyio.lowlevel.checkpoint()
        yield Scratch(resource, project)
    finally:
        with anyio.move_on_after(_DELETE_SECONDS, shield=True):
            if name and await _delete(resource, name, project):
                name = ""
        if name:
            on_not_deleted(name)


async def _create(resource: Resource, query: Sequence[tuple[str, str]]) -> Response:
    """Create a project.

    The request is shielded from cancellation, because the id is needed to delete the project.
    """
    response: Response | None = None
    with anyio.move_on_after(_CREATE_SECONDS, shield=True):
        response = await resource.call("POST", "/projects", query)
    if response is None:
        raise UnsettledError("no project could be made in time")
    return response


async def _delete(resource: Resource, name: str, project: str | None) -> bool:
    """Delete the project, and return whether it no longer exists.

    Without its id, whose response was lost, the project is found by its name.
    """
    try:
        if project is None:
            listed = await resource.request_json("GET", "/projects")
            project = next((entry["id"] for entry in listed if entry["name"] == name), None)
        if project is None:
            return True
        for _ in range(2):  # the second request finds a deletion whose response was lost
            try:
                response = await resource.call("DELETE", f"/projects/{project}")
                return response.status in (204, 404)
            except (OSError, http.client.HTTPException):
                continue
    except (OSError, http.client.HTTPException, UnsettledError, KeyError, TypeError):
        pass
    return False
