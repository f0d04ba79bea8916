"""The bounds of connections: how many, how long without a request, and under which host names."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["IDLE_SECONDS", "BoundedServer", "http_log", "misdirected", "origin_form"]

IDLE_SECONDS = 120.0
"""How long a connection may take to send the head of its first or next request."""
_MAX_CONNECTIONS = 512


class BoundedServer:
    """Makes the protocol of each new connection; where there are too many, an idle one goes.

    A connection is idle that has no whole head of a request: between requests, or in a head that
    does not end. So a peer that only opens connections keeps nobody else out.
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
    """Return how many files and sockets the process may open."""
    try:
        import resource
    except ImportError:  # pragma: no cover - Windows has no such limit
        return 2 * _MAX_CONNECTIONS
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def origin_form(raw_path: str) -> tuple[str, str]:
    """Return the authority of a request target and the rest of it: RFC 9112 wants both forms taken."""
    if raw_path[:7].lower() != "http://" and raw_path[:8].lower() != "https://":
        return "", raw_path
    authority, slash, rest = raw_path.partition("://")[2].partition("/")
    return authority, slash + rest


def misdirected(authority: str, listening: str) -> bool:
    """Return whether a name is one that a page elsewhere may have made to point here (DNS
    rebinding).

    Only names with a dot can be: no page owns an address, a name under localhost or a bare name.
    A name that the emulator was told to listen on is its own, and one that does not listen on
    loopback may have names that it does not know.
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
    """Whether a record is about the emulator, and not about a request that is no HTTP.

    Such a request has been answered with 400; its record would hold its bytes, keys among them.
    """
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


http_log = logging.getLogger(f"{__name__}.http")
"""Where aiohttp's server logs."""
http_log.addFilter(_is_ours)
