"""Send the response of an operation: its body, and the headers of the service and for browsers."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import hdrs, web

from .._wire.codec import pascal_keys
from ._api_request import ApiResponse
from ._image_files import Buffer
from ._routes import Match, is_api

__all__ = [
    "PREFLIGHT_HEADERS",
    "add_cors_header",
    "encode",
    "headers_of",
    "is_preflight",
    "match_recorded_headers",
    "send",
]


def encode(api_response: ApiResponse, match: Match | None) -> Buffer:
    """Return the body of a response, in the JSON dialect of the version."""
    if api_response.raw is not None:
        return api_response.raw
    if api_response.value is None and api_response.status in (202, 204):
        return b""
    value: Any = api_response.value
    if match is not None and str(match.version).startswith("v1"):
        value = pascal_keys(value)
    return msgspec.json.encode(value)


def headers_of(api_response: ApiResponse, request_id: str, match: Match | None) -> dict[str, str]:
    """Return the headers of a response as recorded (v3.0 and earlier have no Request-Id)."""
    headers = {"apim-request-id": request_id}
    newer = match is not None and not str(match.version).startswith(("v1", "v2", "v3.0"))
    if newer:
        headers = {"Request-Id": request_id} | headers
    headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains; preload"
    headers["X-Content-Type-Options" if newer else "x-content-type-options"] = "nosniff"
    headers[hdrs.CONTENT_TYPE] = api_response.content_type
    return headers | api_response.headers


async def send(
    request: web.Request,
    api_response: ApiResponse,
    body: Buffer,
    request_id: str,
    match: Match | None,
    *,
    reason: str | None = None,
) -> web.StreamResponse:
    """Send a response unchanged."""
    response = web.Response(
        status=api_response.status,
        reason=reason,
        body=bytes(body),
        headers=headers_of(api_response, request_id, match),
    )
    await response.prepare(request)
    return response


async def match_recorded_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Remove the Server header, and give 202 and 204 a length and no content type."""
    response.headers.popall(hdrs.SERVER, None)
    if response.status in (202, 204):
        response.headers.popall(hdrs.CONTENT_TYPE, None)
        response.headers[hdrs.CONTENT_LENGTH] = "0"


PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Training-Key, Prediction-Key, Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}


def is_preflight(request: web.Request) -> bool:
    """Return whether a request is a CORS preflight."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


async def add_cors_header(request: web.Request, response: web.StreamResponse) -> None:
    """Allow pages of any origin to read the responses of the API."""
    if hdrs.ORIGIN in request.headers and is_api(request.path):
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*"
