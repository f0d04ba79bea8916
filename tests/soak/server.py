"""The other side of the soak, a process of its own: counts the pictures of each upload and answers for them, with as little work as can be.

Prints its port, and serves until its standard input is closed.
"""

from __future__ import annotations

import asyncio
import json
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


@cache
def answer(count: int) -> bytes:
    """The answer for a batch of `count` pictures."""
    results = [{"sourceUrl": f'"{n}"', "status": "OK", "image": IMAGE} for n in range(count)]
    return written(json.dumps({"isBatchSuccessful": True, "images": results}).encode())


def written(body: bytes) -> bytes:
    """An answer with this body."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )


class Connection(asyncio.Protocol):
    """One connection."""

    images = 0

    def __init__(self) -> None:
        self._held = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what came, and answer what is whole."""
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._held[:end]).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0] or 0)
            if len(self._held) < end + 4 + length:
                return
            count = self._held.count(b'filename="', end, end + 4 + length)
            del self._held[: end + 4 + length]
            Connection.images += count
            self._transport.write(answer(count) if count else written(b"%d" % Connection.images))


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
