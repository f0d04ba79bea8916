"""Uploads to a peer whose responses are to another request: repeated, early, or misplaced."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from customvision_async import (
    Concurrency,
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    Region,
    TrainingClient,
)
from tests.support.emulated_project import QUICK
from tests.support.peer import Seen, peer, read_body

pytestmark = pytest.mark.anyio

HEAD = b"\xff\xd8\xff"
TAG = UUID(int=5)
SIZES = {"large": 40_000, "small": 10}
"""Bytes of an image. An early response arrives while large ones are still on their way."""


class Store:
    """What stands behind the peer: images by content, and a response to each request."""

    def __init__(self, mode: str, every: int) -> None:
        self.mode = mode
        self.every = every
        self.images: dict[bytes, str] = {}
        self.requests = 0
        self.foreign = 0
        self.last = b""
        self.names: list[str] = []

    def received(self, body: bytes) -> list[tuple[str, bytes]]:
        """The names of a request, each with the content behind it."""
        if not body.startswith(b"{"):
            parts = re.findall(rb'filename="([^"]*)".*?\r\n\r\n(.*?)\r\n--', body, re.DOTALL)
            return [(name.decode(), data) for name, data in parts]
        return [
            (entry["name"], base64.b64decode(entry["contents"]))
            if "name" in entry
            else (name := entry.get("url") or entry["id"], name.encode())
            for entry in json.loads(body)["images"]
        ]

    def result(self, name: str, data: bytes) -> dict[str, Any]:
        """Store one image, and say so."""
        status = "OKDuplicate" if data in self.images else "OK"
        image = self.images.setdefault(data, str(uuid4()))
        stored = {"id": image, "created": "2026-01-01T00:00:00"}
        return {"sourceUrl": f'"{name}"', "status": status, "image": stored}

    def response(self, body: bytes) -> bytes:
        """Do what is asked, and return what is to be written."""
        found = self.received(body)
        self.names += [name for name, _ in found]
        results = [self.result(name, data) for name, data in found]
        if body.startswith(b"{"):
            for result in results:
                result["sourceUrl"] = result["sourceUrl"].strip('"')
        value = json.dumps({"isBatchSuccessful": True, "images": results}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(value), value)

    def follow_up(self, body: bytes) -> bytes:
        """List nothing, or take regions for an image that was there."""
        value = json.dumps(
            {"created": json.loads(body)["regions"], "duplicated": [], "exceeded": []}
            if body
            else []
        ).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(value), value)

    async def answer(
        self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request; each `every`th one with the response to the one before."""
        if "/images" not in seen.line or seen.line.startswith("GET") or "/regions" in seen.line:
            await read_body(seen, reader)
            writer.write(self.follow_up(seen.body))
            return
        self.requests += 1
        wrong = bool(self.last) and self.requests % self.every == 0
        self.foreign += wrong
        if wrong and self.mode == "early":
            writer.write(self.last)
            await writer.drain()
        await read_body(seen, reader)
        if wrong and self.mode in ("early", "instead"):
            if self.mode == "instead":
                writer.write(self.last)
            return
        before, self.last = self.last, self.response(seen.body)
        writer.write(before if wrong and self.mode == "stored" else self.last)
        if wrong and self.mode == "idle":
            writer.write(before)


def of_files(size: int, number: int) -> Any:
    """Return an image without a name of its own."""
    return ImageFile(data=HEAD + b"%d," % number + bytes(size))


def with_region(size: int, number: int) -> Any:
    """Return an image that goes in a batch as base64."""
    return ImageFile(
        data=HEAD + b"%d," % number + bytes(size), regions=[Region(TAG, 0, 0, 0.5, 0.5)]
    )


def of_url(size: int, number: int) -> Any:
    """Return an image that the service fetches."""
    return ImageUrl(f"http://127.0.0.1/{number}/{'x' * min(size, 1000)}")


def of_prediction(size: int, number: int) -> Any:
    """Return an image that the service holds as a prediction."""
    return ImageFromPrediction(UUID(int=number))


@pytest.mark.parametrize("together", [64, 1])
@pytest.mark.parametrize("mode", ["instead", "stored", "idle", "early"])
@pytest.mark.parametrize("make", [of_files, with_region, of_url, of_prediction])
async def test_a_response_to_another_request_lands_no_image(
    make: Callable[[int, int], Any], mode: str, together: int
) -> None:
    """Each success names the image that is stored for that very item, and all are stored."""
    size = SIZES["large" if mode == "early" else "small"]
    items = [make(size, number) for number in range(12 if together == 1 else 320)]
    there = Store(mode, every=3 if together == 1 else 2)
    concurrency = Concurrency(
        initial_requests=1, max_requests=1, max_chunk_bytes=1 if together == 1 else 16_000_000
    )
    async with (
        peer(there.answer) as served,
        TrainingClient(served.url, "0" * 32, retry=QUICK, concurrency=concurrency) as client,
    ):
        upload = client.get_project_client(UUID(int=1)).upload_images(items)
        async with upload:
            results = {result.index: result async for result in upload}
    assert there.foreign >= 2
    assert len(results) == len(there.images) == len(items)
    for number, item in enumerate(items):
        content = bytes(item.data) if isinstance(item, ImageFile) else b""
        key = content or (item.url if isinstance(item, ImageUrl) else str(item.id)).encode()
        image = results[number].image
        assert results[number].ok
        assert image is not None
        assert image.id == there.images[key]
