"""One attempt over aiohttp: the one file of the client that knows it.

aiohttp's errors hold the request's headers, so none leaves here: ours are raised where no other is being handled, with
nothing of aiohttp in their context. What aiohttp would do by itself is switched off: redirects (it would carry the
key to another host), cookies, proxies of the environment, decompression without bound, and sending an idempotent
request again without telling.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
import zlib
from collections.abc import Callable, Mapping
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
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
    """Verified TLS 1.2 or newer, trusting the system's authorities, or those of `ca_file` alone."""
    context = ssl.create_default_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class _PhaseTimer:
    """The clock of one attempt: which phase it is in and when that phase is over time."""

    def __init__(self, timeouts: Timeouts, on_sent: Callable[[], None] | None) -> None:
        self.timeouts = timeouts
        self.phase = "connect"
        self.body_done = False
        self.body_error: Exception | None = None
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
        """A phase begins, and is over time in `seconds`."""
        self.phase = phase
        self._due = self._loop.time() + seconds
        if self._timer is None or self._due < self._timer.when():
            self._look_at(self._due)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        """One timer for all phases, set anew only when it has run out: a phase begins with every piece of a body."""
        self._timer = None
        if self._loop.time() < self._due:
            self._look_at(self._due)
        elif not self._scope.expired():
            self._scope.reschedule(self._loop.time())

    def writing(self) -> None:
        self.enter("write", self.timeouts.write)

    def sent(self) -> None:
        """The body is out (or the request has none)."""
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
            "wait": "no answer within {0:g} s",
            "read": "the answer was not whole {0:g} s after it began",
        }
        return said[self.phase].format(seconds)


class _Body(Payload):
    """A :class:`Content` as aiohttp takes it: of known length, and streamed."""

    _autoclose = True

    def __init__(self, content: Content, watch: _PhaseTimer) -> None:
        super().__init__(content, content_type=content.content_type)
        self._size = content.length
        self._content = content
        self._watch = watch

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Not text."""
        raise TypeError("a body that is streamed is not text")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Stream all of it."""
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Stream all of it; the length is exact, so there is nothing to cut."""
        watch = self._watch

        transport: asyncio.WriteTransport | None = getattr(writer, "transport", None)

        async def write(piece: Buffer) -> bool:
            watch.writing()
            await writer.write(piece)
            return transport is not None and transport.get_write_buffer_size() == 0

        watch.writing()
        try:
            await stream(self._content, write)
        except (OSError, aiohttp.ClientError):
            raise  # the link's
        except Exception as error:
            watch.body_error = error
            raise
        watch.enter("wait", watch.timeouts.read)
        watch.sent()


class AiohttpTransport:
    """Sends over aiohttp, with connections kept alive. Made anywhere, opened by the first request, in its event loop.

    `connections` is the most at once. A `session` given is used as it is, and left open: it belongs to its owner.
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
        """One attempt; see :class:`~.base.Transport`."""
        _refuse_injection(request, headers)
        watch = _PhaseTimer(self._timeouts, on_sent)
        failure: Exception
        try:
            async with watch:
                return await self._exchange(request, headers, watch)
        except (CustomVisionError, ContentError) as error:
            failure = error
        except (aiohttp.ClientError, OSError, _Wrapped) as error:
            failure = watch.body_error or _ours(error, request, watch)
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
        answer = await session.request(
            request.method,
            URL(request.url, encoded=True),
            headers=lines,
            skip_auto_headers=(
                "Content-Type",
            ),  # for a POST without a body aiohttp would make one up
            data=body,
            allow_redirects=False,
            auto_decompress=False,
            raise_for_status=False,
            ssl=self._context(request.url),
            timeout=self._aiohttp_timeout,
            middlewares=(_NoRetryMiddleware(watch, has_body=body is not None),),
        )
        try:
            whole = await _read(answer, request, watch)
        except BaseException:
            answer.close()
            raise
        if watch.body_done:
            answer.release()
        else:  # an answer before the end of the body: what is left of it is not wanted
            answer.close()
            watch.sent()
        return whole

    def _session(self, *, fresh: bool) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosed
        if self._given is not None:
            return self._given
        if fresh:  # a connection that the server has just let go would leave in doubt what must not be repeated
            self._fresh = self._fresh or self._open(force_close=True)
            return self._fresh
        self._kept = self._kept or self._open(force_close=False)
        return self._kept

    def _open(self, *, force_close: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=self._connections, force_close=force_close)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )

    def _context(self, url: str) -> ssl.SSLContext | bool:
        if self._ssl is None:
            if not url.startswith("https:"):
                return True  # aiohttp's default, never come to use
            self._ssl = tls_context()  # reads the system's authorities: some 30 ms
        return self._ssl

    async def aclose(self) -> None:
        """Close the connections that were opened here."""
        self._closed = True
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()


class _NoRetryMiddleware:
    """A middleware that translates errors inside aiohttp's own loop of retries, which then has nothing to catch."""

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


def _ours(error: Exception, request: Request, watch: _PhaseTimer) -> TransportError:
    """`error` of aiohttp or the system in our words: was anything sent, and what to do."""
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
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL():
            why = f"{_reason(error)} (is the endpoint right, and the network up?)"
            return ConnectError(f"no connection to {peer}: {why}", operation=operation)
        case _:
            when = "while the answer was read" if watch.phase == "read" else "before an answer came"
            return ResponseLost(
                f"the connection broke {when}: {_reason(error)}", operation=operation
            )


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _peer_of(url: str) -> str:
    """The host of `url`, with its port where that is not the default one."""
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
    """The system's words for `error`, never aiohttp's repr."""
    inner = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLCertVerificationError):
        return inner.verify_message
    if isinstance(inner, ssl.SSLError):
        if inner.reason in _NO_TLS:
            return "what answers there does not speak TLS: is the port right?"
        return inner.reason or "the handshake failed"
    if isinstance(inner, ConnectionResetError):
        return os.strerror(errno.ECONNRESET)  # asyncio's own has no number
    if isinstance(inner, OSError) and inner.errno is not None and inner.errno > 0:
        return os.strerror(inner.errno)  # asyncio's own words repeat the address
    return type(inner).__name__


_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"})
"""OpenSSL's words for an answer that is none of TLS."""


def _refuse_injection(request: Request, headers: Mapping[str, str]) -> None:
    """A line break in what becomes a line of the head would write another header, or another request."""
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
            f"{request.operation}: a line break or another character that no HTTP head can carry in its URL or a header"
        )


def _fits_a_line(url: str) -> bool:
    """Whether `url` is printable ASCII without a space. It may be long: 8,000 characters of ids."""
    return url.isascii() and not url.encode().translate(None, _OF_A_URL)


_OF_A_URL = bytes(range(0x21, 0x7F))


async def _read(answer: aiohttp.ClientResponse, request: Request, watch: _PhaseTimer) -> Response:
    """The whole answer, of bounded size and in bounded time."""
    if answer.status // 100 == 3:
        target = _host_of(answer.headers.get("Location", ""))
        raise DecodeError(
            f"{request.operation}: the service redirects ({answer.status}) to {target or 'another place of the same host'}; redirects are "
            "not followed, since they would carry the key along: is the endpoint right?"
        )
    if watch.body_done:
        watch.enter("read", watch.timeouts.read)
    inflate = _inflater(answer.headers.get("Content-Encoding", ""), request)
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        if inflate is not None:
            chunk = inflate(chunk, request.response_bytes - size + 1)
        size += len(chunk)
        if size > request.response_bytes:
            raise DecodeError(
                f"{request.operation}: the answer is over {request.response_bytes:,} bytes, more than any real one"
            )
        chunks.append(chunk)
    headers: dict[str, str] = {}
    for name, value in answer.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    return Response(answer.status, headers, chunks[0] if len(chunks) == 1 else b"".join(chunks))


def _inflater(encoding: str, request: Request) -> Callable[[bytes, int], bytes] | None:
    """What undoes `encoding`, which was not asked for but may come from a proxy; bounded, so that no bomb goes off."""
    if encoding.strip().lower() in {"", "identity"}:
        return None
    if encoding.strip().lower() not in {"gzip", "x-gzip", "deflate"}:
        raise DecodeError(
            f"{request.operation}: the answer is encoded as {encoding[:40]!r}, which was not asked for"
        )
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def inflate(chunk: bytes, most: int) -> bytes:
        try:
            return decoder.decompress(chunk, most)
        except zlib.error:
            raise DecodeError(
                f"{request.operation}: the answer's compression cannot be read"
            ) from None

    return inflate
