"""The log of what an emulator was asked."""

from __future__ import annotations

import time
from dataclasses import dataclass

from aiohttp import web

__all__ = ["RequestRecord"]

_SECRET = frozenset(
    ("training-key", "prediction-key", "authorization", "ocp-apim-subscription-key")
)


@dataclass(slots=True)
class RequestRecord:
    """One request: what was asked (the credentials left out), and how it ended.

    `operation` is "Blob" for images and exports, and empty for unknown paths; `path` and `query`
    are as sent; `status` is 0 until (and unless) an answer was sent; `fault` names the kind of the
    fault that struck; `at` is monotonic, in seconds.
    """

    operation: str
    method: str
    path: str
    query: str
    headers: dict[str, str]
    at: float
    body_bytes: int = 0
    status: int = 0
    fault: str = ""

    @classmethod
    def of(cls, request: web.Request, operation: str, path: str, query: str) -> RequestRecord:
        """The entry of a request that has just begun."""
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _SECRET
        }
        return cls(operation, request.method, path, query, headers, time.monotonic())
