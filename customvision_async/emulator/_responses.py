"""Send answers as HTTP responses: the body, and the headers as recorded and for browsers."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import hdrs, web

from .._wire.codec import pascal_keys
from ._api_request import Answer
from ._image_files import Buffer
from ._routes import Match, is_api

__all__ = [
    "ALLOWED",
    "as_recorded",
    "encode",
    "headers_of",
    "is_preflight",
    "send",
    "to_browsers",
]


def encode(answer: Answer, match: Match | None) -> Buffer:
    if answer.raw is not None:
        return answer.raw
    if answer.value is None and answer.status in (202, 204):
        return b""
    value: Any = answer.value
    if match is not None and str(match.version).startswith("v1"):
        value = pascal_keys(value)
    return msgspec.json.encode(value)


def headers_of(answer: Answer, request_id: str, match: Match | None) -> dict[str, str]:
    """The headers of every answer, as recorded (v3.0 and before have no Request-Id)."""
    headers = {"apim-request-id": request_id}
    newer = match is not None and not str(match.version).startswith(("v1", "v2", "v3.0"))
    if newer:
        headers = {"Request-Id": request_id} | headers
    headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains; preload"
    headers["X-Content-Type-Options" if newer else "x-content-type-options"] = "nosniff"
    headers[hdrs.CONTENT_TYPE] = answer.content_type
    return headers | answer.headers


async def send(
    request: web.Request,
    answer: Answer,
    body: Buffer,
    request_id: str,
    match: Match | None,
    *,
    reason: str | None = None,
) -> web.StreamResponse:
    """Send an answer as it is."""
    response = web.Response(
        status=answer.status,
        reason=reason,
        body=bytes(body),
        headers=headers_of(answer, request_id, match),
    )
    await response.prepare(request)
    return response


async def as_recorded(request: web.Request, response: web.StreamResponse) -> None:
    """The real service names no server, and gives 204 a length and no type."""
    response.headers.popall(hdrs.SERVER, None)
    if response.status in (202, 204):
        response.headers.popall(hdrs.CONTENT_TYPE, None)
        response.headers[hdrs.CONTENT_LENGTH] = "0"


ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Training-Key, Prediction-Key, Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


def is_preflight(request: web.Request) -> bool:
    """Whether a browser asks what it may send."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


async def to_browsers(request: web.Request, response: web.StreamResponse) -> None:
    """Let a page of any origin read what an API answers."""
    if hdrs.ORIGIN in request.headers and is_api(request.path):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
