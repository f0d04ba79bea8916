"""A peer on a real socket that does exactly as a test tells it, HTTP or not."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[["Seen", asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """One received request: its head as text, and its body if it was read."""

    head: str
    body: bytes = b""

    @property
    def line(self) -> str:
        """Return the request line."""
        return self.head.split("\r\n", 1)[0]

    def header(self, name: str) -> str | None:
        """Return the value of a header, or None."""
        found = re.search(
            rf"^{re.escape(name)}: *(.*?)\r?$", self.head, re.MULTILINE | re.IGNORECASE
        )
        return None if found is None else found[1]


@dataclass
class Peer:
    """The address of the peer, and the requests it received."""

    url: str = ""
    seen: list[Seen] = field(default_factory=list[Seen], repr=False)
    connections: int = 0


def reply(status: int = 200, body: bytes = b"{}", *headers: str, close: bool = False) -> Answer:
    """Read the body, then respond."""

    async def response(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(seen, reader)
        lines = [
            f"HTTP/1.1 {status} X",
            f"Content-Length: {len(body)}",
            *headers,
            *(["Connection: close"] if close else []),
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return response


def raw(data: bytes, *, body: bool = True) -> Answer:
    """Write `data` unchanged, then close. With `body`, read the request body first."""

    async def response(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if body:
            await read_body(seen, reader)
        writer.write(data)
        await writer.drain()
        writer.close()

    return response


async def read_body(seen: Seen, reader: asyncio.StreamReader) -> None:
    """Read as many bytes as Content-Length announces."""
    seen.body = await reader.readexactly(int(seen.header("Content-Length") or 0))


@asynccontextmanager
async def peer(*responses: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """Yield a peer that uses `responses` in turn and repeats the last one."""
    here = Peer()
    left = list(responses)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        here.connections += 1
        tasks.add(asyncio.current_task())
        try:
            while not writer.is_closing():
                seen = Seen((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
                here.seen.append(seen)
                await (left.pop(0) if len(left) > 1 else left[0])(seen, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    here.url = f"{'https' if tls else 'http'}://{host}:{port}"
    try:
        yield here
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
