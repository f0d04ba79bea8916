"""Plain connections for ``customvision doctor``: resolve, connect, TLS handshake and request.

Each step is a separate function, so that the doctor can name the one that fails. Responses are read
without interpretation. Blocking calls run in daemon threads, so a resolver or a peer that never
answers does not keep the process alive.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ... import _blocking

__all__ = ["Link", "Response", "connect", "in_thread", "resolve", "server_certificate"]

T = TypeVar("T")
_RESPONSE_BYTES = 1 << 24


async def in_thread(work: Callable[[], T], seconds: float | None) -> T:
    """Run `work` in a thread, and return its result.

    Args:
        work: The function to run.
        seconds: The timeout, or None for no limit. The thread is abandoned after it.

    Raises:
        TimeoutError: `work` took longer than `seconds`.
    """
    async with asyncio.timeout(seconds):
        return await _blocking.in_thread(work)


async def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of `host`.

    Raises:
        OSError: The name cannot be resolved.
    """

    def work() -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    return await in_thread(work, seconds)


async def connect(host: str, port: int, seconds: float) -> str:
    """Open and close a TCP connection, and return the address of the peer.

    Raises:
        OSError: The connection failed.
    """

    def work() -> str:
        with socket.create_connection((host, port), seconds) as opened:
            return str(opened.getpeername()[0])

    return await in_thread(work, seconds + 1)


async def server_certificate(host: str, port: int, seconds: float) -> bytes:
    """Return the certificate of a server in DER form, even if it is not trusted.

    No request is sent over the connection.
    """

    def work() -> bytes:
        pem = ssl.get_server_certificate((host, port), timeout=seconds)
        return ssl.PEM_cert_to_DER_cert(pem)

    return await in_thread(work, seconds + 1)


@dataclass(frozen=True)
class Response:
    """A response, with header names in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The JSON of the body, or None if it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The error code, or an empty string. In responses of the gateway it is the status."""
        return _of_error(self.json, "code")

    @property
    def message(self) -> str:
        """The error message of the service or the gateway, or an empty string."""
        return _of_error(self.json, "message")

    @property
    def of_service(self) -> bool:
        """Whether the response came from the service or its gateway, not from another web site."""
        return "apim-request-id" in self.headers or bool(self.code)

    @property
    def retry_after(self) -> float:
        """Seconds to wait after a 429: at least half a second, at most five."""
        try:
            return min(5.0, max(0.5, float(self.headers.get("retry-after", "1"))))
        except ValueError:
            return 1.0


def _of_error(value: Any, name: str) -> str:
    if isinstance(value, dict):
        inner = value.get("error", value)
        found = inner.get(name) if isinstance(inner, dict) else None
        return found if isinstance(found, str) else ""
    return ""


@dataclass
class Link:
    """Send requests to one endpoint over a persistent connection.

    Redirects are not followed, and proxies are not used.

    Attributes:
        endpoint: The base URL.
        seconds: The timeout of a request in seconds.
    """

    endpoint: str
    seconds: float
    _kept: http.client.HTTPConnection | None = field(default=None, init=False, repr=False)
    _opened: list[http.client.HTTPConnection] = field(
        default_factory=list[http.client.HTTPConnection], init=False, repr=False
    )

    async def request(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Response:
        """Send one request, and return its response.

        A GET request is sent again if the persistent connection was closed.

        Raises:
            OSError: The connection failed.
            TimeoutError: There was no response in time.
            http.client.HTTPException: The response is not valid HTTP.
        """
        # Do not reuse the connection after a cancellation, which may leave half a response.
        kept, self._kept = self._kept, None

        def send(link: http.client.HTTPConnection) -> Response:
            link.request(method, urlsplit(self.endpoint).path + path, body, dict(headers or {}))
            got = link.getresponse()
            lines = {name.lower(): value for name, value in got.getheaders()}
            content = got.read(_RESPONSE_BYTES)
            return Response(got.status, got.reason, lines, content)

        def work() -> tuple[http.client.HTTPConnection, Response]:
            if kept is not None and method == "GET":
                try:
                    return kept, send(kept)
                except ConnectionError:
                    pass
            if kept is not None:
                kept.close()
            fresh = self._open()
            return fresh, send(fresh)

        self._kept, response = await in_thread(work, self.seconds)
        return response

    async def certificate(self) -> tuple[Mapping[str, Any], str]:
        """Connect, and return the verified certificate and the TLS version.

        Raises:
            ssl.SSLError: The certificate is not trusted, or the peer does not use TLS.
        """

        def work() -> tuple[http.client.HTTPConnection, Mapping[str, Any], str]:
            link = self._open()
            link.connect()
            sock = link.sock
            assert isinstance(sock, ssl.SSLSocket)
            return link, sock.getpeercert() or {}, sock.version() or ""

        self._kept, certificate, version = await in_thread(work, self.seconds)
        return certificate, version

    def close(self) -> None:
        """Close all connections, including those of abandoned requests."""
        for link in self._opened:
            link.close()

    def _open(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.endpoint)
        host = parts.hostname or ""
        if parts.scheme == "http":
            link = http.client.HTTPConnection(host, parts.port, timeout=self.seconds)
        else:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            link = http.client.HTTPSConnection(
                host, parts.port, timeout=self.seconds, context=context
            )
        self._opened.append(link)
        return link
