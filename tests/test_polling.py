"""The poller in virtual time over a scripted service: intervals, errors, and no double starts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from customvision_async import (
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    Iteration,
    NotFoundError,
    OperationFailed,
    Polling,
    ProjectClient,
    ResponseLost,
    Retry,
    TrainingClient,
)
from customvision_async._transport.base import Request, Response
from tests.support.virtual_loop import run

PROJECT = "11111111-1111-1111-1111-111111111111"
ITERATION = "22222222-2222-2222-2222-222222222222"
OLD = "33333333-3333-3333-3333-333333333333"
ONCE = Retry(max_attempts=1)

Step = dict[str, Any] | list[Any] | Response | Exception


class Script:
    """A service with scripted responses per operation. It repeats the last one.

    `at` has the times of the requests.
    """

    def __init__(self, **responses: list[Step] | Callable[[], Step]) -> None:
        self.responses = responses
        self.asked: list[tuple[str, float]] = []

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Return or raise the next response."""
        self.asked.append((request.operation, asyncio.get_running_loop().time()))
        given = self.responses[request.operation]
        step = given() if callable(given) else given.pop(0) if len(given) > 1 else given[0]
        if on_sent is not None:
            on_sent()
        await asyncio.sleep(0.001)
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, Response) else response(step)

    async def aclose(self) -> None:
        """Do nothing."""

    def times(self, operation: str) -> list[float]:
        """Return the times of the requests for an operation."""
        return [at for name, at in self.asked if name == operation]

    def count(self, operation: str) -> int:
        """Return the number of requests for an operation."""
        return len(self.times(operation))


def response(value: Any, status: int = 200, **headers: str) -> Response:
    """Return a JSON response."""
    return Response(
        status, {"content-type": "application/json", **headers}, json.dumps(value).encode()
    )


def iteration(status: str = "Training", id: str = ITERATION, **more: Any) -> dict[str, Any]:
    """Return an iteration as the service writes it."""
    return {"id": id, "name": "Iteration 1", "status": status, "projectId": PROJECT, **more}


def refusal(status: int, code: str) -> Response:
    """Return an error as the service writes it."""
    return response({"code": code, "message": "no"}, status)


def lost() -> Exception:
    """Return the error of a lost response."""
    return ResponseLost("the connection broke", operation="X")


def project_of(script: Script, retry: Retry | None = None) -> ProjectClient:
    """Return a project of a script."""
    return TrainingClient(
        "http://127.0.0.1:9", "key", transport=script, retry=retry
    ).get_project_client(PROJECT)


def test_looks_at_growing_intervals() -> None:
    """The first poll follows after a second. Each interval is 1.5 times the last, up to the
    maximum.

    Each varies by up to a tenth.
    """

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration()],
            GetIteration=[iteration()] * 12 + [iteration("Completed")],
        )
        done = await project_of(script).begin_training(
            polling=Polling(initial_interval=1, multiplier=1.5, max_interval=10)
        )
        assert done.status == "Completed"
        times = script.times("TrainProject") + script.times("GetIteration")
        ideal = 1.0
        for before, after in pairwise(times):
            assert 0.9 * ideal <= after - before - 0.001 <= 1.1 * ideal + 0.01
            ideal = min(10.0, ideal * 1.5)

    run(main())


def test_waits_as_long_as_the_service_asks() -> None:
    """Retry-After of a poll delays the next one. A value of a day is cut to ten minutes."""

    async def main() -> None:
        slow = [
            response(iteration(), **{"retry-after": "45"}),
            response(iteration(), **{"retry-after": "86400"}),
            iteration("Completed"),
        ]
        script = Script(GetIterations=[[]], TrainProject=[iteration()], GetIteration=slow)
        await project_of(script).begin_training()
        first, second, third = script.times("GetIteration")
        assert 45 <= second - first < 46
        assert 600 <= third - second < 601

    run(main())


def test_survives_lost_connections_and_refusals() -> None:
    """Failing polls cost nothing but time. The training is started once."""

    async def main() -> None:
        trouble: list[Step] = [
            lost(),
            refusal(503, ""),
            lost(),
            refusal(500, "ErrorUnknown"),
            Response(200, {}, b"<html>"),
        ]
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration()],
            GetIteration=[*trouble, iteration(), iteration("Completed")],
        )
        assert (await project_of(script, ONCE).begin_training()).status == "Completed"
        assert script.count("TrainProject") == 1

    run(main())


def test_gives_up_after_its_patience_and_says_how_to_go_on() -> None:
    """A lasting outage raises the last error. The same poller can be awaited again later."""

    async def main() -> None:
        away = True
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration()],
            GetIteration=lambda: lost() if away else iteration("Completed"),
        )
        poller = project_of(script, ONCE).begin_training(polling=Polling(max_outage=300))
        with pytest.raises(ResponseLost) as caught:
            await poller
        assert any(f"resume_training('{ITERATION}')" in note for note in caught.value.__notes__)
        assert 300 <= asyncio.get_running_loop().time() < 400
        assert poller.id == ITERATION
        assert not poller.done
        away = False
        assert (await poller).status == "Completed"
        assert script.count("TrainProject") == 1

    run(main())


def test_what_patience_does_not_help_is_raised_at_once() -> None:
    """A refused key and a deleted iteration end the polling."""

    async def main() -> None:
        for status, code, kind in (
            (401, "", AuthenticationError),
            (404, "NotFoundIteration", NotFoundError),
        ):
            script = Script(
                GetIterations=[[]], TrainProject=[iteration()], GetIteration=[refusal(status, code)]
            )
            with pytest.raises(kind):
                await project_of(script).begin_training()
            assert script.count("GetIteration") == 1

    run(main())


def test_a_failed_training_is_an_error_that_says_why() -> None:
    """The error has the service's status, its reason, and the iteration."""

    async def main() -> None:
        failed = iteration("Failed", trainingErrorDetails="The model did not converge.")
        script = Script(GetIterations=[[]], TrainProject=[iteration()], GetIteration=[failed])
        poller = project_of(script).begin_training()
        for _ in range(2):  # awaiting it again raises the same error without a request
            with pytest.raises(
                OperationFailed,
                match=r"TrainProject: it ended as Failed: The model did not converge\.",
            ) as caught:
                await poller
        assert caught.value.status == "Failed"
        assert isinstance(caught.value.state, Iteration)
        assert (poller.done, poller.status, script.count("GetIteration")) == (True, "Failed", 1)

    run(main())


def test_tells_what_it_sees() -> None:
    """Iteration yields each state. progress, status, id and state are available at any time."""

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration("Queued")],
            GetIteration=[iteration(), iteration("Completed")],
        )
        poller = project_of(script).begin_training()
        assert (poller.status, poller.id, poller.state, poller.done) == (
            "NotStarted",
            None,
            None,
            False,
        )
        assert poller.progress.seconds == 0
        seen = [(state.status, poller.progress.polls, poller.done) async for state in poller]
        assert seen == [("Queued", 0, False), ("Training", 1, False), ("Completed", 2, True)]
        assert 2 < poller.progress.seconds < 3
        assert ITERATION in repr(poller)
        assert [state.status async for state in poller] == ["Completed"]

    run(main())


def test_begun_once_whoever_awaits_it() -> None:
    """Two tasks, a timeout and a third await share one training, with one poll at a time."""

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration()],
            GetIteration=[iteration(), iteration(), iteration("Completed")],
        )
        poller = project_of(script).begin_training()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await poller
        assert await asyncio.gather(poller.result(), poller.result()) == [await poller] * 2
        assert (script.count("TrainProject"), script.count("GetIteration")) == (1, 3)

    run(main())


def test_wait_false_begins_and_comes_back() -> None:
    """Return the new iteration. Its id serves to resume."""

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[iteration()],
            GetIteration=[iteration(), iteration("Completed")],
        )
        project = project_of(script)
        begun = await project.begin_training(wait=False)
        assert (begun.status, script.count("GetIteration")) == ("Training", 0)
        assert (await project.resume_training(begun.id)).status == "Completed"
        assert script.count("TrainProject") == 1

    run(main())


def test_a_lost_answer_is_resolved_by_what_is_there() -> None:
    """The iteration that was not there before is the new one.

    Older ones, and the untrained workspace, are not mistaken for it.
    """

    async def main() -> None:
        before = [iteration("Completed", OLD), iteration("New", ITERATION)]
        after = [
            iteration("Completed", OLD),
            iteration("Training", ITERATION),
            iteration("New", PROJECT),
        ]
        for trouble in (lost(), refusal(504, ""), Response(200, {}, b'{"id": "')):
            script = Script(
                GetIterations=[before, after],
                TrainProject=[trouble],
                GetIteration=[iteration("Completed")],
            )
            assert (await project_of(script).begin_training()).id == ITERATION
            assert (script.count("TrainProject"), script.count("GetIterations")) == (1, 2)

    run(main())


def test_sent_again_only_when_nothing_has_begun() -> None:
    """Two polls, some time apart, find nothing: the request is repeated once."""

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[lost(), iteration()],
            GetIteration=[iteration("Completed")],
        )
        await project_of(script).begin_training()
        assert (script.count("TrainProject"), script.count("GetIterations")) == (2, 3)

        script = Script(GetIterations=[[]], TrainProject=[lost()])
        with pytest.raises(ResponseLost):
            await project_of(script).begin_training()
        assert script.count("TrainProject") == 2

    run(main())


def test_begun_late_by_the_first_of_two_sends() -> None:
    """The second request is refused because the first took effect late: that training is used."""

    async def main() -> None:
        lists: list[Step] = [[], [], [], [iteration()]]
        sends: list[Step] = [lost(), refusal(400, "BadRequestTrainingAlreadyInProgress")]
        script = Script(
            GetIterations=lists, TrainProject=sends, GetIteration=[iteration("Completed")]
        )
        assert (await project_of(script).begin_training()).id == ITERATION

    run(main())


def test_a_refusal_is_no_lost_answer() -> None:
    """A refusal is raised after one request. Awaiting again sends the request again."""

    async def main() -> None:
        script = Script(
            GetIterations=[[]],
            TrainProject=[refusal(400, "BadRequestTrainingNotNeeded"), iteration()],
            GetIteration=[iteration("Completed")],
        )
        poller = project_of(script).begin_training()
        with pytest.raises(BadRequestError, match="force the training"):
            await poller
        assert script.count("TrainProject") == 1
        assert (await poller).status == "Completed"

    run(main())


def test_cancelled_while_it_begins() -> None:
    """A start whose response nobody awaited is looked up before another is sent."""

    async def main() -> None:
        never = asyncio.Event()
        script = Script(
            GetIterations=[[], [iteration()]],
            TrainProject=[iteration()],
            GetIteration=[iteration("Completed")],
        )
        real = script.send

        async def send(
            request: Request,
            headers: Mapping[str, str],
            *,
            on_sent: Callable[[], None] | None = None,
        ) -> Response:
            got = await real(request, headers, on_sent=on_sent)
            if request.operation == "TrainProject":
                await never.wait()
            return got

        script.send = send
        poller = project_of(script).begin_training()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await poller
        assert (await poller).id == ITERATION
        assert script.count("TrainProject") == 1

    run(main())


def test_a_service_that_is_down_begins_nothing() -> None:
    """Without a list of iterations no training is started, because its loss could not be
    detected.
    """

    async def main() -> None:
        script = Script(GetIterations=[refusal(500, "")], TrainProject=[iteration()])
        with pytest.raises(InternalServerError):
            await project_of(script, ONCE).begin_training()
        assert script.count("TrainProject") == 0

    run(main())


def test_an_unknown_status_is_not_the_end_unless_it_is_dated() -> None:
    """The service may add statuses: an iteration with a training date is trained."""

    async def main() -> None:
        looks: list[Step] = [
            iteration("Optimising"),
            iteration("Finished", trainedAt="2026-01-01T00:00:00Z"),
        ]
        script = Script(GetIterations=[[]], TrainProject=[iteration()], GetIteration=looks)
        assert (await project_of(script).begin_training()).status == "Finished"

    run(main())
