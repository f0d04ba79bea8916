"""Checks of common client operations that must pass under all settings of the switches."""

from __future__ import annotations

import asyncio
import io
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from customvision_async import (
    ApiVersion,
    BatchError,
    Concurrency,
    ImageFile,
    Polling,
    PredictionClient,
    ProjectClient,
    Region,
    TrainingClient,
)
from customvision_async.emulator import Emulator, Switches
from tests.support.emulated_project import QUICK
from tests.support.images import image_bytes

__all__ = ["core", "failing", "hurried"]

IMAGES = [image_bytes(seed) for seed in range(40)]
BROKEN = b"\xff\xd8\xff" + b"no image after all"
RESOURCE = "/subscriptions/0/resourceGroups/1/providers/Microsoft.CognitiveServices/accounts/2"
FAST = Polling(initial_interval=0.01)


async def failing(
    rows: Iterable[Mapping[str, Any]], *, jobs: int = 8
) -> list[tuple[Mapping[str, Any], Exception]]:
    """Return the settings under which a check fails, with the error. Run `jobs` at a time."""
    places = asyncio.Semaphore(jobs)

    async def one(row: Mapping[str, Any]) -> Exception | None:
        switches = Switches(**row)
        try:
            async with places:
                with tempfile.TemporaryDirectory() as folder:
                    async with asyncio.timeout(100):
                        await core(switches, Path(folder))
            async with asyncio.timeout(100):  # outside the semaphore, because it mostly waits
                await hurried(switches)
        except Exception as error:  # noqa: BLE001  # every failure is returned
            return error
        return None

    rows = list(rows)
    found = await asyncio.gather(*map(one, rows))
    return [(row, error) for row, error in zip(rows, found, strict=True) if error is not None]


async def core(switches: Switches, folder: Path) -> None:
    """Run all checks with one emulator. Download images to `folder`."""
    emulator = Emulator(switches=switches, seed=1, training_seconds=0)
    async with (
        emulator,
        TrainingClient(
            emulator.endpoint,
            emulator.training_key,
            retry=QUICK,
            prediction_resource_id=RESOURCE,
        ) as training,
    ):
        project = await training.create_project("Orchard", "General (compact)")
        await _uploads(project, switches)
        await _downloads(project, switches, folder)
        await _deletes(project)
        await _regions(await training.create_project("Boxes", "ObjectDetection/General"))
        await _iterations(emulator, project)
        await _oldest(emulator, project.id)


async def _uploads(project: ProjectClient, switches: Switches) -> None:
    """Upload images, duplicates with another tag, and an invalid image. Lose none silently."""
    images = [ImageFile(data=IMAGES[n], tags=[("apple", "pear")[n % 2]]) for n in range(12)]
    images.insert(7, ImageFile(data=BROKEN, tags=["apple"]))
    images += [ImageFile(data=IMAGES[n], tags=["ripe"]) for n in (0, 5)]
    nameless = switches.deduplicate and not switches.duplicate_has_image
    failed = await _failed(project, images)
    bad = {7} if switches.check_images != "none" else set()
    assert failed & {7} == bad
    # If the service does not name the existing image, its tags cannot be ensured, and it fails.
    assert failed - bad <= ({0, 5, 13, 14} if nameless else set())
    held = Counter(len(image.tags) for image in await project.list_images().all())
    if switches.deduplicate and switches.duplicates_in_batch:
        added = switches.duplicate_has_image or switches.duplicate_merges_tags
        once = 1 - len(bad)  # unless images are checked, the invalid one is accepted
        assert held == Counter({1: 10 + once, 2: 2} if added else {1: 12 + once})
    again = [ImageFile(data=IMAGES[n], tags=["seen"]) for n in range(3)]
    assert await _failed(project, again) == ({0, 1, 2} if nameless else set())
    tags = {tag.name: tag.image_count async for tag in project.list_tags()}
    assert tags["seen"] >= (0 if nameless else 3)


async def _failed(project: ProjectClient, images: list[ImageFile]) -> set[int]:
    """Upload images, and return the indices of the failed ones."""
    try:
        await project.upload_images(images, create_missing_tags=True)
    except BatchError as error:
        return {failure.index for failure in error.report.failures}
    return set()


async def _downloads(project: ProjectClient, switches: Switches, folder: Path) -> None:
    """Download an image: the original bytes, or the same image encoded again."""
    if not switches.keep_images or switches.check_images == "none":
        return
    image = (await project.list_images().all())[0]
    data = (await project.download_image(image, folder / "one")).read_bytes()
    assert (data in IMAGES) == switches.originals_kept
    assert Pillow.open(io.BytesIO(data)).size == (64, 48)


async def _deletes(project: ProjectClient) -> None:
    """Delete images twice. The second time succeeds too, whatever the service responds."""
    report = await project.upload_images([IMAGES[30], IMAGES[31]])
    assert report.succeeded == 2
    gone = [
        image
        for image in await project.list_images(tagged=False).all()
        if image.width  # new images have no tags
    ]
    for _ in range(2):
        assert (await project.delete_images(gone)).succeeded == len(gone)
    assert await project.count_images(tagged=False) == 0


async def _regions(project: ProjectClient) -> None:
    """Create equal regions once, also if they differ by less than single precision."""
    image = (await _landed(project, IMAGES[0])).id
    tag = await project.create_tag("apple")
    left = [0.1, 0.2, 0.1, 0.3, 0.1 + 1e-12]
    report = await project.create_regions(
        [(image, Region(tag, value, 0.1, 0.2, 0.2)) for value in left]
    )
    assert (report.succeeded, report.duplicates) == (5, 2)
    found = await project.get_image(image)
    assert sorted(round(region.left, 5) for region in found.regions) == [0.1, 0.2, 0.3]
    deletion = await project.delete_regions([region.region_id for region in found.regions])
    assert deletion.succeeded == 3


async def _landed(project: ProjectClient, data: bytes) -> Any:
    await project.upload_images(data)
    return (await project.list_images().all())[0]


async def _iterations(emulator: Emulator, project: ProjectClient) -> None:
    """Train twice, publish, publish under the same name, predict, and export."""
    for tag in ("ripe", "seen"):  # they have too few images for training
        await project.delete_tag(tag)
    first = await project.begin_training(polling=FAST)
    second = await project.begin_training(force=True, polling=FAST)
    assert {one.id async for one in project.list_iterations()} == {first.id, second.id}
    await project.publish_iteration(first, "live")
    await project.publish_iteration(second, "live", overwrite=True)
    assert (await project.get_iteration(first)).publish_name is None
    async with PredictionClient(
        emulator.endpoint, emulator.prediction_key, retry=QUICK
    ) as prediction:
        found = await prediction.classify_image(project, "live", IMAGES[2])
    assert found.iteration == second.id
    export = await project.begin_export(second, "onnx", "onnx12", polling=FAST)
    assert (export.platform, export.flavor) == ("ONNX", "ONNX12")


async def _oldest(emulator: Emulator, project: str) -> None:
    """Use v1.2, which may list the workspace as an iteration, and null for an empty list."""
    async with TrainingClient(
        emulator.endpoint, emulator.training_key, api_version=ApiVersion.V1_2, retry=QUICK
    ) as training:
        old = training.get_project_client(project)
        before = {one.id async for one in old.list_iterations() if one.status != "New"}
        await old.upload_images([ImageFile(data=IMAGES[35], tags=["apple"])])
        made = await old.begin_training(polling=FAST)
        assert made.id not in before
        await old.delete_images(await old.list_images(tagged=False).all())
        assert await old.list_images(tagged=False).all() == []


async def hurried(switches: Switches) -> None:
    """Wait after a 429 for the requested time, whatever its format."""
    emulator = Emulator(switches=switches, calls_per_second=4)
    async with (
        emulator,
        TrainingClient(
            emulator.endpoint, emulator.training_key, concurrency=Concurrency(initial_requests=8)
        ) as training,
    ):
        await asyncio.gather(*(training.list_projects().all() for _ in range(6)))
    throttled = sum(request.status == 429 for request in emulator.requests)
    assert throttled <= 6, "a client that waits as requested is not refused repeatedly"
