"""Clients come and go: what they send is read, what they leave behind is cleared away, and nobody
is kept at closing time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager

from aiohttp import HttpVersion11, hdrs, web

__all__ = [
    "InFlightRequests",
    "drop_connection",
    "finish",
    "iter_body",
    "send_continue",
    "with_timeouts",
]

_LINGER_SECONDS = 10.0
_STALL_SECONDS = 30.0
_MIN_BYTES_PER_SECOND = 240.0  # bytes a second, as HTTP.sys and Kestrel want


class InFlightRequests:
    """The requests that are being served."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.most_in_flight = 0
        self._tasks: dict[asyncio.Task[None], web.RequestHandler] = {}

    def protocols(self) -> set[web.RequestHandler]:
        """Return the connections of the requests that are being served."""
        return set(self._tasks.values())

    @contextmanager
    def track(self, request: web.Request) -> Iterator[None]:
        """Hold on to the current task, which serves a request and has sent its answer when the
        block ends.
        """
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = request.protocol
        try:
            yield
        finally:
            self._tasks.pop(task, None)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as in flight."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    async def end(self, grace: float) -> None:
        """Wait `grace` seconds for the requests to be done; cancel those that are not, or all if
        this is cancelled itself.

        aiohttp's server has such a wait too, but one that a request trips over (InvalidStateError,
        logged with a traceback) if it ends in the turn of the loop in which the wait does: it is
        left nothing to wait for.
        """
        try:
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=grace)
        finally:
            for task in self._tasks:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def iter_body(request: web.Request) -> AsyncGenerator[bytes, None]:
    """The body of a request as it comes.

    Raises ConnectionError where the client leaves, or breaks its framing, before the end.
    """
    try:
        async for piece in request.content.iter_any():
            yield piece
    except web.RequestPayloadError as error:
        raise ConnectionAbortedError("the body of a request could not be read on") from error
    except (
        RuntimeError
    ) as error:  # aiohttp's word for a connection that was lost before its request was looked at
        if request.transport is not None:
            raise
        raise ConnectionResetError("the client left") from error


async def with_timeouts(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield a body piece by piece. Raise TimeoutError where it stalls, or drips."""
    loop = asyncio.get_running_loop()
    started, size = loop.time(), 0
    async with aclosing(body):
        while True:
            due = min(loop.time(), started + size / _MIN_BYTES_PER_SECOND) + _STALL_SECONDS
            async with asyncio.timeout_at(due):
                piece = await anext(body, None)
            if piece is None:
                return
            size += len(piece)
            yield piece


async def finish(request: web.Request, response: web.StreamResponse) -> None:
    """Send the rest of an answer, and read what the client still sends of a request that was
    answered early.

    A connection closed on a client in mid-upload would take the answer with it. aiohttp's server
    does the same, but is not told when such a client leaves, and waits on for ten seconds.
    """
    if not response.prepared:  # a connection that was dropped
        return
    await response.write_eof()
    if not request.content.is_eof():
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                async for _ in iter_body(request):
                    pass
        except TimeoutError:
            pass  # the server closes the connection


async def send_continue(request: web.Request) -> web.StreamResponse | None:
    """Ask for the body that a client holds back until it is asked ("Expect: 100-continue"); it may
    have left by then.
    """
    if request.version < HttpVersion11:
        return None
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed
    try:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    except ConnectionError:
        return drop_connection(request)
    request.writer.output_size = 0  # what is sent so far is no part of the answer
    return None


def drop_connection(request: web.Request) -> web.StreamResponse:
    """Reset the connection, if it is still there."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # nobody is there to get it
