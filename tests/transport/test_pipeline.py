"""The pipeline in virtual time, over a transport without a socket: attempts, waits and events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from customvision_async._content import Blob, Content, ContentError
from customvision_async._events import Event, RequestCompleted, RetryScheduled
from customvision_async._options import Retry
from customvision_async._transport.base import Meter, Request, Response
from customvision_async._transport.credentials import KeyCredential, authenticate
from customvision_async._transport.pipeline import Pipeline
from customvision_async.errors import (
    ConnectError,
    DecodeError,
    RequestTimeout,
    ResponseLost,
    TransportError,
)
from tests.support.fake_transport import Outcome, Scripted
from tests.support.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

OK = Response(200, {}, b"{}")
DOWN = Response(503, {}, b"")
REFUSED = Response(429, {"retry-after": "5"}, b"")
GET = Request("GET", "http://127.0.0.1/x", "GetDomains")
ONCE = Request("POST", "http://127.0.0.1/x", "TrainProject", repeatable=False)


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """Run in virtual time."""
    return "asyncio", {"loop_factory": VirtualLoop}


def make_pipeline(transport: Scripted, **options: Any) -> Pipeline:
    """Return a pipeline over `transport`."""
    return Pipeline(
        transport,
        auth=options.pop("auth", authenticate("key", "Training-Key")),
        rng=Random(1),
        **options,
    )


def now() -> float:
    """Return the time of the loop."""
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("outcomes", "attempts", "in_doubt"),
    [
        ([OK], 1, False),
        ([Response(404, {}, b"")], 1, False),
        ([ConnectError("x"), OK], 2, False),
        ([RequestTimeout("x", sent=False), OK], 2, False),
        ([REFUSED, REFUSED, OK], 1, False),
        ([ResponseLost("x"), OK], 2, True),
        ([RequestTimeout("x"), OK], 2, True),
        ([DOWN, OK], 2, True),
        ([Response(408, {}, b""), REFUSED, ConnectError("x"), OK], 3, True),
    ],
)
async def test_the_answer_tells_what_it_took(
    outcomes: list[Outcome], attempts: int, in_doubt: bool
) -> None:
    """The response has the number of attempts without refusals, and whether one may have taken
    effect.
    """
    response = await make_pipeline(Scripted(*outcomes)).send(GET)
    assert (response.status, response.attempts, response.in_doubt) == (
        getattr(outcomes[-1], "status", 0),
        attempts,
        in_doubt,
    )


@pytest.mark.parametrize("outcome", [ResponseLost("gone"), RequestTimeout("late")])
async def test_the_last_error_comes_up_when_all_attempts_are_used(outcome: TransportError) -> None:
    """The default is eight attempts."""
    transport = Scripted(outcome)
    with pytest.raises(type(outcome)) as caught:
        await make_pipeline(transport).send(GET)
    assert caught.value is outcome
    assert len(transport.times) == 8


async def test_an_endpoint_that_never_answered_is_given_up_sooner() -> None:
    """Three attempts if it never responded.

    After a first response, attempts continue until the deadline, regardless of the budget.
    """
    transport = Scripted(*[ConnectError("refused")] * 3, OK, ConnectError("refused"))
    pipeline = make_pipeline(transport)
    with pytest.raises(ConnectError):
        await pipeline.send(GET)
    assert len(transport.times) == 3
    assert (await pipeline.send(GET)).status == 200
    with pytest.raises(ConnectError):
        await pipeline.send(GET)
    assert 299 > transport.times[-1] - transport.times[4] > 200
    assert len(transport.times) > 3 + 1 + 8


async def test_the_last_answer_is_given_when_all_attempts_are_used() -> None:
    """A lasting 503 is returned as a response."""
    response = await make_pipeline(Scripted(DOWN)).send(GET)
    assert (response.status, response.attempts, response.in_doubt) == (503, 8, True)


async def test_an_error_that_hides_an_earlier_doubt_says_so() -> None:
    """The last attempt sent nothing, but an earlier one may have taken effect: ResponseLost."""
    with pytest.raises(ResponseLost, match=r"earlier attempt may have taken effect.*refused"):
        await make_pipeline(Scripted(ResponseLost("x"), ConnectError("refused"))).send(GET)


@pytest.mark.parametrize("outcome", [DOWN, ResponseLost("x"), RequestTimeout("x")])
async def test_what_may_not_be_repeated_is_not(outcome: Outcome) -> None:
    """It is sent once, except after a refusal or a failed connection."""
    transport = Scripted(ConnectError("x"), REFUSED, outcome, OK)
    if isinstance(outcome, Response):
        assert (await make_pipeline(transport).send(ONCE)).status == 503
    else:
        with pytest.raises(type(outcome)):
            await make_pipeline(transport).send(ONCE)
    assert len(transport.times) == 3


async def test_a_refused_call_is_held_for_its_retry_after() -> None:
    """The pause is not shorter."""
    transport = Scripted(REFUSED, OK)
    await make_pipeline(transport).send(GET)
    assert transport.times[1] >= 5.0


async def test_refusals_end_with_the_deadline() -> None:
    """The limit is 300 s after the first attempt. The wait for admission before it does not
    count.
    """
    transport = Scripted(REFUSED)
    await asyncio.sleep(1000)
    response = await make_pipeline(transport).send(GET)
    assert response.status == 429
    assert transport.times[0] == 1000
    assert 1250 < transport.times[-1] <= 1300


async def test_a_service_that_is_down_is_not_flooded() -> None:
    """200 requests that all get a 503: at most 1.2 attempts each, plus the minimum."""
    transport = Scripted(DOWN)
    pipeline = make_pipeline(transport)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(pipeline.send(GET)) for _ in range(200)]
    assert {task.result().status for task in tasks} == {503}
    assert len(transport.times) <= 200 * 1.2 + 64


async def test_clients_that_failed_together_do_not_come_back_together() -> None:
    """Full jitter: no two of 10 retries at one time."""
    transport = Scripted(*[DOWN] * 10, OK)
    pipeline = make_pipeline(transport, retry=Retry(retry_ratio=10))
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(pipeline.send(GET))
    assert len(set(transport.times[10:])) == 10


@pytest.mark.parametrize("error", [DecodeError("x"), ContentError(Blob(1), "gone")])
async def test_other_errors_come_up_at_once(error: Exception) -> None:
    """A redirect or a changed file is not retried. The limiter gets its permit back."""
    transport = Scripted(*[error] * 100, OK)
    pipeline = make_pipeline(transport)
    for _ in range(100):
        with pytest.raises(type(error)):
            await pipeline.send(GET)
    assert (await pipeline.send(GET)).status == 200


async def test_a_key_that_was_rotated_meanwhile_is_tried() -> None:
    """A 401 for the old key is retried, a 401 for the new one is not."""
    credential = KeyCredential("old")

    class Rotates(Scripted):
        async def send(
            self, request: Request, headers: Mapping[str, str], **options: Any
        ) -> Response:
            credential.update("new")
            return await super().send(request, headers, **options)

    transport = Rotates(Response(401, {}, b""), OK)
    assert (
        await make_pipeline(transport, auth=authenticate(credential, "Training-Key")).send(GET)
    ).status == 200
    assert [headers["Training-Key"] for headers in transport.headers] == ["old", "new"]
    transport = Rotates(Response(401, {}, b""))
    assert (
        await make_pipeline(transport, auth=authenticate(credential, "Training-Key")).send(GET)
    ).status == 401
    assert len(transport.times) == 1


async def test_an_error_of_the_credential_comes_up_and_holds_no_place() -> None:
    """The error of azure-identity is raised for each request."""

    class Broken:
        async def get_token(self, *scopes: str) -> Any:
            raise RuntimeError("sign in first")

    pipeline = make_pipeline(Scripted(OK), auth=authenticate(Broken(), "Training-Key"))
    for _ in range(100):
        with pytest.raises(RuntimeError, match="sign in first"):
            await pipeline.send(GET)


async def test_every_send_is_told_to_those_who_watch() -> None:
    """RequestCompleted for each attempt and RetryScheduled for each wait.

    An observer that raises affects nobody.
    """
    events: list[Event] = []

    def broken(event: Event) -> None:
        raise RuntimeError

    content = Content("x/y", [b"12345"])
    request = Request("POST", "http://127.0.0.1/x", "Create", content=content)
    await make_pipeline(
        Scripted(DOWN, ResponseLost("gone"), OK, seconds=2.0), observers=[broken, events.append]
    ).send(request)
    done = [event for event in events if isinstance(event, RequestCompleted)]
    assert [(event.attempt, event.status, event.seconds, event.bytes_sent) for event in done] == [
        (1, 503, 2, 5),
        (2, 0, 2, 5),
        (3, 200, 2, 5),
    ]
    assert "gone" in done[1].error
    assert [event.reason for event in events if isinstance(event, RetryScheduled)] == [
        "status 503",
        "gone",
    ]


@pytest.mark.parametrize(
    ("outcomes", "meter"),
    [
        ([OK], Meter(1, 0, 5, False)),
        ([REFUSED, DOWN, OK], Meter(3, 2, 15, True)),
        ([ConnectError("x"), OK], Meter(2, 1, 10, False)),
        ([ResponseLost("x"), DecodeError("x")], Meter(2, 1, 10, True)),
        ([DecodeError("x")], Meter(1, 0, 5, True)),
        ([ContentError(Blob(1), "gone")], Meter(1, 0, 5, False)),
    ],
)
async def test_the_meter_is_right_after_an_exception_too(
    outcomes: list[Outcome], meter: Meter
) -> None:
    """Attempts, retries, bytes and doubt, with or without an error."""
    mine = Meter()
    try:
        await make_pipeline(Scripted(*outcomes)).send(
            Request("POST", "http://x", "X", content=Content("x/y", [b"12345"]), meter=mine)
        )
    except (DecodeError, ContentError):
        pass
    assert mine == meter


async def test_giving_up_leaves_nothing_behind() -> None:
    """Cancelled at any moment: no task and no permit is left, and a request in flight is in
    doubt.
    """
    transport = Scripted(DOWN, REFUSED, OK, seconds=1.0)
    pipeline = make_pipeline(transport)
    before = asyncio.all_tasks()
    for tenths in range(0, 100, 3):
        meter = Meter()
        task = asyncio.create_task(pipeline.send(Request("GET", "http://x", "X", meter=meter)))
        await asyncio.sleep(tenths / 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert meter.in_doubt or not 0 < tenths < 10
    assert asyncio.all_tasks() == before
    assert (await pipeline.send(GET)).status == 200


async def test_closing_closes_the_transport() -> None:
    """Closing the pipeline closes the transport."""
    transport = Scripted(OK)
    await make_pipeline(transport).aclose()
    assert transport.closed
