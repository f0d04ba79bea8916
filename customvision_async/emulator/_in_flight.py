"""Track requests in flight, read their bodies under time limits, and handle clients that leave."""

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
_MIN_BYTES_PER_SECOND = 240.0  # the minimum of HTTP.sys and Kestrel


class InFlightRequests:
    """The requests that are being served, and their number."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.most_in_flight = 0
        self._tasks: dict[asyncio.Task[None], web.RequestHandler] = {}

    def protocols(self) -> set[web.RequestHandler]:
        """Return the connections of the requests that are being served."""
        return set(self._tasks.values())

    @contextmanager
    def track(self, request: web.Request) -> Iterator[None]:
        """Track the current task, which serves a request and responds within the block."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[task] = request.protocol
        try:
            yield
        finally:
            self._tasks.pop(task, None)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count a request as in flight during the block."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            yield
        finally:
            self.in_flight -= 1

    async def end(self, grace: float) -> None:
        """Wait up to `grace` seconds for the requests to finish, then cancel the rest.

        If this coroutine is cancelled itself, all requests are cancelled at once. aiohttp's server
        also waits, but a request that ends in the same turn of the loop as that wait fails with
        InvalidStateError and logs a traceback. After this wait nothing is left for it to wait for.
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
    """Yield the body of a request as it arrives.

    Raises:
        ConnectionError: The client disconnects or breaks the framing before the end.
    """
    try:
        async for piece in request.content.iter_any():
            yield piece
    except web.RequestPayloadError as error:
        raise ConnectionAbortedError("the body of a request ended early") from error
    except RuntimeError as error:
        # aiohttp raises it for a connection that was lost before the request was handled.
        if request.transport is not None:
            raise
        raise ConnectionResetError("the client disconnected") from error


async def with_timeouts(body: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """Yield a body piece by piece, and raise TimeoutError if it stalls or is too slow."""
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
    """Send the rest of a response, then read the rest of a request that was answered early.

    Closing the connection during an upload would lose the response. aiohttp's server also reads on,
    but does not notice when such a client leaves and waits for ten seconds.
    """
    if not response.prepared:  # the connection was dropped
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
    """Send "100 Continue" to a client that waits for it before it sends the body.

    Return a response only if the client has left.
    """
    if request.version < HttpVersion11:
        return None
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        raise web.HTTPExpectationFailed
    try:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    except ConnectionError:
        return drop_connection(request)
    request.writer.output_size = 0  # do not count it as part of the response
    return None


def drop_connection(request: web.Request) -> web.StreamResponse:
    """Reset the connection if it is still open."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()  # never sent
