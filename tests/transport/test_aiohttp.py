"""One attempt over a real socket: the request as sent, and the error of each kind of failure."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from customvision_async._content import Blob, Content, ContentError
from customvision_async._options import Timeouts
from customvision_async._transport.aiohttp import AiohttpTransport
from customvision_async._transport.base import Request
from customvision_async.errors import (
    ConnectError,
    CustomVisionError,
    DecodeError,
    RequestTimeout,
    ResponseLost,
)
from tests.support.peer import Answer, Peer, Seen, peer, raw, read_body, reply

pytestmark = pytest.mark.anyio

SOON = Timeouts(connect=0.3, write=0.3, read=0.3)


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


def get(there: Peer, method: str = "GET", **fields: Any) -> Request:
    """Return a request without a body."""
    return Request(
        method, f"{there.url}/customvision/v3.3/Training/domains?a=b%20c,d", "GetDomains", **fields
    )


def post(there: Peer, size: int = 1_000_000, **fields: Any) -> Request:
    """Return a request with a body of `size` zeros."""
    return Request(
        "POST",
        f"{there.url}/images",
        "CreateImagesFromData",
        content=Content("x/y", [Blob(size, data=bytes(size))]),
        **fields,
    )


async def stay(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the whole request and never respond."""
    await read_body(seen, reader)
    await asyncio.sleep(60)


async def deaf(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read nothing of the body."""
    await asyncio.sleep(60)


async def drip(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond byte by byte, forever."""
    await read_body(seen, reader)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await asyncio.sleep(0.02)


async def drip_head(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a head byte by byte, forever."""
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await asyncio.sleep(0.02)


async def reset(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection after the body."""
    await read_body(seen, reader)
    _reset(writer)


async def reset_early(
    seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Reset the connection in the middle of the body."""
    await reader.readexactly(100_000)
    _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def test_a_request_is_sent_as_it_is() -> None:
    """The URL and the headers are sent unchanged. The response is complete, with lower-case
    headers.
    """
    async with sending(reply(207, b'{"ok":1}', "Request-Id: 7", "X-A: 1", "X-A: 2")) as (
        transport,
        there,
    ):
        response = await transport.send(
            get(there, headers={"Accept": "text/plain"}), {"Training-Key": "k"}
        )
        assert (
            response.status,
            response.body,
            response.headers["request-id"],
            response.headers["x-a"],
        ) == (207, b'{"ok":1}', "7", "1, 2")
        seen = there.seen[0]
        assert seen.line == "GET /customvision/v3.3/Training/domains?a=b%20c,d HTTP/1.1"
        assert (
            seen.header("Training-Key"),
            seen.header("Accept"),
            seen.header("Accept-Encoding"),
        ) == ("k", "text/plain", "identity")
        assert seen.header("Cookie") is None


async def test_a_body_is_streamed_with_its_exact_length_and_type(tmp_path: Path) -> None:
    """No chunked encoding. The bytes of the file are between the bytes around it."""
    path = tmp_path / "a.jpg"
    path.write_bytes(os.urandom(3_000_001))
    content = Content(
        "multipart/form-data; boundary=x", [b"head", Blob(3_000_001, path=str(path)), b"tail"]
    )
    async with sending(reply()) as (transport, there):
        for _ in range(2):
            await transport.send(Request("POST", f"{there.url}/x", "X", content=content), {})
        assert [seen.body for seen in there.seen] == [b"head" + path.read_bytes() + b"tail"] * 2
        assert there.seen[0].header("Content-Length") == "3000009"
        assert there.seen[0].header("Transfer-Encoding") is None
        assert there.seen[0].header("Content-Type") == "multipart/form-data; boundary=x"
        assert there.connections == 1


async def test_the_end_of_the_body_is_told_before_the_answer() -> None:
    """The next body can begin while this request waits for its response."""
    told = asyncio.Event()

    async def response(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_body(seen, reader)
        await told.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with sending(response) as (transport, there):
        await asyncio.wait_for(transport.send(post(there), {}, on_sent=told.set), 5)


async def test_an_answer_in_the_middle_of_the_body_is_taken() -> None:
    """A 401 does not wait for 50 MB. The rest is not sent, and the next request opens a
    connection.
    """

    async def refuse(
        seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readexactly(100_000)
        writer.write(b"HTTP/1.1 401 Access Denied\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        await asyncio.sleep(60)

    told = asyncio.Event()
    async with sending(refuse, reply()) as (transport, there):
        response = await asyncio.wait_for(
            transport.send(post(there, 50_000_000), {}, on_sent=told.set), 5
        )
        assert response.status == 401
        assert told.is_set()
        assert (await transport.send(get(there), {})).status == 200
        assert there.connections == 2


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (stay, RequestTimeout, "no response within 0.3 s"),
        (drip, RequestTimeout, "incomplete"),
        (drip_head, RequestTimeout, "no response within"),
        (reset, ResponseLost, "before a response arrived"),
        (raw(b""), ResponseLost, "before a response arrived"),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
            ResponseLost,
            "while the response was read",
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"),
            ResponseLost,
            "while the response was read",
        ),
        (raw(b"220 mail.example ESMTP\r\n\r\n"), ResponseLost, "before a response arrived"),
        (raw(b"\0\xff" * 100 + b"\r\n\r\n"), ResponseLost, "before a response arrived"),
        (
            raw(
                b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(500)) + b"\r\n"
            ),
            ResponseLost,
            "before",
        ),
        (
            raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n"),
            ResponseLost,
            "before a response arrived",
        ),
        (reply(200, bytes(2000)), DecodeError, "maximum of 1,000 bytes"),
        (reply(200, b"x", "Content-Encoding: br"), DecodeError, "encoded as 'br'"),
        (reply(200, b"not gzip", "Content-Encoding: gzip"), DecodeError, "decompressed"),
    ],
    ids=[
        "silent",
        "drip",
        "drip-head",
        "reset",
        "closed",
        "half",
        "half-chunk",
        "smtp",
        "noise",
        "many",
        "long",
        "large",
        "br",
        "no-gzip",
    ],
)
@pytest.mark.parametrize("with_body", [False, True], ids=["get", "post"])
async def test_each_way_of_failing_has_its_name(
    response: Answer, error: type[CustomVisionError], says: str, with_body: bool
) -> None:
    """A typed error that names the operation, in time, without objects of aiohttp."""
    async with sending(response, timeouts=SOON) as (transport, there):
        request = post(there, response_bytes=1000) if with_body else get(there, response_bytes=1000)
        with pytest.raises(error, match=says) as caught:
            await asyncio.wait_for(transport.send(request, {}), 5)
        assert request.operation in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        assert getattr(caught.value, "sent", True)


async def test_a_peer_that_takes_nothing_is_given_up() -> None:
    """The write timeout counts from the last piece that was accepted."""
    async with sending(deaf, timeouts=SOON) as (transport, there):
        with pytest.raises(RequestTimeout, match="accepted no data"):
            await asyncio.wait_for(transport.send(post(there, 50_000_000), {}), 5)


async def test_a_slow_peer_that_takes_something_is_not() -> None:
    """A body may take many times the write timeout as long as it makes progress."""

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(40):
            await reader.readexactly(500_000)
            await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with sending(slow, timeouts=SOON) as (transport, there):
        assert (
            await asyncio.wait_for(transport.send(post(there, 20_000_000), {}), 10)
        ).status == 200


async def test_a_reset_in_the_middle_of_the_body_is_an_answer_lost() -> None:
    """Part of the body was sent, so the request may have taken effect."""
    async with sending(reset_early) as (transport, there):
        with pytest.raises(ResponseLost):
            await asyncio.wait_for(transport.send(post(there, 50_000_000), {}), 5)


async def test_no_connection_means_that_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port without a listener, and a name that does not resolve."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    transport = AiohttpTransport()
    try:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            with pytest.raises(
                ConnectError,
                match=r"GetDomains: no connection to 127\.0\.0\.1:\d+: Connection refused",
            ):
                await transport.send(
                    Request("GET", f"http://127.0.0.1:{held.getsockname()[1]}/", "GetDomains"), {}
                )
        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(ConnectError, match="check the endpoint"):
            await transport.send(Request("GET", "http://nowhere.invalid/", "GetDomains"), {})
    finally:
        await transport.aclose()


async def test_a_connection_that_is_not_made_in_time_was_not_used() -> None:
    """A connect timeout says that nothing was sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        try:
            for one in waiting:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            transport = AiohttpTransport(timeouts=SOON)
            with pytest.raises(RequestTimeout, match="no connection") as caught:
                await asyncio.wait_for(
                    transport.send(
                        Request("GET", f"http://127.0.0.1:{full.getsockname()[1]}/", "GetDomains"),
                        {},
                    ),
                    5,
                )
            assert not caught.value.sent
            await transport.aclose()
        finally:
            for one in waiting:
                one.close()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "POST", "PATCH"])
async def test_nothing_is_sent_twice_behind_our_back(method: str) -> None:
    """aiohttp itself would repeat an idempotent request on a broken connection."""
    async with sending(reply(), raw(b"")) as (transport, there):
        await transport.send(get(there), {})
        with pytest.raises(ResponseLost):
            await transport.send(get(there, method), {})
        assert len(there.seen) == 2


async def test_what_may_not_be_repeated_takes_a_connection_of_its_own() -> None:
    """The peer may close a pooled connection while it is used, which leaves the request in
    doubt.
    """
    async with sending(reply()) as (transport, there):
        for _ in range(3):
            await transport.send(post(there, 10, repeatable=False), {})
            await transport.send(post(there, 10), {})
        assert there.connections == 4


async def test_a_file_that_has_changed_ends_the_request(tmp_path: Path) -> None:
    """The blob is named. The body stays incomplete, so the request takes no effect.

    The next request succeeds.
    """
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(10))
    blob = Blob(1000, path=str(path))
    async with sending(reply()) as (transport, there):
        content = Content("x/y", [bytes(500_000), blob, b"end"])
        with pytest.raises(ContentError) as caught:
            await transport.send(Request("POST", f"{there.url}/x", "X", content=content), {})
        assert caught.value.blob is blob
        assert caught.value.__context__ is None
        assert (await transport.send(get(there), {})).status == 200
        assert not any(seen.body for seen in there.seen)


@pytest.mark.parametrize("encode", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_a_compressed_answer_is_read_within_its_bound(encode: Any) -> None:
    """A proxy may compress unasked. A decompression bomb is refused at the limit."""
    kind = "gzip" if encode is gzip.compress else "deflate"
    responses = [
        reply(200, encode(data), f"Content-Encoding: {kind}")
        for data in (b'{"a":1}' * 1000, bytes(100_000_000))
    ]
    async with sending(*responses) as (transport, there):
        assert (await transport.send(get(there), {})).body == b'{"a":1}' * 1000
        with pytest.raises(DecodeError, match="larger than"):
            await transport.send(get(there), {})


async def test_a_given_session_is_used_and_left_open() -> None:
    """It belongs to its creator."""
    async with peer(reply()) as there, aiohttp.ClientSession(headers={"X-Theirs": "1"}) as session:
        transport = AiohttpTransport(session=session)
        await transport.send(get(there), {})
        await transport.aclose()
        assert not session.closed
        assert there.seen[0].header("X-Theirs") == "1"


async def test_a_closed_transport_says_so() -> None:
    """It does not open again."""
    transport = AiohttpTransport()
    await transport.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await transport.send(Request("GET", "http://127.0.0.1:1/", "X"), {})


async def test_cancelling_leaves_no_task_and_a_working_transport() -> None:
    """At any moment of a request. The next one succeeds."""
    async with sending(reply()) as (transport, there):
        await transport.send(get(there), {})
        before = asyncio.all_tasks()
        for turns in range(60):
            task = asyncio.create_task(transport.send(post(there, 2_000_000), {}))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (await transport.send(get(there), {})).status == 200
        for _ in range(100):
            ours = {task for task in asyncio.all_tasks() - before if "serve" not in repr(task)}
            if not ours:
                break
            await asyncio.sleep(0.01)
        assert not ours


async def test_a_mistake_in_a_body_is_not_taken_for_a_broken_link() -> None:
    """An invalid piece of a body raises TypeError, and is not retried."""
    async with sending(reply()) as (transport, there):
        content = Content("x/y", [bytes(10), Blob(10, data="0123456789")])
        with pytest.raises(TypeError):
            await transport.send(Request("POST", f"{there.url}/x", "X", content=content), {})
