"""Serve blobs under signed addresses: original images, smaller copies, thumbnails and exports."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import asyncio
import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

from . import _image_files
from ._api_request import ApiResponse
from ._ids import guid_key
from ._resource import Resource

__all__ = ["BLOBS", "read_blob", "serve_blob"]

_SIDES = {"t": 300, "r": 1600}
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})")

BLOBS: dict[str, Callable[[Resource, bytes, str], bytes | None]] = {}
"""Readers of the containers that do not hold images, by the prefix of the container's name.

A reader takes the resource, the key in the container's name and the blob's name.
"""


async def read_blob(resource: Resource, container: str, blob: str) -> bytes | None:
    """Return the bytes of a blob, or None if it does not exist.

    Smaller copies are made on request.
    """
    try:
        if container.startswith("predictionimages/"):
            return await _image_blob(resource, "predictions", container.partition("/")[2], blob)
        prefix, _, id = container.partition("-")
        if prefix == "i":
            return await _image_blob(resource, "images", id, blob)
        other = BLOBS.get(prefix)
        return other(resource, guid_key(id), blob) if other else None
    except ValueError:
        return None


async def _image_blob(resource: Resource, table: str, project: str, blob: str) -> bytes | None:
    letter, _, id = blob.partition("-")
    digest = resource.state.scalar(
        f"SELECT digest FROM {table} WHERE id = ? AND project = ?", guid_key(id), guid_key(project)
    )
    data = resource.image_content(digest) if digest else None
    if data is None or (letter not in _SIDES and resource.switches.originals_kept):
        return data
    try:
        if letter in _SIDES:
            return await asyncio.to_thread(_image_files.shrink, data, _SIDES[letter])
        return await asyncio.to_thread(_image_files.reencode, data)
    except Exception:  # noqa: BLE001 - not an image (check_images="none")
        return data


async def serve_blob(
    resource: Resource, raw_path: str, raw_query: str, asked_range: str | None
) -> ApiResponse:
    """Return the response to a GET of a blob: its bytes, or an error as in blob storage."""
    container, _, blob = unquote(raw_path).strip("/").rpartition("/")
    if not container:
        return _refused(404, "ResourceNotFound", "The specified resource does not exist.")
    if not resource.may_read(container, dict(parse_qsl(raw_query))):
        return _refused(403, "AuthenticationFailed", "Server failed to authenticate the request.")
    data = await read_blob(resource, container, blob)
    if data is None:
        return _refused(404, "BlobNotFound", "The specified blob does not exist.")
    checksum = hashlib.md5(data, usedforsecurity=False).digest()
    headers = {"Accept-Ranges": "bytes", "ETag": f'"0x{checksum.hex()[:16].upper()}"'}
    found = _RANGE.fullmatch(asked_range or "")
    kind = "application/zip" if bytes(data[:2]) == b"PK" else _image_files.content_type(data)
    if not found or (found[2] and int(found[2]) < int(found[1])):  # no valid range
        return ApiResponse(
            200,
            raw=data,
            content_type=kind,
            headers=headers | {"Content-MD5": b64encode(checksum).decode()},
        )
    first, last = int(found[1]), min(int(found[2] or len(data)), len(data) - 1)
    if first >= len(data):
        return _refused(
            416,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        )
    headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
    return ApiResponse(206, raw=data[first : last + 1], content_type=kind, headers=headers)


def _refused(status: int, code: str, message: str) -> ApiResponse:
    text = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return ApiResponse(status, raw=text.encode(), content_type="application/xml")
