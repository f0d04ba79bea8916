"""Read files from URLs in responses. The credential is never sent there.

A URL in a response is not trusted. Its scheme must be https, its host must be on a list, and the
host must resolve to public addresses. Addresses are checked as the connection is made, so a name
that changes its address between two lookups is rejected too. Redirects are not followed.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from .._options import Timeouts
from ..errors import ConnectError, DecodeError, RequestTimeout, ResponseLost
from .base import ClientClosed
from .session import open_session

__all__ = ["BlobHosts", "BlobPart", "BlobReader"]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class BlobHosts:
    """The hosts that files may be read from.

    Args:
        added: Hosts that the user added. Each is a host ("files.example.com", which may be in a
            private network, as behind a private endpoint), a suffix of host names
            (".example.com"), or an origin with scheme and port ("https://127.0.0.1:8443"). Plain
            http is for literal loopback addresses only.
        suffixes: Suffixes of the host names of the cloud's own stores (".blobs.example.com").
        endpoint: Endpoint of the client. If it is a literal loopback address, files of the same
            origin may be read.

    Raises:
        TypeError: `added` is a single string.
        ValueError: An origin is invalid.
    """

    def __init__(
        self, added: Iterable[str] = (), *, suffixes: Iterable[str] = (), endpoint: str = ""
    ) -> None:
        if isinstance(added, str):
            raise TypeError(f"blob_hosts is one string; write blob_hosts=[{added!r}]")
        self._origins: set[tuple[str, str, int | None]] = set()
        self.exact: set[str] = set()
        """Host names in lower case that may have private addresses."""
        self._suffixes: list[str] = list(suffixes)
        host = urlsplit(endpoint).hostname or ""
        if _is_address(host) and ipaddress.ip_address(host).is_loopback:
            self._origins.add(_origin(endpoint))
        for text in added:
            if "://" in text:
                self._origins.add(_origin(text))
            elif text.startswith("."):
                self._suffixes.append(text.lower())
            else:
                self.exact.add(text.lower().rstrip("."))

    def check(self, url: str, operation: str) -> None:
        """Raise ConnectError unless `url` may be read. Does no I/O."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ConnectError("the URL of the file is invalid", operation=operation) from None
        host = (parts.hostname or "").lower()
        if not host or parts.username is not None or parts.password is not None:
            raise ConnectError(
                "the URL of the file has no host, or has a user name", operation=operation
            )
        if (parts.scheme, host, port) in self._origins or (
            parts.scheme,
            host,
            port or _PORTS.get(parts.scheme),
        ) in self._origins:
            return
        if parts.scheme != "https":
            raise ConnectError(
                f"the file is at {parts.scheme or 'no scheme'}://{host}; only https is allowed",
                operation=operation,
            )
        if port not in (None, 443) or not (
            host in self.exact or any(host.endswith(suffix) for suffix in self._suffixes)
        ):
            where = host if port in (None, 443) else f"{host}:{port}"
            raise ConnectError(
                f"{where} is not an allowed host for files; to allow it, pass blob_hosts=[...] to"
                " the client",
                operation=operation,
            )
        if _is_address(host):
            raise ConnectError(
                f"{host} is an IP address, not the host name of a blob store", operation=operation
            )


_PORTS = {"http": 80, "https": 443}


def _origin(text: str) -> tuple[str, str, int | None]:
    parts = urlsplit(text)
    host = (parts.hostname or "").lower()
    if (
        parts.scheme not in _PORTS
        or not host
        or parts.username is not None
        or parts.path not in ("", "/")
        or parts.query
    ):
        raise ValueError(f"{text!r} is not an origin such as https://files.example.com:8443")
    if parts.scheme == "http" and not (
        _is_address(host) and ipaddress.ip_address(host).is_loopback
    ):
        raise ValueError(f"{text!r}: http is only for a literal loopback address")
    return parts.scheme, host, parts.port or _PORTS[parts.scheme]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_allowed_address(text: str, *, private: bool) -> bool:
    """Return whether a host may have this address.

    Public addresses are allowed. Addresses of private networks are allowed if `private` is true.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    if (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        return False
    return address.is_global or (private and address.is_private)


class _SafeResolver(AbstractResolver):
    """Resolve host names, and reject addresses that are not allowed."""

    def __init__(self, hosts: BlobHosts, inner: AbstractResolver | None = None) -> None:
        self._hosts = hosts
        self._inner = inner or aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        private = host.lower().rstrip(".") in self._hosts.exact
        for result in found:
            if not is_allowed_address(result["host"], private=private):
                raise PrivateAddressError(host)
        return found

    async def close(self) -> None:
        await self._inner.close()


class PrivateAddressError(OSError):
    """A host name resolves to an address that is not public."""

    def __init__(self, host: str) -> None:
        super().__init__(
            f"{host} resolves to an address that is not public; if that is intended, add the host"
            " to blob_hosts=[...]"
        )


@dataclass(frozen=True, slots=True)
class BlobPart:
    """A response whose body arrives in `pieces`. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    pieces: AsyncIterator[bytes]


class BlobReader:
    """Read files piece by piece, without a credential.

    It may be created anywhere. The first read connects, in the running event loop.

    Args:
        hosts: Hosts that may be read from. Defaults to none.
        timeouts: Timeouts of the phases of a request.
        ssl_context: TLS context. Defaults to that of aiohttp.
        connections: Maximum number of connections.
        resolver: Resolver of host names, for tests.
    """

    def __init__(
        self,
        hosts: BlobHosts | None = None,
        timeouts: Timeouts | None = None,
        ssl_context: ssl.SSLContext | None = None,
        connections: int = 16,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self.hosts: BlobHosts = hosts or BlobHosts()
        self._timeouts = timeouts or Timeouts()
        self._ssl = ssl_context
        self._connections = connections
        self._resolver = resolver
        self._pooled: aiohttp.ClientSession | None = None
        self._closed = False

    @asynccontextmanager
    async def open(
        self, url: str, *, start: int = 0, validator: str = "", operation: str = "Download"
    ) -> AsyncIterator[BlobPart]:
        """Request the file at `url`, and yield the response.

        Args:
            url: URL of the file.
            start: First byte to request.
            validator: ETag of the bytes that arrived before. If the file has another by now, the
                response is the whole file.
            operation: Name for error messages.

        Raises, here and from `pieces`:
            ConnectError: The URL is not allowed, or no connection could be made.
            RequestTimeout: Nothing arrived for `Timeouts.read` seconds.
            ResponseLost: The connection broke.
            DecodeError: The response is a redirect, or has an encoding that was not requested.
        """
        self.hosts.check(url, operation)
        host = urlsplit(url).hostname or ""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if validator:
                headers["If-Range"] = validator
        failure: Exception | None = None
        response: aiohttp.ClientResponse | None = None
        try:
            timeout = aiohttp.ClientTimeout(
                total=None,
                connect=self._timeouts.connect,
                sock_connect=self._timeouts.connect,
                sock_read=self._timeouts.read,
            )
            response = await self._session().get(
                URL(url, encoded=True),
                headers=headers,
                allow_redirects=False,
                auto_decompress=False,
                timeout=timeout,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _translate_error(error, host, operation)
        if failure is not None or response is None:
            assert failure is not None
            raise failure
        try:
            _raise_if_unusable(response, operation)
            yield BlobPart(
                response.status,
                {name.lower(): value for name, value in response.headers.items()},
                _pieces(response, host, operation),
            )
        finally:
            if response.content.at_eof():
                response.release()
            else:
                response.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosed
        if self._pooled is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections,
                ssl=self._ssl or True,
                resolver=_SafeResolver(self.hosts, self._resolver),
            )
            self._pooled = open_session(connector)
        return self._pooled

    async def aclose(self) -> None:
        """Close the connections."""
        self._closed = True
        if self._pooled is not None:
            await self._pooled.close()


def _raise_if_unusable(response: aiohttp.ClientResponse, operation: str) -> None:
    if response.status // 100 == 3:
        target = (
            urlsplit(response.headers.get("Location", "")).hostname
            or "another path of the same host"
        )
        raise DecodeError(
            f"{operation}: the host of the file redirects ({response.status}) to {target};"
            " redirects are not followed"
        )
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise DecodeError(
            f"{operation}: the file is encoded as {encoding[:40]!r}, which was not requested"
        )


async def _pieces(
    response: aiohttp.ClientResponse, host: str, operation: str
) -> AsyncIterator[bytes]:
    while True:
        failure: Exception | None = None
        piece = b""
        try:
            piece = await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            failure = _translate_error(error, host, operation, reading=True)
        if failure is not None:
            raise failure
        if not piece:
            return
        yield piece


def _translate_error(
    error: Exception, host: str, operation: str, *, reading: bool = False
) -> ConnectError | RequestTimeout | ResponseLost:
    """Return an error of this package for one of aiohttp or the system.

    The repr of `error` is never used: it has the URL with its signature.
    """
    match error:
        case aiohttp.ConnectionTimeoutError():
            return RequestTimeout(
                f"connecting to {host} took too long", operation=operation, sent=False
            )
        case TimeoutError():
            return RequestTimeout(f"{host} sent nothing for too long", operation=operation)
        case aiohttp.ClientConnectorError() | aiohttp.InvalidURL() | ValueError() if not reading:
            inner = (
                getattr(error, "certificate_error", None)
                or getattr(error, "os_error", None)
                or error
            )
            why = (
                str(inner)
                if isinstance(inner, PrivateAddressError)
                else getattr(inner, "strerror", None) or type(inner).__name__
            )
            return ConnectError(f"no connection to {host}: {why}", operation=operation)
        case _:
            return ResponseLost(
                f"the connection to {host} broke: {type(error).__name__}", operation=operation
            )
