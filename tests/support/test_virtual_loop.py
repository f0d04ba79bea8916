"""The virtual-time loop: long sleeps return at once, and a deadlock raises."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.virtual_loop import Deadlock, VirtualLoop, run


def test_an_hour_passes_in_no_time() -> None:
    """Sleeps end in order and at their times, without real waiting."""

    async def main() -> tuple[float, list[int]]:
        woken: list[int] = []

        async def sleeper(seconds: int) -> None:
            await asyncio.sleep(seconds)
            woken.append(seconds)

        async with asyncio.TaskGroup() as group:
            for seconds in (3600, 60, 600):
                group.create_task(sleeper(seconds))
        return asyncio.get_running_loop().time(), woken

    began = time.process_time()
    assert run(main()) == (3600, [60, 600, 3600])
    assert time.process_time() - began < 60


def test_a_wait_for_nothing_is_an_error() -> None:
    """Two tasks that wait for each other raise Deadlock at once."""

    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock, match="no task can go on"):
        run(main())


def test_timeouts_hold() -> None:
    """asyncio's timeouts use the same clock."""

    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(100):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert run(main()) == pytest.approx(100)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualLoop})], ids=["virtual"]
)
async def test_it_serves_as_the_loop_of_a_test() -> None:
    """anyio's pytest plugin accepts it as loop_factory."""
    assert isinstance(asyncio.get_running_loop(), VirtualLoop)
    await asyncio.sleep(1_000_000)
