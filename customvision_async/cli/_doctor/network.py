"""Plain connections for ``customvision doctor``: resolve, connect, shake hands, request, one step
at a time.

A client takes all of these steps at once. The doctor takes each by itself, so that it can name the
one that fails, and it reads responses as they are on the wire. Blocking calls run in daemon
threads: a resolver or a peer that never answers is left behind when the time is over, and does not
keep the process.
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
    """Return what `work` returns, run in a thread that is left behind after `seconds`, if given.

    Raises:
        TimeoutError: It took longer than `seconds`.
    """
    async with asyncio.timeout(seconds):
        return await _blocking.in_thread(work)


async def resolve(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of `host`. Raise OSError where it has none."""

    def work() -> list[str]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    return await in_thread(work, seconds)


async def connect(host: str, port: int, seconds: float) -> str:
    """Open and close a TCP connection, and return the address it went to.

    Raise OSError where it fails.
    """

    def work() -> str:
        with socket.create_connection((host, port), seconds) as opened:
            return str(opened.getpeername()[0])

    return await in_thread(work, seconds + 1)


async def server_certificate(host: str, port: int, seconds: float) -> bytes:
    """Return the certificate of a server, trusted or not, as DER.

    Nothing is sent over that connection.
    """

    def work() -> bytes:
        pem = ssl.get_server_certificate((host, port), timeout=seconds)
        return ssl.PEM_cert_to_DER_cert(pem)

    return await in_thread(work, seconds + 1)


@dataclass(frozen=True)
class Response:
    """One response as it came: header names in lower case, the body whole."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON, None where it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The service's code of an error, or an empty string.

        The gateway writes the status there.
        """
        return _of_error(self.json, "code")

    @property
    def message(self) -> str:
        """The service's or the gateway's words, or an empty string."""
        return _of_error(self.json, "message")

    @property
    def of_service(self) -> bool:
        """Whether the service or its gateway wrote this, and not another web site."""
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
    """Requests to one endpoint over a connection that is kept.

    Redirects and proxies are not followed.
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
        """Send one request and return its response.

        Only a GET is sent again, where the kept connection had ended.

        Raises:
            OSError: There is no connection, or it ended.
            TimeoutError: There was no response in time.
            http.client.HTTPException: What came is not HTTP.
        """
        kept, self._kept = self._kept, None  # whoever is cancelled leaves no half response behind

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
        """Connect and return the verified certificate, and the version of TLS.

        Raises:
            ssl.SSLError: The certificate is not to be trusted, or there is no TLS.
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
        """Close every connection, those of requests that were left behind too."""
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
