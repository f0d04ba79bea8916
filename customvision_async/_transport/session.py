"""Open the HTTP sessions of the client, for requests and for downloads."""

from __future__ import annotations

import aiohttp

__all__ = ["open_session"]


def open_session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """Return a session that keeps no cookies and connects directly.

    Proxy variables and a ``.netrc`` file of the environment are not used: aiohttp would also take
    credentials from them.
    """
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
    )
