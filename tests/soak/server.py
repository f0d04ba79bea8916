"""The server of the soak, in a process of its own, with minimal overhead.

It counts the images of each upload and reports all of them as new. It prints its port and serves
until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from functools import cache

IMAGE = {
    "id": "00000000-0000-4000-8000-000000000000",
    "created": "2026-01-01T00:00:00",
    "width": 1,
    "height": 1,
    "tags": [],
    "regions": [],
}


_NAME = re.compile(rb'filename="([0-9a-f]{16})00"')
"""The name of the first image of a request: 16 digits of the request, and the place in it."""


def first_name(held: bytearray, start: int) -> str:
    """Return the digits that the names of a request begin with, or nothing if it has no images.

    It copies the bytes, because a match keeps its buffer, and a buffer in use cannot be resized.
    """
    found = _NAME.search(bytes(held[start : start + 4096]))
    return found[1].decode() if found else ""


_ANY = "0123456789abcdef"


def summary(request: str, count: int) -> bytes:
    """Return the response to an upload of `count` images, whose names begin with `request`."""
    return _summary(count).replace(_ANY.encode(), request.encode())


@cache
def _summary(count: int) -> bytes:
    results = [
        {"sourceUrl": f'"{_ANY}{n:02}"', "status": "OK", "image": IMAGE} for n in range(count)
    ]
    return response(json.dumps({"isBatchSuccessful": True, "images": results}).encode())


def response(body: bytes) -> bytes:
    """Return a response with this body."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """A connection of a client."""

    images = 0

    def __init__(self) -> None:
        self._held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Respond to each complete request."""
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._held[:end]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(self._held) < end + 4 + length:
                return
            count = self._held.count(b'filename="', end, end + 4 + length)
            request = first_name(self._held, end)
            del self._held[: end + 4 + length]
            Connection.images += count
            self._transport.write(
                summary(request, count) if count else response(b"%d" % Connection.images)
            )


async def main() -> None:
    """Serve."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
