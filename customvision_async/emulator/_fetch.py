"""Fetch images by URL as the service does: loopback, data: URLs, and others if allowed."""

from __future__ import annotations

import ipaddress
from base64 import b64decode
from urllib.parse import unquote_to_bytes, urlsplit

import aiohttp

from ._image_files import InvalidImage

__all__ = ["Fetcher"]


class Fetcher:
    """A client that fetches images. It raises InvalidImage("ErrorSource") if a URL yields none."""

    def __init__(self, allow_internet: bool) -> None:
        self._allow_internet = allow_internet
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, max_bytes: int) -> bytes:
        """Return the content of `url`, at most one byte more than `max_bytes`.

        The extra byte shows that the image is too large.
        """
        try:
            if url[:5].lower() == "data:":
                return _data(url)
            if not self._allowed(url):
                raise InvalidImage("ErrorSource")
            return await self._get(url, max_bytes + 1)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            raise InvalidImage("ErrorSource") from None

    def _allowed(self, url: str) -> bool:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return False
        if self._allow_internet or parts.hostname == "localhost":
            return True
        try:
            return ipaddress.ip_address(parts.hostname).is_loopback
        except ValueError:
            return False

    async def _get(self, url: str, max_bytes: int) -> bytes:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=20), auto_decompress=False
            )
        async with self._session.get(url, allow_redirects=self._allow_internet) as response:
            if response.status != 200:
                raise InvalidImage("ErrorSource")
            data = bytearray()
            async for piece in response.content.iter_any():
                data += piece
                if len(data) >= max_bytes:
                    break
            return bytes(data)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _data(url: str) -> bytes:
    head, comma, body = url[5:].partition(",")
    if not comma:
        raise ValueError("a data: URL needs a comma")
    raw = unquote_to_bytes(body)
    return b64decode(raw, validate=True) if head.lower().endswith(";base64") else raw
