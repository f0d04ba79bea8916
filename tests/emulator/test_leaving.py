"""Clients that leave early, on real sockets: the emulator logs nothing and keeps nothing."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import random
import socket
import struct
from typing import Any, Literal

import anyio
import pytest

from customvision_async.emulator import Emulator
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio

How = Literal["reset", "close", "half-close"]
ANSWERS = (
    "",
    "truncated_answer",
    "wrong_length",
    "drip",
    "slow_answer",
    "hang",
    "reset",
    "reset_in_body",
    "lost_answer",
    "html",
)


class Guest:
    """A client that sends given bytes and leaves at a given time."""

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator
        self.port = int(emulator.endpoint.rpartition(":")[2])

    def request(self, path: str, body: bytes, *headers: str) -> tuple[bytes, bytes]:
        """Return the head and the body of a POST."""
        lines = [
            f"POST /customvision/v3.3/training{path} HTTP/1.1",
            "Host: x",
            f"Training-Key: {self._emulator.training_key}",
            *headers,
        ]
        if not any(header.startswith("Transfer-Encoding") for header in headers):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode(), body

    async def visit(
        self, data: bytes, how: How, *, read: int = 0, turns: int = 0, step: int = 1 << 16
    ) -> bytes:
        """Send data in steps, read part of the response, wait some turns of the loop, and leave."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        answer = b""
        if how == "reset":
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        try:
            for at in range(0, len(data), step):
                writer.write(data[at : at + step])
                await writer.drain()
                await asyncio.sleep(0)
            if read:
                with anyio.move_on_after(0.2):
                    answer = await reader.read(read)
            for _ in range(turns):
                await asyncio.sleep(0)
            if how == "half-close":
                writer.write_eof()
                await asyncio.sleep(0)
        except OSError:
            pass  # the emulator closed the connection first
        finally:
            if how == "reset":
                writer.transport.abort()
            else:
                writer.close()
        return answer


async def quiet(emulator: Emulator) -> None:
    """Wait until no request is being served."""
    while emulator.in_flight:
        await asyncio.sleep(0.001)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the logged warnings and errors, except for asyncio's reports of slow turns of the
    loop.
    """
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and "took" not in record.getMessage()
    ]


def a_form(images: int) -> bytes:
    """Return images as a multipart body with the boundary b."""
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{n}"; filename="{n}"\r\n\r\n'.encode()
        + image_bytes(n)
        + b"\r\n"
        for n in range(images)
    )
    return b"".join(parts) + b"--b--\r\n"


@pytest.mark.parametrize("fault", ANSWERS)
async def test_clients_may_leave_at_any_point(fault: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Leaving at any point of a request or response, by FIN or RST, logs nothing."""
    dice, tasks = random.Random(fault), asyncio.all_tasks()
    form = a_form(4)
    multipart = "Content-Type: multipart/form-data; boundary=b"
    chunked = (
        b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in (form[:700], form[700:]))
        + b"0\r\n\r\n"
    )
    async with calling(refuse_early=bool(len(fault) % 2)) as call:
        emulator, guest = call.emulator, Guest(call.emulator)
        project = await call.project()
        requests = [
            guest.request(f"{project}/images", form, multipart),
            guest.request(f"{project}/images", form, multipart, "Expect: 100-continue"),
            guest.request(f"{project}/images", chunked, multipart, "Transfer-Encoding: chunked"),
            guest.request("/nowhere", form, multipart),
        ]
        if fault:
            emulator.faults.add(fault, probability=0.7, times=None, seconds=0.001)
        hows: tuple[How, ...] = ("reset", "close", "half-close")
        visits = []
        for (head, body), how, place in itertools.product(requests, hows, range(5)):
            cut = (
                dice.randrange(len(head)),
                len(head),
                len(head) + dice.randrange(len(body)),
                len(head + body),
                len(head + body),
            )[place]
            read = dice.choice((1, 60, 10_000)) if place == 4 else 0
            visits.append(
                guest.visit(
                    (head + body)[:cut],
                    how,
                    read=read,
                    turns=dice.randrange(6),
                    step=dice.choice((500, 1 << 16)),
                )
            )
        await asyncio.gather(*visits)
        await quiet(emulator)
        emulator.faults.clear()
        await call("GET", project)
    await asyncio.sleep(0.01)
    assert complaints(caplog) == []
    assert asyncio.all_tasks() == tasks


@pytest.mark.parametrize("body", [b"5\r\nabcde\r\nno number\r\n", b"zz\r\n"])
async def test_a_body_with_broken_framing_is_cut_off(body: bytes) -> None:
    """A body with broken framing has no effect, and the emulator keeps serving."""
    async with calling() as call:
        guest = Guest(call.emulator)
        head, _ = guest.request("/projects?name=x", b"", "Transfer-Encoding: chunked")
        await guest.visit(head + body, "close", read=1000)
        await quiet(call.emulator)
        assert await call("GET", "/projects") == []


async def test_an_early_answer_reaches_a_client_in_mid_upload() -> None:
    """A 404 is sent long before the body ends.

    The body is read to its end, so the response is not lost and the connection stays usable.
    """
    async with calling() as call:
        for _ in range(5):
            response, _ = await call.raw("POST", "/nowhere", data=io.BytesIO(bytes(8_000_000)))
            assert response.status == 404
        await call("GET", "/projects")


def test_stopping_is_cancelled_while_clients_hang_on(caplog: pytest.LogCaptureFixture) -> None:
    """A second Ctrl-C while clients upload does not raise aiohttp's InvalidStateError."""

    async def main() -> None:
        emulator = Emulator()
        await emulator.start()
        guest = Guest(emulator)
        head, body = guest.request("/projects?name=x", bytes(10))
        connections = [await asyncio.open_connection("127.0.0.1", guest.port) for _ in range(20)]
        for _, writer in connections:
            writer.write(head + body[:3])
        while emulator.in_flight < len(connections):
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(emulator.stop())
        await asyncio.sleep(0.01)
        for _, writer in connections:
            writer.close()
        assert not stopping.done()  # asyncio.run cancels it together with all other tasks

    asyncio.run(main())
    assert complaints(caplog) == []


async def test_stopping_ends_requests_that_do_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """Uploads get one second to finish. A client that leaves at that very moment logs nothing."""
    async with calling() as call:
        guest = Guest(call.emulator)
        head, body = guest.request("/projects?name=x", bytes(10))
        connections = [await asyncio.open_connection("127.0.0.1", guest.port) for _ in range(100)]
        for _, writer in connections:
            writer.write(head + body[:3])
        while call.emulator.in_flight < len(connections):
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(call.emulator.stop())
        await asyncio.sleep(0.99)
        for _, writer in connections:
            writer.transport.abort()
            await asyncio.sleep(0.0002)
        await stopping
        assert call.emulator.in_flight == 0
    assert complaints(caplog) == []
