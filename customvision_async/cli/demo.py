"""``customvision demo``: the main tasks, with generated images and an emulator in this process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import anyio
import anyio.to_thread
from cyclopts import Parameter

from .. import BatchReport, Concurrency, ImageFile, ProjectClient, TrainingClient
from ..sources import images_in
from ._batch_runner import BatchRunner, RunOutcome
from ._exit import CommandError, ExitCode
from ._options import OutputOptions, emulator_class
from ._output import Output
from ._signals import Interrupt
from ._stoppable_source import StoppableSource
from .upload import describe_item

__all__ = ["demo"]

_THINK_SECONDS = 0.2
_MAX_CHUNK_BYTES = 1_000_000


async def demo(
    *,
    images: Annotated[int, Parameter(help="How many images to draw.")] = 300,
    common: OutputOptions = OutputOptions(),  # noqa: B008  # frozen
    output: Annotated[Output, Parameter(parse=False)],
    interrupt: Annotated[Interrupt, Parameter(parse=False)],
) -> int:
    """Show it all in under a minute: draws images, uploads them to an emulator, lists, tags,
    untags and deletes.

    Needs no account and reaches nothing but this machine. Some of the files are bad on purpose.
    """
    if not 50 <= images <= 100_000:
        raise CommandError("--images takes 50 to 100,000")
    del common  # `output` has its settings already
    with tempfile.TemporaryDirectory(
        prefix="customvision-demo-", ignore_cleanup_errors=True
    ) as folder:
        async with _emulated(output) as training:
            return await _Demo(training, Path(folder), output, interrupt).run(images)


@asynccontextmanager
async def _emulated(output: Output) -> AsyncIterator[TrainingClient]:
    # Decode images and delay responses as the service does. Small batches make progress visible.
    emulated = emulator_class()(check_images="decode", think_seconds=_THINK_SECONDS)
    async with (
        emulated,
        TrainingClient(
            emulated.endpoint,
            emulated.training_key,
            concurrency=Concurrency(max_chunk_bytes=_MAX_CHUNK_BYTES),
        ) as training,
    ):
        output.note(
            (
                f"An emulator of the service listens at {emulated.endpoint} and thinks "
                f"{_THINK_SECONDS} s over each request"
            ),
            style="dim",
        )
        yield training


class _Demo:
    """The steps of the demo, with a table row for each."""

    def __init__(
        self, training: TrainingClient, folder: Path, output: Output, interrupt: Interrupt
    ) -> None:
        self._training = training
        self._folder = folder
        self._output = output
        self._interrupt = interrupt
        self._steps = 0
        self._rows: list[dict[str, object]] = []
        self._surprises: list[str] = []

    async def run(self, images: int) -> int:
        from . import _demo_files

        began = time.perf_counter()
        photos = self._folder / "photos"
        self._step(f"Drawing {images} images of fruit, a copy of one of them, and a few bad files")
        files = await anyio.to_thread.run_sync(_demo_files.draw_folder, photos, images)
        self._row("draw images", files.images, None, time.perf_counter() - began)

        project = await self._create("Orchard", "General")
        self._step("Uploading the folder; the names of the folders below it become tags")
        report = await self._batch(
            "upload a folder",
            "uploaded",
            lambda source: project.upload_images(source, create_missing_tags=True),
            images_in(photos, tags_from_folders=True),
            files.images + files.copies + len(files.bad) + files.others,
        )
        self._expect("images landed", files.images + files.copies, report.succeeded)
        self._expect("bad images were reported", len(files.bad), report.failed)
        self._expect("other files were left out", files.others, report.skipped)

        await self._list(project, files.images, report.succeeded)
        await self._retag(project)
        await self._regions(_demo_files.draw_scenes, max(20, images // 6))
        await self._delete(project)
        return self._close(time.perf_counter() - began)

    async def _create(self, name: str, domain: str) -> ProjectClient:
        self._step(f"Creating the project {name} (domain {domain})")
        began = time.perf_counter()
        project = await self._training.create_project(name, domain=domain)
        self._row("create a project", 1, 1, time.perf_counter() - began)
        return project

    async def _list(self, project: ProjectClient, expected: int, landed: int) -> None:
        self._step("Listing the images")
        began = time.perf_counter()
        listed = [image async for image in project.list_images()]
        self._row("list the images", len(listed), None, time.perf_counter() - began)
        self._expect("images are listed", expected, len(listed))
        self._output.line(
            f"  {len(listed):,} images for the {landed:,} files that landed: a copy is no new "
            "image (its tag goes to the one there already)"
        )
        for image in listed[:3]:
            names = ", ".join(tag.tag_name or "" for tag in image.tags)
            self._output.line(f"  {image.id}  {image.width}x{image.height}  {names}")
        tags = {tag.name: tag.image_count async for tag in project.list_tags()}
        self._output.line(
            "  " + ", ".join(f"{name}: {count}" for name, count in sorted(tags.items()))
        )

    async def _retag(self, project: ProjectClient) -> None:
        self._step("Tagging the apples as ripe, then taking it back from ten of them")
        await project.create_tag("ripe")
        apples = [image.id async for image in project.list_images(tags=["apple"])]
        await self._batch(
            "tag",
            "tagged",
            lambda source: project.tag_images(source, ["ripe"]),
            apples,
            len(apples),
        )
        await self._batch(
            "untag",
            "untagged",
            lambda source: project.untag_images(source, ["ripe"]),
            apples[:10],
            10,
        )
        self._expect(
            "images are ripe",
            len(apples) - 10,
            await project.count_images(tagged=True, tags=["ripe"]),
        )

    async def _regions(self, draw: Any, count: int) -> None:
        project = await self._create("Fruit bowls", "ObjectDetection/General")
        self._step("Uploading images with the regions where the fruits are")
        scenes = await anyio.to_thread.run_sync(draw, self._folder / "scenes", count)
        images = [ImageFile(path, regions=regions) for path, regions in scenes]
        report = await self._batch(
            "upload with regions",
            "uploaded",
            lambda source: project.upload_images(source, create_missing_tags=True),
            images,
            count,
        )
        self._expect("images with regions landed", count, report.succeeded)
        listed = [len(image.regions) async for image in project.list_images(tagged=True)]
        self._expect("regions are there", sum(len(regions) for _, regions in scenes), sum(listed))

    async def _delete(self, project: ProjectClient) -> None:
        self._step("Deleting the bananas")
        bananas = [image.id async for image in project.list_images(tags=["banana"])]
        before = await project.count_images()
        await self._batch("delete", "deleted", project.delete_images, bananas, len(bananas))
        self._expect("images are left", before - len(bananas), await project.count_images())

    async def _batch(
        self, step: str, verb: str, start: Any, source: Any, count: int
    ) -> BatchReport:
        runner = BatchRunner(
            self._output, self._interrupt, "image", verb, describe_item, lambda: count
        )

        def on_end(outcome: RunOutcome) -> None:
            for text in runner.lines(outcome):
                self._output.line(f"  {text}")

        outcome = await runner.run(start, StoppableSource([source]), on_end=on_end)
        if outcome.error is not None:
            raise outcome.error
        report = outcome.report
        self._row(step, report.succeeded, report.requests, report.seconds)
        return report

    def _step(self, text: str) -> None:
        self._steps += 1
        self._output.line(f"{self._steps}. {text}")
        self._output.event("step", text=text)

    def _row(self, step: str, items: int, requests: int | None, seconds: float) -> None:
        rate = f"{items / seconds:,.0f}" if seconds > 0 and items > 1 else ""
        shown = "" if requests is None else f"{requests:,}"
        self._rows.append(
            {
                "step": step,
                "items": f"{items:,}",
                "requests": shown,
                "seconds": f"{seconds:.2f}",
                "items/s": rate,
            }
        )

    def _expect(self, noun: str, expected: int, actual: int) -> None:
        if expected != actual:
            self._surprises.append(f"{actual} {noun}, and {expected} were expected")

    def _close(self, seconds: float) -> int:
        self._output.table("", self._rows)
        for surprise in self._surprises:
            self._output.error(surprise)
        code = ExitCode.ITEMS if self._surprises else ExitCode.OK
        text = f"Done in {seconds:.1f} s: " + (
            "not all came out as it should"
            if self._surprises
            else "everything came out as it should."
        )
        self._output.summary(
            [text],
            ok=not self._surprises,
            exit_code=int(code),
            seconds=round(seconds, 3),
            steps=self._rows,
        )
        return code
