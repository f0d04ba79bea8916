"""Send a response, or the variation of it that a fault demands."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from contextlib import aclosing

import msgspec
from aiohttp import web

from .._versions import ApiVersion
from .._wire.codec import pascal_keys
from ._api_request import ApiResponse
from ._faults import Fault
from ._image_files import Buffer
from ._in_flight import drop_connection, iter_body
from ._request_record import RequestRecord
from ._responses import headers_of, send
from ._routes import Match

__all__ = ["reset_connection", "send_response"]

_PAGE = (
    b"<!DOCTYPE html><html><head><title>Sorry</title></head><body>"
    b"<h1>Our services aren't available right now</h1></body></html>"
)


async def reset_connection(request: web.Request, fault: Fault | None) -> web.StreamResponse:
    """Reset the connection, at once or after half of the body has arrived."""
    if fault and fault.kind == "reset_in_body":
        left = (request.content_length or 0) // 2
        async with aclosing(iter_body(request)) as body:
            async for piece in body:
                left -= len(piece)
                if left <= 0:
                    break
    return drop_connection(request)


async def send_response(
    request: web.Request,
    api_response: ApiResponse,
    encode: Callable[[], Buffer],
    request_id: str,
    match: Match | None,
    fault: Fault | None,
    record: RequestRecord,
    closing: asyncio.Event,
) -> web.StreamResponse:
    """Send a response, or the variation of it that the fault demands."""
    if fault is None:
        record.status = api_response.status
        return await send(request, api_response, encode(), request_id, match)
    if fault.kind == "lost_answer":
        return drop_connection(request)
    if fault.kind == "hang":
        await _wait_for_disconnect(request, closing)
        return drop_connection(request)
    if fault.kind == "slow_answer":
        await asyncio.sleep(fault.seconds)
    if fault.kind == "edit" and fault.edit is not None:
        edited = fault.edit(msgspec.json.decode(msgspec.json.encode(api_response.value)))
        pascal = match is not None and match.version == ApiVersion.V1_2
        body: Buffer = msgspec.json.encode(pascal_keys(edited) if pascal else edited)
    else:
        changed = _replacement(fault)
        api_response, body = changed if changed else (api_response, encode())
    if fault.kind == "header_flood":
        api_response.headers |= {
            f"X-Flood-{number}": "x" * 100 for number in range(fault.size or 500)
        }
    record.status = api_response.status
    if fault.kind == "drip":
        return await _drip(
            request, api_response, body, headers_of(api_response, request_id, match), fault.seconds
        )
    if fault.kind in ("truncated_answer", "wrong_length"):
        return await _send_mismatched(
            request,
            api_response,
            bytes(body),
            headers_of(api_response, request_id, match),
            cut=fault.kind == "truncated_answer",
        )
    return await send(request, api_response, body, request_id, match)


def _replacement(fault: Fault) -> tuple[ApiResponse, bytes] | None:
    """Return the response that replaces the real one, or None if the fault does not replace it."""
    if fault.kind == "status":
        code, text = (
            ("429", "Rate limit is exceeded. Try again later.")
            if fault.status == 429
            else (str(fault.status), "Injected fault")
        )
        body = (
            fault.body
            if fault.body is not None
            else msgspec.json.encode({"error": {"code": code, "message": text}})
        )
        headers = dict(fault.headers)
        if fault.retry_after is not None:
            headers["Retry-After"] = str(fault.retry_after)
        return ApiResponse(fault.status, headers=headers), body
    if fault.kind == "redirect":
        status = fault.status if 300 <= fault.status < 400 else 307
        return ApiResponse(status, headers={"Location": fault.location}), b""
    if fault.kind == "gzip_bomb":
        return ApiResponse(headers={"Content-Encoding": "gzip"}), gzip.compress(
            b" " * (fault.size or 64 << 20), 9
        )
    if fault.kind == "html":
        return ApiResponse(content_type="text/html; charset=utf-8"), _PAGE
    bodies = {
        "garbage": b'{"isBatchSuccessful": tru',
        "wrong_shape": b'[{"unexpected": {"shape": [1, 2, 3]}}, 42, "text"]',
        "empty": b"",
    }
    return (ApiResponse(), bodies[fault.kind]) if fault.kind in bodies else None


async def _wait_for_disconnect(request: web.Request, closing: asyncio.Event) -> None:
    """Wait until the client disconnects or the emulator stops."""
    while (  # noqa: ASYNC110 - aiohttp has no event for it
        request.transport is not None
        and not request.transport.is_closing()
        and not closing.is_set()
    ):
        await asyncio.sleep(0.02)


async def _drip(
    request: web.Request,
    api_response: ApiResponse,
    body: Buffer,
    headers: dict[str, str],
    seconds: float,
) -> web.StreamResponse:
    response = web.StreamResponse(status=api_response.status, headers=headers)
    response.content_length = len(body)
    await response.prepare(request)
    for at in range(len(body)):
        await response.write(bytes(body[at : at + 1]))
        await asyncio.sleep(seconds)
    return response


async def _send_mismatched(
    request: web.Request,
    api_response: ApiResponse,
    body: bytes,
    headers: dict[str, str],
    *,
    cut: bool,
) -> web.StreamResponse:
    """Send a response whose Content-Length differs from its body, then close the connection."""
    half = len(body) // 2
    length, sent = (len(body), body[:half]) if cut else (half, body)
    lines = [
        f"HTTP/1.1 {api_response.status} OK",
        *(f"{name}: {value}" for name, value in headers.items()),
        f"Content-Length: {length}",
    ]
    transport = request.transport
    if transport is not None and not transport.is_closing():
        transport.write("\r\n".join(lines).encode() + b"\r\n\r\n" + sent)
        await asyncio.sleep(0)
        transport.close()
    return web.Response()
