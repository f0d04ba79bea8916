"""Timeouts around the states of a poller end the wait, not the iteration."""

from __future__ import annotations

import asyncio

import pytest

from customvision_async import OperationFailed, Polling

from .support.virtual_loop import run
from .test_polling import Script, Step, iteration, project_of


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("end", ["Completed", "Failed"])
def test_a_timeout_around_a_state_does_not_end_the_iteration(seconds: float, end: str) -> None:
    """Each state is yielded once, the end is reported, and the operation is started once."""

    async def main() -> None:
        looks: list[Step] = [*[iteration()] * 5, iteration(end)]
        script = Script(GetIterations=[[]], TrainProject=[iteration()], GetIteration=looks)
        poller = project_of(script).begin_training(
            polling=Polling(initial_interval=1, multiplier=1, max_interval=1)
        )
        states, seen, failed = aiter(poller), list[str | None](), False
        await poller.start()
        while True:
            try:
                seen.append((await asyncio.wait_for(anext(states), seconds)).status)
            except TimeoutError:
                pass
            except OperationFailed:
                failed = True
                break
            except StopAsyncIteration:
                break
        assert seen[-1] == end
        assert failed == (end == "Failed")
        assert script.count("TrainProject") == 1

    run(main())
