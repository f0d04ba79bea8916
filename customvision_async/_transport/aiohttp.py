"""Send single attempts with aiohttp. Besides, only `blob_reader` and `session` import aiohttp.

Errors of aiohttp hold the headers of the request, so they must not leave this module. It raises its
own errors, without those of aiohttp in their context.

Unsafe features of aiohttp are off: redirects (which would send the key to another host), cookies,
proxies of the environment, unlimited decompression, and silent retries of idempotent requests.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import ssl
import weakref
import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.payload import Payload
from aiohttp.tracing import Trace
from yarl import URL

from .._content import Content, ContentError
from .._options import Timeouts
from ..errors import (
    ConnectError,
    CustomVisionError,
    DecodeError,
    RequestTimeout,
    ResponseLost,
    TransportError,
)
from .base import ClientClosed, Request, Response
from .body import Buffer, stream
from .retry import CertificateError
from .session import open_session

__all__ = ["AiohttpTransport", "tls_context"]


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context for verified TLS 1.2 or newer.

    It trusts the certificate authorities of the system, or only those of `ca_file`.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _PhaseTimer:
    """Enforce the timeouts of one attempt, one for each phase.

    `on_sent` is called when the body has been sent, or at once if there is none.
    """

    def __init__(self, timeouts: Timeouts, on_sent: Callable[[], None] | None) -> None:
        self.timeouts = timeouts
        self.phase = "connect"
        self.body_done = False
        self.body_error: Exception | None = None
        self.unwritten = 0
        """Bytes of the body that have not been written to the connection."""
        self.transport: asyncio.WriteTransport | None = None
        self._on_sent = on_sent
        self._scope = asyncio.timeout(None)
        self._loop = asyncio.get_running_loop()
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, trace)

    def enter(self, phase: str, seconds: float) -> None:
        """Begin a phase that may take `seconds`."""
        self.phase = phase
        self._due = self._loop.time() + seconds
        if self._timer is None or self._due < self._timer.when():
            self._set_timer(self._due)

    def _set_timer(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._on_timer)

    def _on_timer(self) -> None:
        """Check the deadline of the phase.

        A phase that ends early leaves the timer running, because setting one for each piece of a
        body would be slow.
        """
        self._timer = None
        if self._loop.time() < self._due:
            self._set_timer(self._due)
        elif not self._scope.expired():
            self._scope.reschedule(self._loop.time())

    @property
    def body_is_out(self) -> bool:
        """Whether the operating system has the whole body. `body_done` may follow later."""
        return self.body_done or (
            self.unwritten <= 0
            and (self.transport is None or self.transport.get_write_buffer_size() == 0)
        )

    def writing(self) -> None:
        """Begin to write a piece of the body."""
        self.enter("write", self.timeouts.write)

    def sent(self) -> None:
        """Record that the body was sent, or that there is none."""
        if not self.body_done:
            self.body_done = True
            if self._on_sent is not None:
                self._on_sent()

    @property
    def timeout_message(self) -> str:
        """The message of an error for a timeout in the current phase."""
        seconds = {"connect": self.timeouts.connect, "write": self.timeouts.write}.get(
            self.phase, self.timeouts.read
        )
        messages = {
            "connect": "no connection within {0:g} s",
            "write": "the peer accepted no data for {0:g} s",
            "wait": "no response within {0:g} s",
            "read": "the response was incomplete {0:g} s after it began",
        }
        return messages[self.phase].format(seconds)


class _Body(Payload):
    """A :class:`Content` as a payload of aiohttp, streamed and of known length."""

    _autoclose = True

    def __init__(self, content: Content, timer: _PhaseTimer) -> None:
        super().__init__(content, content_type=content.content_type)
        timer.unwritten = content.length
        self._size = content.length
        self._content = content
        self._timer = timer

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Raise TypeError: the body is not text."""
        raise TypeError("a streamed body is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Stream the body."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Stream the body. `content_length` is ignored, because the length is exact."""
        timer = self._timer

        timer.transport = transport = getattr(writer, "transport", None)

        async def write(piece: Buffer) -> bool:
            timer.writing()
            timer.unwritten -= len(piece)
            await writer.write(piece)
            return transport is not None and transport.get_write_buffer_size() == 0

        timer.writing()
        try:
            await stream(self._content, write)
        except (OSError, aiohttp.ClientError):
            raise  # the connection failed, not the content
        except Exception as error:
            timer.body_error = error
            raise
        timer.enter("wait", timer.timeouts.read)
        timer.sent()


class AiohttpTransport:
    """Send with aiohttp over connections that are kept alive.

    It may be created anywhere. The first request connects, in the running event loop.

    Args:
        timeouts: Timeouts of the phases of an attempt.
        connections: Maximum number of connections.
        ssl_context: TLS context. Defaults to :func:`tls_context`.
        session: Session to use instead of an own one. It is not closed.
    """

    def __init__(
        self,
        timeouts: Timeouts | None = None,
        connections: int = 64,
        ssl_context: ssl.SSLContext | None = None,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        self._timeouts = timeouts or Timeouts()
        connect = self._timeouts.connect
        self._aiohttp_timeout = aiohttp.ClientTimeout(
            total=None, connect=connect, sock_connect=connect
        )
        self._connections = connections
        self._ssl = ssl_context
        self._given = session
        self._pooled: aiohttp.ClientSession | None = None
        self._unpooled: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send one attempt. See :class:`~.base.Transport`."""
        _reject_injection(request, headers)
        timer = _PhaseTimer(self._timeouts, on_sent)
        failure: Exception
        try:
            async with timer:
                return await self._exchange(request, headers, timer)
        except (CustomVisionError, ContentError) as error:
            failure = error
        except (aiohttp.ClientError, OSError, _Wrapped) as error:
            failure = timer.body_error or _translate_error(error, request, timer)
        failure.__cause__ = failure.__context__ = None
        raise failure

    async def _exchange(
        self, request: Request, headers: Mapping[str, str], timer: _PhaseTimer
    ) -> Response:
        session = self._session(fresh=not request.repeatable)
        body = None
        all_headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **request.headers,
            **headers,
        }
        if request.content is not None:
            body = _Body(request.content, timer)
            all_headers["Content-Type"] = request.content.content_type
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=all_headers,
            skip_auto_headers=("Content-Type",),  # aiohttp would add one to a POST without a body
            data=body,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            ssl=self._context(request.url),
            timeout=self._aiohttp_timeout,
            middlewares=(_NoRetryMiddleware(timer, has_body=body is not None),),
        )
        try:
            if response.status // 100 == 2 and not timer.body_is_out:
                raise ResponseLost(
                    f"a success ({response.status}) arrived before the whole request was sent, so"
                    " it is the response to another request",
                    operation=request.operation,
                )
            whole = await _read(response, request, timer)
        except BaseException:
            response.close()
            raise
        if timer.body_done:
            response.release()
        else:  # the response arrived early, so the rest of the body is not needed
            response.close()
            timer.sent()
        return whole

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosed
        if self._given is not None:
            return self._given
        if fresh:  # a connection that the server has just closed would leave the request in doubt
            self._unpooled = self._unpooled or self._open(force_close=True)
            return self._unpooled
        self._pooled = self._pooled or self._open(force_close=False)
        return self._pooled

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        return open_session(_Connector(limit=self._connections, force_close=force_close))

    def _context(self, url: str) -> ssl.SSLContext | bool:
        if self._ssl is None:
            if not url.startswith("https:"):
                return True  # the default of aiohttp, never used
            self._ssl = tls_context()  # reads the authorities of the system, in about 30 ms
        return self._ssl

    async def aclose(self) -> None:
        """Close the connections, except those of a session that was passed in."""
        self._closed = True
        for session in (self._pooled, self._unpooled):
            if session is not None:
                await session.close()


class _Connector(aiohttp.TCPConnector):
    """A pool that never returns a connection with unread bytes.

    Unread bytes on an idle connection belong to an earlier request. aiohttp would take them for the
    response to the next one.
    """

    def __init__(self, *, limit: int, force_close: bool) -> None:
        super().__init__(limit=limit, force_close=force_close)
        self._reused = weakref.WeakSet[ResponseHandler]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return an idle connection without unread bytes, or a new one. Close the others."""
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = connection.protocol
            if protocol is None or _is_quiet(protocol):
                if protocol is not None:
                    self._reused.add(protocol)
                return connection
            connection.close()
            if protocol not in self._reused:
                raise _SpokeFirst


class _SpokeFirst(aiohttp.ClientConnectionError):
    """The peer wrote to a new connection before it got a request."""


def _is_quiet(protocol: ResponseHandler) -> bool:
    """Return whether an idle connection has no unread bytes, buffered or in its socket."""
    if protocol.should_close:
        return False
    transport = protocol.transport
    number = -1 if transport is None else transport.get_extra_info("socket").fileno()
    if number < 0:
        return False
    if not hasattr(select, "poll"):  # Windows
        return not select.select([number], [], [], 0)[0]
    poll = select.poll()
    poll.register(number, select.POLLIN)
    return not poll.poll(0)


class _NoRetryMiddleware:
    """Keep aiohttp from retrying, by wrapping errors inside its retry loop."""

    def __init__(self, timer: _PhaseTimer, *, has_body: bool) -> None:
        self._timer = timer
        self._has_body = has_body

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            if not self._has_body:
                self._timer.enter("wait", self._timer.timeouts.connect + self._timer.timeouts.read)
                self._timer.sent()
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            raise _Wrapped(error) from None


class _Wrapped(Exception):
    """An error of aiohttp, hidden from its retry loop."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _translate_error(error: Exception, request: Request, timer: _PhaseTimer) -> TransportError:
    """Return an error of this package, with advice, for one of aiohttp or the system."""
    if isinstance(error, _Wrapped):
        error = error.error
    operation = request.operation
    host, peer = _host_of(request.url), _peer_of(request.url)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return RequestTimeout(
                f"no connection to {peer} within {timer.timeouts.connect:g} s",
                operation=operation,
                sent=False,
            )
        case TimeoutError():
            return RequestTimeout(timer.timeout_message, operation=operation)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return CertificateError(
                f"no trusted TLS connection to {peer}: {_reason(error)}", operation=operation
            )
        case aiohttp.ClientConnectorDNSError():
            return ConnectError(
                f"the host {host} cannot be resolved; check the endpoint and the network",
                operation=operation,
            )
        case _SpokeFirst():
            return ConnectError(
                f"no connection to {peer}: it sent data before the request, so it is not an HTTP"
                " server; check the port",
                operation=operation,
            )
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            return ConnectError(
                f"no connection to {peer}: {_reason(error)}; check the endpoint and the network",
                operation=operation,
            )
        case _:
            when = (
                "while the response was read"
                if timer.phase == "read"
                else "before a response arrived"
            )
            return ResponseLost(
                f"the connection broke {when}: {_reason(error)}", operation=operation
            )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _peer_of(url: str) -> str:
    """Return the host of `url`, with its port unless that is the default."""
    host = _host_of(url)
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    return (
        host
        if port in (None, 443 if url.startswith("https:") else 80)
        else f"[{host}]:{port}"
        if ":" in host
        else f"{host}:{port}"
    )


def _reason(error: Exception) -> str:
    """Return the system's text for `error`, never the repr of an aiohttp error."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        if inner.reason in _NO_TLS:
            return "the peer does not speak TLS; check the port"
        return inner.reason or "the handshake failed"
    if isinstance(inner, ConnectionResetError):
        return os.strerror(errno.ECONNRESET)  # asyncio's has no errno
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno)  # the message of asyncio repeats the address
    return type(inner).__name__


_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""Reasons of OpenSSL for a response that is not TLS."""


def _reject_injection(request: Request, headers: Mapping[str, str]) -> None:
    """Raise ValueError if the head has a line break, which would add a header or a request."""
    content_type = "" if request.content is None else request.content.content_type
    texts = [request.method, content_type]
    texts += [text for pair in (*request.headers.items(), *headers.items()) for text in pair]
    if not (
        all(text.isascii() and text.isprintable() for text in texts)
        and request.method.isalpha()
        and _is_request_target(request.url)
    ):
        del headers, texts
        raise ValueError(
            f"{request.operation}: the URL or a header has a line break or another character that"
            " is not allowed there"
        )


def _is_request_target(url: str) -> bool:
    """Return whether `url` is printable ASCII without spaces."""
    # URLs may have 8,000 characters of ids, so this must be fast.
    return url.isascii() and not url.encode().translate(None, _URL_BYTES)


_URL_BYTES = bytes(range(0x21, 0x7F))


async def _read(response: aiohttp.ClientResponse, request: Request, timer: _PhaseTimer) -> Response:
    """Return the complete response, or raise if it is too large, too slow or a redirect."""
    if response.status // 100 == 3:
        target = _host_of(response.headers.get("Location", ""))
        raise DecodeError(
            f"{request.operation}: the service redirects ({response.status}) to"
            f" {target or 'another path of the same host'}; redirects are not followed, because"
            " they would send the key there; check the endpoint"
        )
    if timer.body_done:
        timer.enter("read", timer.timeouts.read)
    inflate = _inflater(response.headers.get("Content-Encoding", ""), request)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        if inflate is not None:
            chunk = inflate(chunk, request.response_bytes - size + 1)
        size += len(chunk)
        if size > request.response_bytes:
            raise DecodeError(
                f"{request.operation}: the response is larger than the maximum of"
                f" {request.response_bytes:,} bytes"
            )
        chunks.append(chunk)
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return Response(response.status, headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))


def _inflater(encoding: str, request: Request) -> Callable[[bytes, int], bytes] | None:
    """Return a decompressor for `encoding`, which a proxy may have added, or None.

    Its second argument is the maximum number of bytes to return.
    """
    if encoding.strip().lower() in {"", "identity"}:
        return None
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise DecodeError(
            f"{request.operation}: the response is encoded as {encoding[:40]!r}, which was not"
            " requested"
        )
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def inflate(chunk: bytes, max_length: int) -> bytes:
        try:
            return decoder.decompress(chunk, max_length)
        except zlib.error:
            raise DecodeError(f"{request.operation}: the response cannot be decompressed") from None

    return inflate
