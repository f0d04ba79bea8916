"""The probes of ``customvision doctor --probe`` for requests: JSON, CORS, early refusal, quota."""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

import anyio

from .network import Link, Response, in_thread
from .scratch_project import Resource, Scratch, UnsettledError, public_status

__all__ = ["cors", "json_reader", "quota", "refuse_early"]

_BURST_REQUESTS = 40
_BURST_CONNECTIONS = 8
_MAX_BURST_SECONDS = 0.35
"""Maximum duration of a burst. After a longer one, later measurements mean nothing."""
_QUIET_SECONDS = 1.6
"""Seconds after which a count, a bucket or a penalty of one second has no effect any more."""
_EARLY_SECONDS = 1.0
"""Seconds to wait for a response to the incomplete request."""
_BODY_BYTES = 4_000_000


async def json_reader(scratch: Scratch) -> str:
    """Return which JSON the service accepts: strict, with single quotes, or without quotes."""

    async def accepts(body: bytes, word: str) -> bool:
        response = await scratch.call("PATCH", "", body=body)
        if response.status not in (200, 400):
            raise UnsettledError(f"the update was answered with {public_status(response)}")
        return response.status == 200 and response.json.get("description") == word

    if not await accepts(b'{"description":"plain"}', "plain"):
        raise UnsettledError("an update of the project did not succeed")
    if not await accepts(b"{'description':'single'}", "single"):
        return "strict"
    return "lenient" if await accepts(b'{description:"none",}', "none") else "quotes"


async def cors(resource: Resource) -> bool:
    """Return whether the service answers the CORS preflight request of a browser."""
    path = f"/customvision/{resource.version}/training/projects"
    lines = {
        "Origin": "https://example.com",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "Training-Key",
    }
    resource.requests += 1
    response = await resource.link.request("OPTIONS", path, headers=lines)
    return response.status in (200, 204) and "access-control-allow-origin" in response.headers


async def refuse_early(resource: Resource) -> bool:
    """Return whether a wrong key is refused before the body has arrived."""
    parts = urlsplit(resource.link.endpoint)
    head = (
        f"POST {parts.path}/customvision/{resource.version}/training/projects HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\nTraining-Key: {'0' * 32}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {_BODY_BYTES}\r\n\r\n{{"
    )

    def work() -> bytes:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), resource.link.seconds) as plain:
            stream: socket.socket = plain
            if parts.scheme == "https":
                context = ssl.create_default_context()
                stream = context.wrap_socket(plain, server_hostname=parts.hostname)
            with stream:
                stream.sendall(head.encode())
                stream.settimeout(_EARLY_SECONDS)
                try:
                    return stream.recv(64)
                except TimeoutError:
                    return b""

    resource.requests += 1
    response = await in_thread(work, resource.link.seconds + _EARLY_SECONDS)
    if response and b" 401" not in response:
        raise UnsettledError("the response is another one than 401")
    return bool(response)


class _Bursts:
    """Send bursts of cheap requests, to measure the rate limit."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._links = [
            Link(resource.link.endpoint, resource.link.seconds) for _ in range(_BURST_CONNECTIONS)
        ]

    async def burst(self, count: int) -> tuple[list[Response], float]:
        """Send `count` requests as fast as possible.

        Return the responses and the duration in seconds.
        """
        responses: list[Response] = []
        remaining = iter(range(count))

        async def send(link: Link) -> None:
            for _ in remaining:
                response = await self._resource.send_once("GET", "/domains", link=link)
                responses.append(response)

        started = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for link in self._links:
                tasks.start_soon(send, link)
        return responses, time.monotonic() - started

    def close(self) -> None:
        for link in self._links:
            link.close()


async def quota(resource: Resource) -> dict[str, str | bool | UnsettledError]:
    """Return the values of ``retry_after``, ``counting`` and ``penalty``.

    A value may be an error that says why it is unknown. The first burst shows how many requests
    are accepted at once. After a pause, as many are sent, and one more 0.6 s later. By then a
    bucket has refilled, but a count of the last second has not. A request after a refusal then
    shows whether the refusal holds for all requests of its second.
    """
    bursts = _Bursts(resource)
    try:
        return await _quota(bursts)
    finally:
        bursts.close()


async def _quota(bursts: _Bursts) -> dict[str, str | bool | UnsettledError]:
    responses, seconds = await bursts.burst(_BURST_REQUESTS)
    refusals = [response for response in responses if response.status == 429]
    if not refusals:
        why = UnsettledError(f"{_BURST_REQUESTS} requests in {seconds:.1f} s were not refused")
        return dict.fromkeys(("retry_after", "counting", "penalty"), why)
    slow = UnsettledError("the network or this machine was too slow to tell")
    found: dict[str, str | bool | UnsettledError] = {
        "retry_after": _kind_of(refusals[0]),
        "counting": slow,
        "penalty": slow,
    }
    accepted = len(responses) - len(refusals)
    if seconds > _MAX_BURST_SECONDS:
        return found
    await anyio.sleep(_QUIET_SECONDS)
    responses, seconds = await bursts.burst(accepted)
    if seconds > _MAX_BURST_SECONDS or any(response.status == 429 for response in responses):
        return found
    later, waited = await _request_after(bursts, 0.6)
    if not 0.55 <= waited <= 0.85 - seconds:
        return found
    found["counting"] = "second" if later.status == 429 else "bucket"
    if later.status == 429:
        # The count is over by now. A penalty lasts 0.4 s longer.
        last, waited = await _request_after(bursts, 0.6)
        timely = 0.45 <= waited <= 0.85
    else:
        await anyio.sleep(_QUIET_SECONDS)
        responses, seconds = await bursts.burst(accepted + 1)
        if not any(response.status == 429 for response in responses):
            return found
        last, waited = await _request_after(bursts, 0.6)
        timely = seconds <= _MAX_BURST_SECONDS and waited <= 0.85
    if timely:
        found["penalty"] = last.status == 429
    return found


async def _request_after(bursts: _Bursts, seconds: float) -> tuple[Response, float]:
    """Send one request after a pause, and return its response and the time since the call."""
    started = time.monotonic()
    await anyio.sleep(seconds)
    (response,), _ = await bursts.burst(1)
    return response, time.monotonic() - started


def _kind_of(refusal: Response) -> str:
    """Return the form of the Retry-After header of a refusal."""
    value = refusal.headers.get("retry-after")
    if value is None:
        return "none"
    return "seconds" if value.strip().isdigit() else "date"
