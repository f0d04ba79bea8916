"""Cancellation at every step of the loop: nothing is left behind, and the client still works."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from customvision_async import (
    BatchReport,
    BatchRun,
    Concurrency,
    CustomVisionError,
    ImageFile,
    ImageUrl,
    ItemResult,
    ProjectClient,
    Region,
    TrainingClient,
)
from customvision_async._events import Event, RequestCompleted
from customvision_async.emulator import Emulator
from tests.campaign import checks
from tests.campaign.scenario import gif
from tests.support import images as images
from tests.support import virtual_loop as vloop
from tests.support import virtual_network as virtual
from tests.support.fake_service import Habits, Service
from tests.support.faults import Faults

SEEDS = ("one", "two", "three")
"""Seeds of the faults. Each leads to another course of the work."""


class _Axe(vloop.VirtualLoop):
    """A loop that cancels a task at a given step of the task."""

    steps = 0
    fall_at = -1
    victim: asyncio.Task[Any] | None = None

    def _run_once(self) -> None:
        if self.victim is not None and not self.victim.done():
            self.steps += 1
            if self.steps == self.fall_at:
                self.victim.cancel()
        super()._run_once()


class _Stage:
    """A project with a few images, an unreliable service, and the runs on it."""

    def __init__(self, seed: str) -> None:
        faults = Faults(Random(seed), rate=0.35)
        self.service = Service(Random("service"), habits=Habits(deduplicate=False), faults=faults)
        for name in ("apple", "pear", *(f"tag{n}" for n in range(24))):
            self.service.add_tag(name)
        self.before = [self.service.add_image(f"before {n}".encode()).id for n in range(9)]
        self.upload: BatchRun[Any, Any] | None = None
        self.runs: list[tuple[BatchRun[Any, Any], dict[int, ItemResult[Any, Any]]]] = []

    def watch(
        self, run: BatchRun[Any, Any]
    ) -> tuple[BatchRun[Any, Any], dict[int, ItemResult[Any, Any]]]:
        """Record a run. Its results are added to the dictionary."""
        self.runs.append((run, {}))
        return self.runs[-1]

    def items(self) -> list[Any]:
        """Return the items to upload: both encodings, a bad one, and one that needs follow-up
        requests.
        """
        self.service.remote_content["https://images.example/1.gif"] = gif("url")
        return [
            *(ImageFile(data=gif(str(n)), tags=["apple"]) for n in range(5)),
            ImageFile(data=gif("BAD"), tags=["apple"]),
            ImageFile(data=gif("boxed"), regions=[Region("pear", 0.0, 0.0, 0.5, 0.5)]),
            ImageFile(data=gif("many"), tags=[f"tag{n}" for n in range(24)]),
            ImageUrl("https://images.example/1.gif"),
            b"no image",
        ]


async def _await(stage: _Stage, project: ProjectClient) -> None:
    run, _ = stage.watch(project.upload_images(stage.items()))
    stage.upload = run
    await run


async def _watch(stage: _Stage, project: ProjectClient) -> None:
    async def source() -> Any:
        for item in stage.items():
            await asyncio.sleep(0.1)
            yield item

    run, seen = stage.watch(project.upload_images(source(), tags=["new"], create_missing_tags=True))
    stage.upload = run
    async with run:
        async for result in run:
            seen[result.index] = result
            await asyncio.sleep(0.01)


async def _list(stage: _Stage, project: ProjectClient) -> None:
    async for _ in project.list_images(page_size=3):
        await asyncio.sleep(0.01)
    await project.list_images(
        tags=["apple", "pear", *(f"tag{n}" for n in range(24))], page_size=2
    ).all()
    await project.count_images()


async def _change(stage: _Stage, project: ProjectClient) -> None:
    for make in (
        lambda: project.tag_images(stage.before, ["apple", "pear"]),
        lambda: project.create_regions(
            [(id, Region("pear", 0.0, 0.0, 0.5, 0.5)) for id in stage.before]
        ),
        lambda: project.untag_images(stage.before, ["apple"]),
        lambda: project.update_image_metadata(stage.before, {"a": "b"}),
        lambda: project.delete_images(stage.before[:5]),
    ):
        run, seen = stage.watch(make())
        async with run:
            async for result in run:
                seen[result.index] = result


Work = Callable[[_Stage, ProjectClient], Awaitable[None]]


async def _play(work: Work, seed: str, axe: _Axe, fall_at: int) -> list[str]:
    """Run `work`, cancel it at a step, and return the problems found. The client must still
    work.
    """
    stage = _Stage(seed)
    service = stage.service
    async with virtual.client_of(
        service,
        "client",
        concurrency=Concurrency(max_chunk_bytes=1500, max_requests=3, max_uploads=1),
    ) as training:
        project = training.get_project_client(service.project_id)
        axe.victim = asyncio.ensure_future(work(stage, project))
        axe.fall_at = fall_at
        try:
            await axe.victim
        except (asyncio.CancelledError, CustomVisionError):
            pass
        problems = _problems(stage)
        # The loop closes the generator of a cancelled `async for` in a task.
        for _ in range(10):
            await asyncio.sleep(0)
        if len(asyncio.all_tasks()) > 1:
            problems.append(f"left behind: {asyncio.all_tasks()}")
        if service.in_flight:
            problems.append(f"{service.in_flight} calls are still in flight")
        service.faults.rate = 0.0
        report = await project.upload_images([ImageFile(data=gif(f"after {n}")) for n in range(12)])
        if report.succeeded != 12:
            problems.append("the client does not work any more")
    return problems + service.violations


def _problems(stage: _Stage) -> list[str]:
    problems: list[str] = []
    for run, seen in stage.runs:
        problems += checks.ledger(run, seen)
        for result in seen.values():
            if (
                result.ok
                and result.image is not None
                and hasattr(result.image, "id")
                and result.image.id not in stage.service.images
            ):
                problems.append(f"item {result.index} is said to have landed")
    if stage.upload is not None:
        problems += _upload_problems(stage, stage.upload)
    return problems


def _upload_problems(stage: _Stage, run: BatchRun[Any, Any]) -> list[str]:
    """Check that each success is there, and that each image belongs to an item.

    The item succeeded, is pending or is in doubt.
    """
    report = run.report
    there = sum(content.startswith(b"GIF") for content in stage.service.copies())
    if not report.succeeded <= there <= report.succeeded + report.pending + report.in_doubt:
        return [
            (
                f"{there} are there; {report.succeeded} succeeded, {report.pending} are pending, "
                f"{report.in_doubt} in doubt"
            )
        ]
    return []


def _run(work: Work, seed: str, fall_at: int) -> tuple[list[str], int]:
    with virtual.inline_threads(), asyncio.Runner(loop_factory=_Axe) as runner:
        axe = runner.get_loop()
        assert isinstance(axe, _Axe)
        return runner.run(_play(work, seed, axe, fall_at)), axe.steps


WORKS = (_await, _watch, _list, _change)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_cancelling_at_any_step_leaves_nothing_behind_and_a_true_account(
    work: Work, seed: str
) -> None:
    """At every step: no task, request or permit is left, and each reported success is there."""
    problems, steps = _run(work, seed, -1)
    assert not problems
    found = {}
    for step in range(1, steps + 1):
        problems, _ = _run(work, seed, step)
        if problems:
            found[step] = problems
    assert not found


def test_there_are_enough_steps_to_cancel_at() -> None:
    """The test above cancels at more than 500 points."""
    assert sum(_run(work, seed, -1)[1] for work in WORKS for seed in SEEDS) > 500


FOUR_IMAGES = 4 * (len(images.image_bytes(1)) + 400)
"""Bytes of a chunk that holds about four images."""


async def awaited(run: BatchRun[Any, Any]) -> BatchReport:
    """Await a run in a task of its own."""
    return await run


@pytest.mark.anyio
@pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 8])
async def test_cancelling_over_sockets_closes_what_was_open(after: int) -> None:
    """A cancelled upload leaves no task and no connection. The report agrees with the emulator."""
    before = asyncio.all_tasks()
    async with Emulator(seed=1, think_seconds=0.02) as emulator:
        serving = asyncio.all_tasks()
        responses = asyncio.Semaphore(0)

        def observe(event: Event) -> None:
            if isinstance(event, RequestCompleted):
                responses.release()

        async with TrainingClient(
            emulator.endpoint,
            emulator.training_key,
            observers=[observe],
            concurrency=Concurrency(max_chunk_bytes=FOUR_IMAGES),
        ) as training:
            project = await training.create_project("Orchard")
            await project.create_tag("apple")
            for _ in range(2):
                await responses.acquire()
            items = [
                ImageFile(data=images.image_bytes(n), tags=["apple"] if n % 2 else [])
                for n in range(40)
            ]
            run = project.upload_images(items)
            task = asyncio.ensure_future(awaited(run))
            for _ in range(after):
                await responses.acquire()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
            report = run.report
            assert report.succeeded + report.failed + report.pending == report.submitted
            assert len(report.pending_items) == report.pending
            there = await project.count_images()
            assert report.succeeded <= there <= report.succeeded + report.pending
            again = await project.upload_images(items)
            assert again.succeeded == 40
        assert not [
            task
            for task in asyncio.all_tasks() - serving
            if "_run" in repr(task.get_coro()) and "emulator" not in repr(task)
        ]
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}
