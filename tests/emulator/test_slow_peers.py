"""Peers that are slow, or many: each has a time limit, and others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from customvision_async.emulator import Emulator
from tests.emulator.test_attacks import CREATE, KEY, PROJECTS, Peer, answer


class Leaping(asyncio.SelectorEventLoop):
    """An event loop on real sockets whose clock can jump ahead."""

    ahead = 0.0

    def time(self) -> float:
        """Return the time including all jumps."""
        return super().time() + self.ahead


async def leap(seconds: float) -> None:
    """Jump ahead by `seconds` and run everything that is due."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Leaping)
    for _ in range(50):
        await asyncio.sleep(0)
    loop.ahead += seconds
    for _ in range(50):
        await asyncio.sleep(0)


def on_leaping_loop(main: Callable[[Emulator, Peer], Coroutine[Any, Any, None]]) -> None:
    """Run a test against an emulator on a leaping loop."""

    async def whole() -> None:
        async with Emulator(training_key=KEY) as emulator:
            await main(emulator, Peer(emulator))

    with asyncio.Runner(loop_factory=Leaping) as runner:
        runner.run(whole())


async def until_served(emulator: Emulator) -> None:
    """Wait until a request is being served."""
    while not emulator.in_flight:
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("sent", [b"", b"GET /customvision HTTP/1.1\r\nX: "])
def test_a_head_that_does_not_end_has_two_minutes(sent: bytes) -> None:
    """The connection is closed after two minutes, even if nothing was sent."""

    async def main(emulator: Emulator, peer: Peer) -> None:
        reader, writer = await peer.open(sent)
        assert await peer.ask(PROJECTS) == 200
        await leap(119)
        assert not reader.at_eof()
        await leap(2)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()

    on_leaping_loop(main)


def test_a_body_that_stalls_is_a_408() -> None:
    """A body may pause for half a minute. Others are served meanwhile."""

    async def main(emulator: Emulator, peer: Peer) -> None:
        reader, writer = await peer.open(peer.head(CREATE, "Content-Length: 100") + b"x" * 50)
        await until_served(emulator)
        assert await peer.ask(PROJECTS) == 200
        await leap(31)
        assert (await answer(reader))[0] == 408
        writer.close()
        assert (await peer.send(peer.head(PROJECTS)))[1] == b"[]"

    on_leaping_loop(main)


@pytest.mark.parametrize(("each", "status"), [(1, 408), (2500, 0)])
def test_a_body_that_drips_is_a_408(each: int, status: int) -> None:
    """One byte every ten seconds is too slow. 250 bytes a second are fast enough."""

    async def main(emulator: Emulator, peer: Peer) -> None:
        reader, writer = await peer.open(peer.head(CREATE, "Content-Length: 1000000"))
        await until_served(emulator)
        for _ in range(6):
            if not emulator.in_flight:
                break  # a further leap would end the time in which the response can be read
            seen = emulator.requests[-1].body_bytes
            writer.write(b"x" * each)
            while emulator.in_flight and emulator.requests[-1].body_bytes == seen:
                await asyncio.sleep(0.001)
            await leap(10)
        if status:
            assert (await answer(reader))[0] == status
        assert emulator.in_flight == (0 if status else 1)
        writer.close()

    on_leaping_loop(main)


def test_many_idle_connections_keep_nobody_out() -> None:
    """Above 512 connections the longest idle ones are closed, but not one in use."""

    async def main(emulator: Emulator, peer: Peer) -> None:
        opened = [await peer.open(peer.head(CREATE, "Content-Length: 1"))]
        await until_served(emulator)
        opened += [await peer.open(b"GET /x HTTP/1.1\r\nX: ") for _ in range(600)]
        assert await peer.ask(PROJECTS) == 200
        assert emulator.in_flight == 1
        opened[0][1].write(b"x")
        async with asyncio.timeout(10):
            assert (await answer(opened[0][0]))[0] == 200
            assert await opened[1][0].read() == b""
        assert not opened[-1][0].at_eof()
        for _, writer in opened:
            writer.close()

    on_leaping_loop(main)


def test_the_body_of_a_peer_without_the_key_is_not_kept() -> None:
    """The body is read to its end and then rejected. Memory stays flat at any size."""
    import tracemalloc

    async def main(emulator: Emulator, peer: Peer) -> None:
        size, piece = 48 << 20, bytes(1 << 20)
        head = peer.head(CREATE, f"Content-Length: {size}").replace(KEY.encode(), b"guess")
        tracemalloc.start()
        try:
            reader, writer = await peer.open(head)
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()
            assert (await answer(reader))[0] == 401
            writer.close()
            assert tracemalloc.get_traced_memory()[1] < 16 << 20
        finally:
            tracemalloc.stop()

    on_leaping_loop(main)
