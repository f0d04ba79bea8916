"""Injected faults: the effect of each kind, the requests it affects, and how often."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio

EFFECT = (
    "lost_answer",
    "truncated_answer",
    "wrong_length",
    "slow_answer",
    "drip",
    "header_flood",
    "edit",
)


@pytest.mark.parametrize("kind", ["reset", "reset_in_body", "lost_answer", "truncated_answer"])
async def test_faults_of_the_connection(kind: Any) -> None:
    """The client sees the connection end. The operation takes effect as the kind says.

    The next request succeeds.
    """
    async with calling() as call:
        project = await call.project()
        fault = call.emulator.faults.add(kind, operation="CreateImagesFromData")
        with pytest.raises(aiohttp.ClientError):
            await call.upload(project, {"a": image_bytes(1)})
        assert fault.hits == 1
        assert call.emulator.requests[-1].fault == kind
        assert await call("GET", f"{project}/images/count") == (1 if kind in EFFECT else 0)
        await call.upload(project, {"b": image_bytes(2)})


async def test_faults_of_status() -> None:
    """A fault can set status, headers, body and effect, skip requests, and strike a number of
    times.
    """
    async with calling() as call:
        faults = call.emulator.faults
        faults.add(
            "status",
            status=429,
            retry_after="garbage",
            after=1,
            times=2,
            operation=["GetProjects", "GetDomains"],
        )
        statuses = [
            (await call.raw("GET", path))[0].status
            for path in ("/projects", "/domains", "/projects", "/projects")
        ]
        assert statuses == [200, 429, 429, 200]
        faults.add("status", status=500, body=b"<html>", effect=True, operation="CreateProject")
        response, body = await call.raw("POST", "/projects?name=x")
        assert (response.status, body) == (500, b"<html>")
        assert len(await call("GET", "/projects")) == 1


@pytest.mark.parametrize(
    "kind, expected",
    [
        ("html", b"<!DOCTYPE html>"),
        ("garbage", b'{"isBatchSuccessful": tru'),
        ("wrong_shape", b"[{"),
        ("empty", b""),
    ],
)
async def test_faults_of_content(kind: Any, expected: bytes) -> None:
    """The response is a 200 with invalid content."""
    async with calling() as call:
        call.emulator.faults.add(kind)
        response, body = await call.raw("GET", "/projects")
        assert response.status == 200
        assert body.startswith(expected)


async def test_faults_that_take_time() -> None:
    """A slow response and a drip arrive completely. A hang lasts until the client gives up."""
    async with calling() as call:
        faults = call.emulator.faults
        faults.add("slow_answer", seconds=0.01)
        assert await call("GET", "/projects") == []
        faults.add("drip", seconds=0.001)
        assert await call("GET", "/projects") == []
        faults.add("hang")
        with pytest.raises(TimeoutError):
            await call.raw("GET", "/projects", timeout=aiohttp.ClientTimeout(total=0.1))
        assert await call("GET", "/projects") == []


async def test_other_faults() -> None:
    """A redirect, a gzip bomb, many headers, a wrong length and an edited response."""
    async with calling() as call:
        faults = call.emulator.faults
        faults.add("redirect", location="http://192.0.2.1/")
        response, _ = await call.raw("GET", "/projects", allow_redirects=False)
        assert (response.status, response.headers["Location"]) == (307, "http://192.0.2.1/")
        faults.add("gzip_bomb", size=1 << 20)
        _, body = await call.raw("GET", "/projects")
        assert len(body) == 1 << 20
        faults.add("header_flood", size=50)
        response, _ = await call.raw("GET", "/projects")
        assert len(response.headers) > 50
        faults.add("wrong_length")
        # The error depends on how the parser treats the rest of the response.
        with pytest.raises((ValueError, aiohttp.ClientError)):
            json.loads((await call.raw("GET", "/domains"))[1])
        faults.add("edit", edit=lambda answer: [*answer, {"more": True}])
        assert await call("GET", "/projects") == [{"more": True}]


async def test_faults_of_blobs() -> None:
    """A blob can fail too: half an image arrives first, and the whole image on the next request."""
    async with calling() as call:
        project = await call.project()
        uri = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["originalImageUri"]
        call.emulator.faults.add("truncated_answer", operation="Blob")
        with pytest.raises(aiohttp.ClientError):
            async with call.session.get(uri) as response:
                await response.read()
        async with call.session.get(uri) as response:
            assert await response.read() == image_bytes(1)
        assert [request.operation for request in call.emulator.requests][-2:] == ["Blob", "Blob"]


async def test_faults_by_chance_are_the_same_from_a_seed() -> None:
    """A probability affects some requests, and the same ones for the same seed."""
    seen = []
    for _ in range(2):
        async with calling(seed=11) as call:
            fault = call.emulator.faults.add("status", probability=0.5, times=None)
            seen.append([(await call.raw("GET", "/projects"))[0].status for _ in range(40)])
            assert fault.hits == seen[-1].count(503)
            call.emulator.faults.remove(fault)
            await call("GET", "/projects")
    assert seen[0] == seen[1]
    assert {200, 503} == set(seen[0])


async def test_a_fault_that_is_forestalled_is_not_counted() -> None:
    """A request that is rejected for its key or rate does not use up a fault."""
    async with calling(calls_per_second=1) as call:
        await call("GET", "/projects")
        fault = call.emulator.faults.add("html")
        response, _ = await call.raw("GET", "/projects")
        assert (response.status, fault.hits, call.emulator.requests[-1].fault) == (429, 0, "")
