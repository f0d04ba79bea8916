"""Responses that are not about the request: repeated, early, doubled, late, of another length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from customvision_async._content import Blob, Content
from customvision_async._options import Timeouts
from customvision_async._transport.aiohttp import AiohttpTransport
from customvision_async._transport.base import Request
from customvision_async.errors import ConnectError, RequestTimeout, ResponseLost
from tests.support.peer import Answer, Peer, Seen, peer, raw, read_body, reply

pytestmark = pytest.mark.anyio

SOON = Timeouts(connect=0.3, write=5, read=0.3)
OLD = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"old"'
NEW = b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"new"'


@asynccontextmanager
async def sending(
    *responses: Answer, **options: Any
) -> AsyncIterator[tuple[AiohttpTransport, Peer]]:
    """Yield a transport, and the peer that it sends to."""
    async with peer(*responses) as there:
        transport = AiohttpTransport(**options)
        try:
            yield transport, there
        finally:
            await transport.aclose()


def get(there: Peer) -> Request:
    """Return a request without a body."""
    return Request("GET", f"{there.url}/tags", "GetTags")


def post(there: Peer, size: int = 10) -> Request:
    """Return a request with a body of `size` zeros."""
    content = Content("x/y", [Blob(size, data=bytes(size))])
    return Request("POST", f"{there.url}/images", "CreateImagesFromData", content=content)


def after(first: bytes, *later: bytes) -> Answer:
    """Respond with `first`, then write each of `later` while the connection is idle."""

    async def response(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(seen, reader)
        writer.write(first)
        for piece in later:
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(piece)

    return response


def early(status: bytes) -> Answer:
    """Respond with `status` before most of the body has arrived, then read the rest."""

    async def response(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(1000)
        body = b"" if status.startswith(b"204") else b'"old"'
        writer.write(b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))
        await asyncio.sleep(0.1)
        while await reader.read(1 << 20):
            pass

    return response


IDLE = {
    "whole": (OLD,),
    "in two pieces": (OLD[:60], OLD[60:]),
    "head alone": (OLD[:-5],),
    "interim": (b"HTTP/1.1 103 Early Hints\r\n\r\n",),
    "noise": (b"\0\xff",),
}


@pytest.mark.parametrize("later", IDLE.values(), ids=IDLE)
@pytest.mark.parametrize("make", [get, post])
async def test_a_connection_with_bytes_waiting_is_not_used_again(
    later: tuple[bytes, ...], make: Any
) -> None:
    """Bytes on an idle connection belong to no request, so the next request opens another."""
    async with sending(after(OLD, *later), after(NEW)) as (transport, there):
        assert (await transport.send(get(there), {})).body == b'"old"'
        await asyncio.sleep(0.1)
        assert (await transport.send(make(there), {})).body == b'"new"'
        assert there.connections == 2


async def test_bytes_that_the_loop_has_not_read_yet_count_too() -> None:
    """A busy loop has not read the bytes in the socket yet: the connection is not reused either."""
    written = False
    stream_write = asyncio.StreamWriter.write

    def write(writer: asyncio.StreamWriter, data: bytes) -> None:
        nonlocal written
        stream_write(writer, data)
        written = True

    async with sending(after(OLD, OLD), after(NEW)) as (transport, there):
        assert (await transport.send(get(there), {})).body == b'"old"'
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio.StreamWriter, "write", write)
            while not written:  # this task runs before the loop handles what has just arrived
                await asyncio.sleep(0)
            assert (await transport.send(get(there), {})).body == b'"new"'


async def test_a_quiet_connection_is_used_again() -> None:
    """A hundred requests use one connection if no bytes are waiting on it."""
    async with sending(reply()) as (transport, there):
        for number in range(100):
            await transport.send(get(there) if number % 2 else post(there), {})
        assert there.connections == 1


async def test_a_peer_that_speaks_first_is_not_asked() -> None:
    """Neither a greeting nor a response without a request is taken for a success."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OLD)
        with suppress(ConnectionError):
            await reader.read(100)
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    transport = AiohttpTransport(timeouts=SOON)
    there = Peer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        outcomes = await asyncio.gather(
            *(transport.send(post(there, 50_000_000), {}) for _ in range(3)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} <= {ResponseLost, ConnectError}
    finally:
        await transport.aclose()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("status", [b"200 OK", b"201 Created", b"204 No", b"207 Multi-Status"])
async def test_a_success_before_the_end_of_the_body_is_a_response_lost(status: bytes) -> None:
    """It cannot be about images that were not sent. The connection is closed."""
    async with sending(early(status), reply()) as (transport, there):
        with pytest.raises(ResponseLost, match="before the whole request"):
            await asyncio.wait_for(transport.send(post(there, 50_000_000), {}), 5)
        assert (await transport.send(get(there), {})).status == 200
        assert there.connections == 2


@pytest.mark.parametrize("status", [b"401 No", b"413 Too Large", b"429 Later", b"503 Busy"])
async def test_a_refusal_before_the_end_of_the_body_is_taken(status: bytes) -> None:
    """A refusal does not need the whole body."""
    async with sending(early(status)) as (transport, there):
        response = await asyncio.wait_for(transport.send(post(there, 50_000_000), {}), 5)
        assert response.status == int(status[:3])


async def test_a_second_response_in_the_same_breath_is_not_the_next_one() -> None:
    """The second response to a request is never taken for that of the next request."""
    async with sending(after(OLD + OLD), after(NEW)) as (transport, there):
        assert (await transport.send(post(there), {})).body == b'"old"'
        assert (await transport.send(post(there), {})).body == b'"new"'
        assert there.connections == 2


@pytest.mark.parametrize("excess", [b"x", b"HTTP/1.1 2", b"\r\n\r\n\r\n", b"}" * 5000])
async def test_a_body_longer_than_it_says_spoils_nothing(excess: bytes) -> None:
    """The response is complete or lost. The excess is never the start of the next response."""
    async with sending(after(OLD + excess), after(NEW)) as (transport, there):
        for expected in (b'"old"', b'"new"'):
            with suppress(ResponseLost):
                assert (await transport.send(post(there), {})).body == expected


async def test_a_response_after_the_timeout_is_not_the_next_one() -> None:
    """The connection of a request that timed out is closed."""

    async def late(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        await asyncio.sleep(0.4)
        writer.write(OLD)

    async with sending(late, after(NEW), timeouts=SOON) as (transport, there):
        with pytest.raises(RequestTimeout):
            await transport.send(post(there), {})
        assert (await transport.send(post(there), {})).body == b'"new"'
        await asyncio.sleep(0.2)
        assert (await transport.send(post(there), {})).body == b'"new"'
        assert there.connections == 2


@pytest.mark.parametrize("make", [get, post])
async def test_interim_responses_without_end_time_out(make: Any) -> None:
    """Many 1xx responses are no progress: the request ends with its read timeout."""

    async def flood(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_body(seen, reader)
        while True:
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n" * 100)
            await writer.drain()
            await asyncio.sleep(0)

    async with sending(flood, timeouts=SOON) as (transport, there):
        with pytest.raises(RequestTimeout):
            await asyncio.wait_for(transport.send(make(there), {}), 20)


async def test_some_interim_responses_are_passed_over() -> None:
    """A few 1xx responses before the final one are valid HTTP."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 3
    async with sending(raw(hints + NEW)) as (transport, there):
        assert (await transport.send(post(there), {})).body == b'"new"'
