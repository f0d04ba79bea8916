"""The jobs, done with customvision_async through its public interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from customvision_async import (
    BatchRun,
    Concurrency,
    ImageFile,
    ProjectClient,
    Region,
    TrainingClient,
    images_in,
)
from customvision_async._transport.base import Request, Response

from .worker import PROJECT, TAG, Meter, Task

__all__ = ["delete", "engine", "gap", "listing", "tag", "upload", "upload_regions"]

KEY = "0123456789abcdef0123456789abcdef"
IN_FLIGHT = Concurrency(max_requests=8, initial_requests=8)
"""As many requests as the others have threads."""


@asynccontextmanager
async def _project(task: Task) -> AsyncIterator[ProjectClient]:
    async with TrainingClient(
        task.endpoint, KEY, ca_file=task.ca, concurrency=IN_FLIGHT
    ) as training:
        project = training.get_project_client(PROJECT)
        await project.list_tags().all()  # opens a connection
        await project.delete_images([])  # triggers lazy imports
        yield project


def _run(main: Any) -> dict[str, float]:
    result: dict[str, float] = asyncio.run(main)
    return result


def upload(task: Task) -> dict[str, float]:
    """Upload a folder with one tag for all, and look at each result."""
    return _run(_upload(task, lambda: images_in(task.folder)))


def upload_regions(task: Task) -> dict[str, float]:
    """Upload a folder with a region on each image, so that the batches are JSON with base64."""

    def source() -> list[ImageFile]:
        paths = sorted(Path(task.folder).rglob("*.jpg"))
        return [ImageFile(path, regions=[Region(TAG, 0.1, 0.2, 0.3, 0.4)]) for path in paths]

    return _run(_upload(task, source))


async def _upload(task: Task, source: Callable[[], Any]) -> dict[str, float]:
    async with _project(task) as project:
        return await _sent(task, project, source)


async def _sent(task: Task, project: ProjectClient, source: Callable[[], Any]) -> dict[str, float]:
    done = 0
    with Meter() as meter:
        async with project.upload_images(source()) as run:
            async for result in run:
                assert result.ok, result.error
                done += 1
    assert done == task.count, run.report
    return meter.counted(done, requests=run.progress.requests, bytes=run.progress.bytes_sent)


def gap(task: Task) -> dict[str, float]:
    """Measure how long the event loop is blocked during an upload, in milliseconds per iteration.

    `largest` and `p99` are CPU time of the process. It includes all threads, because a thread that
    holds the GIL blocks the loop too, and excludes the time that other programs had the core.
    `clock` is the largest by wall clock.
    """

    async def main() -> dict[str, float]:
        held: list[float] = []
        clock = 0.0

        async def tick() -> None:
            nonlocal clock
            while True:
                began, cpu = time.perf_counter(), time.process_time()
                await asyncio.sleep(0)
                held.append(time.process_time() - cpu)
                clock = max(clock, time.perf_counter() - began)

        async with _project(task) as project:
            ticking = asyncio.ensure_future(tick())
            result = await _sent(task, project, lambda: images_in(task.folder))
            ticking.cancel()
        # Idle iterations would flatter the percentile.
        held = sorted(one for one in held if one > 0.0002)
        return {
            **result,
            "largest": held[-1] * 1e3,
            "p99": held[len(held) * 99 // 100] * 1e3,
            "clock": clock * 1e3,
        }

    return _run(main())


def listing(task: Task) -> dict[str, float]:
    """List every image of the project."""

    async def main() -> dict[str, float]:
        async with _project(task) as project:
            done = 0
            with Meter() as meter:
                async for image in project.list_images():
                    done += bool(image.id)
            assert done == task.count
            return meter.counted(done)

    return _run(main())


def delete(task: Task) -> dict[str, float]:
    """Delete images by id."""

    async def main() -> dict[str, float]:
        ids = task.ids()
        async with _project(task) as project:
            return await _awaited(project.delete_images(ids), len(ids))

    return _run(main())


def tag(task: Task) -> dict[str, float]:
    """Put one tag on each image: as many pairs as images."""

    async def main() -> dict[str, float]:
        ids = task.ids()
        async with _project(task) as project:
            return await _awaited(project.tag_images(ids, [TAG]), len(ids))

    return _run(main())


async def _awaited(run: BatchRun[Any, Any], count: int) -> dict[str, float]:
    with Meter() as meter:
        report = await run
    assert report.succeeded == count
    return meter.counted(count, requests=report.requests)


async def _watched(start: Callable[[], Any], count: int) -> dict[str, float]:
    done = 0
    with Meter() as meter:
        async with start() as run:
            async for result in run:
                done += result.ok
    assert done == count
    return meter.counted(done, requests=run.progress.requests)


class _Nowhere:
    """A transport that sends nothing and responds at once."""

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        if on_sent is not None:
            on_sent()
        await asyncio.sleep(0)
        return Response(204, {}, b"")

    async def aclose(self) -> None:
        pass


def engine(task: Task) -> dict[str, float]:
    """Delete images by id with nothing behind the pipeline, to measure the engine itself."""

    async def main() -> dict[str, float]:
        ids: Iterable[str] = task.ids()
        async with TrainingClient("https://example.invalid", KEY, transport=_Nowhere()) as training:
            await training.get_project_client(PROJECT).delete_images([])
            return await _watched(
                lambda: training.get_project_client(PROJECT).delete_images(ids), task.count
            )

    return _run(main())
