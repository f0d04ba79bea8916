"""Limit connections: their number, their idle time and the host names they may use."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["IDLE_SECONDS", "BoundedServer", "http_log", "misdirected", "origin_form"]

IDLE_SECONDS = 120.0
"""Seconds a connection may take to send the head of its first or next request."""
_MAX_CONNECTIONS = 512


class BoundedServer:
    """Create the protocol of each new connection, and close an idle one if there are too many.

    A connection is idle while it has no complete head of a request. So a peer that only opens
    connections does not keep others out.
    """

    def __init__(
        self, server: web.Server, serving: Callable[[], Collection[web.RequestHandler]]
    ) -> None:
        self._server = server
        self._serving = serving
        self._max_connections = min(_MAX_CONNECTIONS, _descriptors() // 2)

    def __call__(self) -> web.RequestHandler:
        """Return the protocol of a new connection."""
        connections = self._server.connections
        if len(connections) >= self._max_connections:
            serving = self._serving()
            oldest = next((each for each in connections if each not in serving), None)
            if oldest is not None:
                oldest.force_close()
        return self._server()


def _descriptors() -> int:
    """Return the maximum number of files and sockets that the process may open."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        return 2 * _MAX_CONNECTIONS
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def origin_form(raw_path: str) -> tuple[str, str]:
    """Return the authority of a request target and the rest of it.

    RFC 9112 requires a server to accept both the absolute form and the origin form.
    """
    if raw_path[:7].lower() != "http://" and raw_path[:8].lower() != "https://":
        return "", raw_path
    authority, slash, rest = raw_path.partition("://")[2].partition("/")
    return authority, slash + rest


def misdirected(authority: str, listening: str) -> bool:
    """Return whether a host name may be one that a web page points here (DNS rebinding).

    Only names with a dot are suspicious: no web page owns an IP address, a bare name or a name
    under localhost. The name that the emulator listens on is its own. An emulator that does not
    listen on loopback may have names that it does not know, so it accepts all.
    """
    if not _is_loopback(listening):
        return False
    try:
        name = (urlsplit(f"//{authority}").hostname or "").rstrip(".")
    except ValueError:
        return True
    return "." in name and not _is_address(name) and not name.endswith(".localhost")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_ours(record: logging.LogRecord) -> bool:
    """Return whether a log record is about the emulator rather than an invalid HTTP request.

    An invalid request is answered with 400. Its record would contain its bytes, which may hold a
    key.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


http_log = logging.getLogger(f"{__name__}.http")
"""The logger of aiohttp's server."""
http_log.addFilter(_is_ours)
