"""How ``customvision doctor --probe`` settles the switches about requests: JSON, browsers, early
refusals and the quota.
"""

from __future__ import annotations

import socket
import ssl
import time
from urllib.parse import urlsplit

import anyio

from .network import Link, Response, in_thread
from .scratch_project import Resource, Scratch, UnsettledError, public_status

__all__ = ["cors", "json_reader", "quota", "refuse_early"]

_BURST = 40
_LINKS = 8
_QUICK = 0.35
"""Seconds in which a burst must be over, for what follows to mean anything."""
_QUIET = 1.6
"""Seconds after which neither a count, a bucket nor a penalty of a second holds any more."""
_EARLY_SECONDS = 1.0
_BODY = 4_000_000


async def json_reader(scratch: Scratch) -> str:
    """Whether JSON with single quotes is taken, and JSON without any."""

    async def taken(body: bytes, word: str) -> bool:
        response = await scratch.call("PATCH", "", body=body)
        if response.status not in (200, 400):
            raise UnsettledError(f"the update was answered with {public_status(response)}")
        return response.status == 200 and response.json.get("description") == word

    if not await taken(b'{"description":"plain"}', "plain"):
        raise UnsettledError("an update of the project did not succeed")
    if not await taken(b"{'description':'single'}", "single"):
        return "strict"
    return "lenient" if await taken(b'{description:"none",}', "none") else "quotes"


async def cors(resource: Resource) -> bool:
    """Whether the preflight of a browser is answered."""
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
    """Whether a wrong key is refused while the body is still to come."""
    parts = urlsplit(resource.link.endpoint)
    head = (
        f"POST {parts.path}/customvision/{resource.version}/training/projects HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\nTraining-Key: {'0' * 32}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {_BODY}\r\n\r\n{{"
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
    answer = await in_thread(work, resource.link.seconds + _EARLY_SECONDS)
    if answer and b" 401" not in answer:
        raise UnsettledError("the response is another one than 401")
    return bool(answer)


class _Quota:
    """Bursts of cheap requests, to see the quota of requests work."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._links = [Link(resource.link.endpoint, resource.link.seconds) for _ in range(_LINKS)]

    async def burst(self, count: int) -> tuple[list[Response], float]:
        """Send so many requests as fast as can be; return the responses and the seconds taken."""
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
    """Return what can be told of ``retry_after``, ``counting`` and ``penalty``.

    The first burst finds how many requests are let through at once. After a quiet time as many are
    sent, and one more 0.6 s later: a bucket has filled by then, a count of the last second has not.
    What comes after a refusal then tells whether it holds for all requests of its second.
    """
    links = _Quota(resource)
    try:
        return await _quota(links)
    finally:
        links.close()


async def _quota(links: _Quota) -> dict[str, str | bool | UnsettledError]:
    responses, seconds = await links.burst(_BURST)
    refusals = [response for response in responses if response.status == 429]
    if not refusals:
        why = UnsettledError(f"{_BURST} requests in {seconds:.1f} s were not refused")
        return dict.fromkeys(("retry_after", "counting", "penalty"), why)
    slow = UnsettledError("the network or this machine was too slow to tell")
    found: dict[str, str | bool | UnsettledError] = {
        "retry_after": _kind_of(refusals[0]),
        "counting": slow,
        "penalty": slow,
    }
    accepted = len(responses) - len(refusals)
    if seconds > _QUICK:
        return found
    await anyio.sleep(_QUIET)
    responses, seconds = await links.burst(accepted)
    if seconds > _QUICK or any(response.status == 429 for response in responses):
        return found
    (later,), waited = await _after(links, 0.6)
    if not 0.55 <= waited <= 0.85 - seconds:
        return found
    found["counting"] = "second" if later.status == 429 else "bucket"
    if later.status == 429:
        (last,), waited = await _after(
            links, 0.6
        )  # of the count nothing is left; of a penalty, 0.4 s
        timely = 0.45 <= waited <= 0.85
    else:
        await anyio.sleep(_QUIET)
        responses, seconds = await links.burst(accepted + 1)
        if not any(response.status == 429 for response in responses):
            return found
        (last,), waited = await _after(links, 0.6)
        timely = seconds <= _QUICK and waited <= 0.85
    if timely:
        found["penalty"] = last.status == 429
    return found


async def _after(links: _Quota, seconds: float) -> tuple[list[Response], float]:
    started = time.monotonic()
    await anyio.sleep(seconds)
    responses, _ = await links.burst(1)
    return responses, time.monotonic() - started


def _kind_of(refusal: Response) -> str:
    value = refusal.headers.get("retry-after")
    if value is None:
        return "none"
    return "seconds" if value.strip().isdigit() else "date"
