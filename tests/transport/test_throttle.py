"""The limiter in virtual time: limits hold, the rate is found, and the order is fair."""

from __future__ import annotations

import asyncio
import gc
from random import Random
from typing import Any

import pytest

from customvision_async._content import Content
from customvision_async._options import Concurrency
from customvision_async._transport.base import Request
from customvision_async._transport.credentials import authenticate
from customvision_async._transport.pipeline import Pipeline
from customvision_async._transport.throttle import Limiter, Permit, shared_limiter
from tests.support.fake_transport import Quota
from tests.support.virtual_loop import VirtualLoop, run

pytestmark = pytest.mark.anyio

CALL = Request("GET", "http://x", "call")
UPLOAD = Request("POST", "http://x", "upload", content=Content("x/y", [b"body"]))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run in virtual time."""
    return "asyncio", {"loop_factory": VirtualLoop}


def make_pipeline(transport: Quota, limiter: Limiter) -> Pipeline:
    """Return a pipeline over `transport` with `limiter`."""
    return Pipeline(
        transport, auth=authenticate("key", "Training-Key"), limiter=lambda: limiter, rng=Random(1)
    )


async def send_all(pipeline: Pipeline, *requests: Request) -> float:
    """Send all requests at once. Return the seconds that it took."""
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for request in requests:
            group.create_task(pipeline.send(request))
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("think", [0.1, 2.0])
@pytest.mark.parametrize("rate", [2.0, 10.0])
async def test_the_rate_is_found(rate: float, think: float) -> None:
    """Nearly the whole quota is used, with few refusals."""
    service = Quota(rate=rate, burst=rate, think=think)
    seconds = await send_all(make_pipeline(service, Limiter()), *[UPLOAD] * int(300 * rate))
    assert seconds <= 300 / 0.95
    assert service.refused <= (0.12 if rate == 2.0 else 0.05) * service.accepted


async def test_a_known_rate_is_kept_from_the_start() -> None:
    """With the rate of the tier as an option, almost nothing is refused."""
    service = Quota()
    seconds = await send_all(
        make_pipeline(service, Limiter(Concurrency(requests_per_second=10))), *[CALL] * 200
    )
    assert seconds < 22
    assert service.refused <= 2


@pytest.mark.parametrize(("requests", "uploads"), [(1, 1), (5, 2), (64, 4)])
async def test_caps_hold(requests: int, uploads: int) -> None:
    """Requests and uploads in flight reach their limits and do not exceed them."""
    service = Quota(rate=1e6, burst=1e6, think=1.0, upload=0.2)
    limiter = Limiter(Concurrency(max_requests=requests, max_uploads=uploads))
    await send_all(make_pipeline(service, limiter), *[UPLOAD, CALL] * 200)
    assert service.most_in_flight == requests
    assert service.most_uploading == uploads
    assert service.accepted == 400


async def test_an_upload_that_waits_does_not_keep_back_a_call() -> None:
    """Requests without a body continue while every upload slot is taken."""
    service = Quota(rate=1e6, burst=1e6, upload=100.0)
    pipeline = make_pipeline(service, Limiter())
    uploads = asyncio.create_task(send_all(pipeline, *[UPLOAD] * 5))
    await asyncio.sleep(1)
    assert await send_all(pipeline, CALL) == 1.0
    await uploads


async def test_the_next_body_begins_when_the_last_is_out() -> None:
    """It does not wait for the response: the think time of the service holds no upload slot."""
    service = Quota(rate=1e6, burst=1e6, think=50.0, upload=1.0)
    assert await send_all(
        make_pipeline(service, Limiter(Concurrency(max_uploads=1))), *[UPLOAD] * 8
    ) == pytest.approx(58)


async def test_who_waited_longest_goes_first_and_retries_before_all() -> None:
    """Waiters are served by age, retries first."""
    limiter = Limiter(Concurrency(max_requests=1))
    first = await limiter.acquire(upload=False)
    order: list[str] = []

    async def one(name: str, **options: bool) -> None:
        permit = await limiter.acquire(**{"upload": False, **options})
        order.append(name)
        permit.accepted()

    async with asyncio.TaskGroup() as group:
        for name, options in (
            ("a", {}),
            ("b", {"upload": True}),
            ("c", {}),
            ("again", {"again": True}),
        ):
            group.create_task(one(name, **options))
        await asyncio.sleep(1)
        first.accepted()
    assert order == ["again", "a", "b", "c"]


async def test_giving_up_in_the_queue_leaves_no_hole() -> None:
    """If a waiter is cancelled, even at the moment of admission, the next one is admitted."""
    limiter = Limiter(Concurrency(max_requests=1))
    for turns in range(6):
        held = await limiter.acquire(upload=True)
        waiting = asyncio.create_task(limiter.acquire(upload=True))
        behind: asyncio.Task[Permit] = asyncio.create_task(limiter.acquire(upload=False))
        await asyncio.sleep(0)
        held.accepted()
        for _ in range(turns):
            await asyncio.sleep(0)
        waiting.cancel()
        (given,) = await asyncio.gather(waiting, return_exceptions=True)
        if isinstance(given, Permit):
            given.abandoned()
        (await behind).accepted()
    assert limiter.controller.in_flight == limiter.controller.uploading == 0


async def test_a_ticket_ends_once() -> None:
    """A second outcome of the same request has no effect."""
    limiter = Limiter()
    permit = await limiter.acquire(upload=True)
    permit.accepted()
    permit.body_sent()
    permit.lost()
    permit.refused(1.0)
    assert limiter.controller.in_flight == limiter.controller.uploading == 0


async def test_clients_of_one_resource_share_a_limiter() -> None:
    """Clients of one host and key share it, with the lower limit. It ends with the last of them."""
    one = shared_limiter("x.example", "key", Concurrency(max_requests=20))
    assert shared_limiter("x.example", "key", Concurrency(max_requests=10)) is one
    assert one.controller.requests == 10
    assert shared_limiter("x.example", "other", Concurrency()) is not one
    assert shared_limiter("y.example", "key", Concurrency()) is not one
    del one
    gc.collect()
    assert shared_limiter("x.example", "key", Concurrency()).controller.requests == 64


async def test_two_clients_together_keep_the_quota() -> None:
    """Each of them alone would use all of it."""
    service = Quota()
    limiter = Limiter()
    await asyncio.gather(
        *(send_all(make_pipeline(service, limiter), *[CALL] * 500) for _ in range(2))
    )
    assert service.refused <= 0.05 * service.accepted


@pytest.mark.parametrize("seed", range(3))
def test_the_same_run_twice_is_the_same(seed: int) -> None:
    """A seeded run in virtual time is deterministic."""

    async def once() -> tuple[float, int]:
        service = Quota(rate=5.0 + seed)
        return await send_all(make_pipeline(service, Limiter()), *[UPLOAD] * 300), service.refused

    assert run(once()) == run(once())


@pytest.mark.parametrize(
    "options",
    [
        {"max_uploads": 0},
        {"max_requests": 0},
        {"initial_requests": -1},
        {"prefetch_pages": 0},
        {"requests_per_second": 0},
        {"requests_per_second": -1.0},
        {"requests_per_second": float("nan")},
    ],
)
def test_limits_that_would_let_nothing_through_are_refused(options: dict[str, Any]) -> None:
    """Without an upload slot, or with a rate of 0, requests would wait forever."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Concurrency(**options)
