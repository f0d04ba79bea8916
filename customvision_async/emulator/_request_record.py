"""The log entry of a request to the emulator."""

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
    """One request, without its credentials, and its outcome.

    Attributes:
        operation: The operationId. "Blob" for images and exports, empty for unknown paths.
        method: The HTTP method.
        path: The path as sent.
        query: The query as sent.
        headers: The headers without the credentials.
        at: The time of arrival in seconds of the monotonic clock.
        body_bytes: The number of bytes received of the body.
        status: The status of the response. 0 until one is sent.
        fault: The kind of the fault that affected the request, or empty.
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
        """Return the record of a request that has just arrived."""
        headers = {
            name: value for name, value in request.headers.items() if name.lower() not in _SECRET
        }
        return cls(operation, request.method, path, query, headers, time.monotonic())
