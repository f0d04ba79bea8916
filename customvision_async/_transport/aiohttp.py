"""Send one attempt with aiohttp. This module and `blob_reader` are the only ones that import it.

Errors of aiohttp hold the headers of the request, so none leaves this module: errors are raised
without aiohttp in their context. Features of aiohttp that would be unsafe are off: redirects, which
would send the key to another host, cookies, proxies of the environment, unlimited decompression,
and silent retries of idempotent requests.
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

__all__ = ["AiohttpTransport", "tls_context"]


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context for verified TLS 1.2 or newer.

    It trusts the authorities of the system, or only those of `ca_file`.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _PhaseTimer:
    """The timeouts of one attempt, one for each phase."""

    def __init__(self, timeouts: Timeouts, on_sent: Callable[[], None] | None) -> None:
        self.timeouts = timeouts
        self.phase = "connect"
        self.body_done = False
        self.body_error: Exception | None = None
        self.unwritten = 0
        """Bytes of the body that the connection does not have yet."""
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
            self._look_at(self._due)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """Check the phases with one timer, which is only set again when it has fired."""
        self._timer = None
        if self._loop.time() < self._due:
            self._look_at(self._due)
        elif not self._scope.expired():
            self._scope.reschedule(self._loop.time())

    @property
    def body_is_out(self) -> bool:
        """Whether the system has the whole body. `body_done` may follow later."""
        return self.body_done or (
            self.unwritten <= 0
            and (self.transport is None or self.transport.get_write_buffer_size() == 0)
        )

    def writing(self) -> None:
        self.enter("write", self.timeouts.write)

    def sent(self) -> None:
        """The body is out, or there is none."""
        if not self.body_done:
            self.body_done = True
            if self._on_sent is not None:
                self._on_sent()

    @property
    def words(self) -> str:
        seconds = {"connect": self.timeouts.connect, "write": self.timeouts.write}.get(
            self.phase, self.timeouts.read
        )
        said = {
            "connect": "no connection within {0:g} s",
            "write": "the peer took nothing of the body for {0:g} s",
            "wait": "no response within {0:g} s",
            "read": "the response was not complete {0:g} s after it began",
        }
        return said[self.phase].format(seconds)


class _Body(Payload):
    """A :class:`Content` for aiohttp, streamed and of known length."""

    _autoclose = True

    def __init__(self, content: Content, watch: _PhaseTimer) -> None:
        super().__init__(content, content_type=content.content_type)
        watch.unwritten = content.length
        self._size = content.length
        self._content = content
        self._watch = watch

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body is not text."""
        raise TypeError("a body that is streamed is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Stream the body."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Stream the body. Its length is exact."""
        watch = self._watch

        watch.transport = transport = getattr(writer, "transport", None)

        async def write(piece: Buffer) -> bool:
            watch.writing()
            watch.unwritten -= len(piece)
            await writer.write(piece)
            return transport is not None and transport.get_write_buffer_size() == 0

        watch.writing()
        try:
            await stream(self._content, write)
        except (OSError, aiohttp.ClientError):
            raise  # of the connection
        except Exception as error:
            watch.body_error = error
            raise
        watch.enter("wait", watch.timeouts.read)
        watch.sent()


class AiohttpTransport:
    """Send with aiohttp over connections that are kept alive.

    It may be created anywhere. The first request opens it in its event loop. `connections` is the
    maximum at once. A `session` that is given stays open.
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
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._closed = False

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Send one attempt. See :class:`~.base.Transport`."""
        _refuse_injection(request, headers)
        watch = _PhaseTimer(self._timeouts, on_sent)
        failure: Exception
        try:
            async with watch:
                return await self._exchange(request, headers, watch)
        except (CustomVisionError, ContentError) as error:
            failure = error
        except (aiohttp.ClientError, OSError, _Wrapped) as error:
            failure = watch.body_error or _translate_error(error, request, watch)
        failure.__cause__ = failure.__context__ = None
        raise failure

    async def _exchange(
        self, request: Request, headers: Mapping[str, str], watch: _PhaseTimer
    ) -> Response:
        session = self._session(fresh=not request.repeatable)
        body = None
        lines = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **request.headers,
            **headers,
        }
        if request.content is not None:
            body = _Body(request.content, watch)
            lines["Content-Type"] = request.content.content_type
        response = await session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=lines,
            skip_auto_headers=("Content-Type",),  # aiohttp would add one to a POST without a body
            data=body,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            ssl=self._context(request.url),
            timeout=self._aiohttp_timeout,
            middlewares=(_NoRetryMiddleware(watch, has_body=body is not None),),
        )
        try:
            if response.status // 100 == 2 and not watch.body_is_out:
                raise ResponseLost(
                    f"a success ({response.status}) came before all of the request was sent, so it"
                    " is the response to another",
                    operation=request.operation,
                )
            whole = await _read(response, request, watch)
        except BaseException:
            response.close()
            raise
        if watch.body_done:
            response.release()
        else:  # a response before the end of the body, whose rest is not wanted
            response.close()
            watch.sent()
        return whole

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosed
        if self._given is not None:
            return self._given
        if fresh:  # a connection that the server has just closed would leave the request in doubt
            self._fresh = self._fresh or self._open(force_close=True)
            return self._fresh
        self._kept = self._kept or self._open(force_close=False)
        return self._kept

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = _Connector(limit=self._connections, force_close=force_close)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    def _context(self, url: str) -> ssl.SSLContext | bool:
        if self._ssl is None:
            if not url.startswith("https:"):
                return True  # the default of aiohttp, never used
            self._ssl = tls_context()  # reads the authorities of the system, in about 30 ms
        return self._ssl

    async def aclose(self) -> None:
        """Close the connections, unless the session was given."""
        self._closed = True
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()


class _Connector(aiohttp.TCPConnector):
    """A pool that never returns a connection with waiting bytes.

    Bytes on an idle connection are a response to an earlier request. aiohttp would take them for
    the response to the next one.
    """

    def __init__(self, *, limit: int, force_close: bool) -> None:
        super().__init__(limit=limit, force_close=force_close)
        self._reused = weakref.WeakSet[ResponseHandler]()

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """Return a quiet connection from the pool, or a new one. Close those that are not quiet."""
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
    """The peer wrote on a new connection before the request."""


def _is_quiet(protocol: ResponseHandler) -> bool:
    """Return whether no byte has arrived on an idle connection, read or in its socket."""
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
    """Translate errors inside the retry loop of aiohttp, which then has nothing to catch."""

    def __init__(self, watch: _PhaseTimer, *, has_body: bool) -> None:
        self._watch = watch
        self._has_body = has_body

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        try:
            if not self._has_body:
                self._watch.enter("wait", self._watch.timeouts.connect + self._watch.timeouts.read)
                self._watch.sent()
            return await handler(request)
        except (aiohttp.ClientError, OSError) as error:
            raise _Wrapped(error) from None


class _Wrapped(Exception):
    """An error of aiohttp on its way out."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _translate_error(error: Exception, request: Request, watch: _PhaseTimer) -> TransportError:
    """Return an error of this package for one of aiohttp or the system, with advice."""
    if isinstance(error, _Wrapped):
        error = error.error
    operation = request.operation
    host, peer = _host_of(request.url), _peer_of(request.url)
    match error:
        case aiohttp.ConnectionTimeoutError():
            return RequestTimeout(
                f"no connection to {peer} within {watch.timeouts.connect:g} s",
                operation=operation,
                sent=False,
            )
        case TimeoutError():
            return RequestTimeout(watch.words, operation=operation)
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return CertificateError(
                f"no trusted TLS connection to {peer}: {_reason(error)}", operation=operation
            )
        case aiohttp.ClientConnectorDNSError():
            return ConnectError(
                f"{host} is not a known host: is the endpoint right, and the network up?",
                operation=operation,
            )
        case _SpokeFirst():
            return ConnectError(
                f"no connection to {peer}: it wrote before it was asked, so it is no HTTP server:"
                " is the port right?",
                operation=operation,
            )
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            why = f"{_reason(error)} (is the endpoint right, and the network up?)"
            return ConnectError(f"no connection to {peer}: {why}", operation=operation)
        case _:
            when = (
                "while the response was read"
                if watch.phase == "read"
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
    """Return the words of the system for `error`, never the repr of aiohttp."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        if inner.reason in _NO_TLS:
            return "what answers there does not speak TLS: is the port right?"
        return inner.reason or "the handshake failed"
    if isinstance(inner, ConnectionResetError):
        return os.strerror(errno.ECONNRESET)  # that of asyncio has no errno
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno)  # the message of asyncio repeats the address
    return type(inner).__name__


_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""Reasons of OpenSSL for a response that is not TLS."""


def _refuse_injection(request: Request, headers: Mapping[str, str]) -> None:
    """Raise if the text has a line break, which would add a header or a request."""
    content_type = "" if request.content is None else request.content.content_type
    texts = [request.method, content_type]
    texts += [text for pair in (*request.headers.items(), *headers.items()) for text in pair]
    if not (
        all(text.isascii() and text.isprintable() for text in texts)
        and request.method.isalpha()
        and _fits_a_line(request.url)
    ):
        del headers, texts
        raise ValueError(
            f"{request.operation}: a line break or another character that no HTTP head can carry"
            " in its URL or a header"
        )


def _fits_a_line(url: str) -> bool:
    """Return whether `url` is printable ASCII without spaces.

    It may be long: 8,000 characters of ids.
    """
    return url.isascii() and not url.encode().translate(None, _OF_A_URL)


_OF_A_URL = bytes(range(0x21, 0x7F))


async def _read(response: aiohttp.ClientResponse, request: Request, watch: _PhaseTimer) -> Response:
    """Return the whole response, within its limits of size and time."""
    if response.status // 100 == 3:
        target = _host_of(response.headers.get("Location", ""))
        raise DecodeError(
            f"{request.operation}: the service redirects ({response.status}) to"
            f" {target or 'another place of the same host'}; redirects are "
            "not followed, since they would carry the key along: is the endpoint right?"
        )
    if watch.body_done:
        watch.enter("read", watch.timeouts.read)
    inflate = _inflater(response.headers.get("Content-Encoding", ""), request)
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        if inflate is not None:
            chunk = inflate(chunk, request.response_bytes - size + 1)
        size += len(chunk)
        if size > request.response_bytes:
            raise DecodeError(
                f"{request.operation}: the response is over {request.response_bytes:,} bytes, more"
                " than any real one"
            )
        chunks.append(chunk)
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return Response(response.status, headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))


def _inflater(encoding: str, request: Request) -> Callable[[bytes, int], bytes] | None:
    """Return a bounded decompressor for `encoding`, which a proxy may have added."""
    if encoding.strip().lower() in {"", "identity"}:
        return None
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise DecodeError(
            f"{request.operation}: the response is encoded as {encoding[:40]!r}, which was not"
            " asked"
            " for"
        )
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def inflate(chunk: bytes, most: int) -> bytes:
        try:
            return decoder.decompress(chunk, most)
        except zlib.error:
            raise DecodeError(
                f"{request.operation}: the response's compression cannot be read"
            ) from None

    return inflate
