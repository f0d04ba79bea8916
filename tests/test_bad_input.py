"""Bad input or a bad service raises a clear, typed error or is reported, and never affects good
input.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from customvision_async import (
    AuthenticationError,
    BatchError,
    ConnectError,
    CustomVisionError,
    DecodeError,
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    NotFoundError,
    Region,
    RequestTimeout,
    Retry,
    TrainingClient,
    TransportError,
)

from .support.emulated_project import QUICK, project_on_emulator
from .support.images import fill, image_bytes

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

IMAGES = [image_bytes(seed, size=(24, 16)) for seed in range(200)]


def reasons(error: BatchError) -> dict[int, str]:
    """Return the messages of the failed items by index."""
    assert all(failure.error is not None for failure in error.report.failures)
    return {failure.index: str(failure.error) for failure in error.report.failures}


async def test_every_bad_item_fails_alone_and_says_why(tmp_path: Path) -> None:
    """One bad item of each kind among good ones: each has its reason, and the good ones succeed."""
    empty, text, fifo = tmp_path / "empty.jpg", tmp_path / "text.jpg", tmp_path / "fifo.jpg"
    empty.touch()
    text.write_text("a text")
    os.mkfifo(fifo)
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    jpeg = IMAGES[0]
    box = Region("a", 0.1, 0.1, 0.2, 0.2)
    bad: list[tuple[Any, str]] = [
        (empty, "0 bytes"),
        (text, "not a JPEG"),
        (fifo, "not a regular file"),
        (tmp_path / "loop.jpg", "cannot be read"),
        (tmp_path / "gone.jpg", "No such file"),
        (tmp_path, "images_in"),
        ("nul\0.jpg", "cannot be read"),
        (b"", "0 bytes"),
        (jpeg + bytes(6 * 1024 * 1024), "size of a training image"),
        (5, "int is not an image"),
        (None, "NoneType is not an image"),
        (["a"], "list is not an image"),
        (ImageFile(data=jpeg, tags=["unknown"]), "no tag 'unknown'"),
        (ImageFile(data=jpeg, tags=[5]), "a tag must be a name"),
        (ImageFile(data=jpeg, tags=[["a"]]), "list"),
        (
            ImageFile(data=jpeg, regions=[Region("a", 0.9, 0.9, 0.2, 0.2)]),
            "exceeds the image",
        ),
        (ImageFile(data=jpeg, regions=[Region("a", 0.5, 0.5, 100, 100)]), "not pixels"),
        (ImageFile(data=jpeg, regions=[Region("a", float("inf"), 0, 1, 1)]), "finite"),
        (ImageFile(data=jpeg, regions=[Region("unknown", 0, 0, 1, 1)]), "no tag 'unknown'"),
        (ImageFile(data=jpeg, regions=[("a", 0, 0, 1, 1)]), "a region must be a Region"),
        (ImageFile(data=jpeg, metadata={"k" * 129: "v"}), "length of a metadata key"),
        (ImageFile(data=jpeg, metadata={"k": "v" * 257}), "length of a metadata value"),
        (ImageFile(data=jpeg, metadata={str(n): "" for n in range(11)}), "metadata pairs"),
        (ImageFile(data=jpeg, metadata={"k": 5}), "text to text"),
        (ImageFile(data=jpeg, metadata=["k"]), "mapping"),
        (ImageUrl("http://127.0.0.1:9/\nX: y"), "line break"),
        (ImageUrl("ftp://nowhere/"), "could not fetch"),
        (ImageFromPrediction("no-id"), "must be an id"),
        (ImageFromPrediction(uuid4()), "ErrorSource"),
        (ImageFile(data=b"\xff\xd8\xff cut short"), "ErrorImageFormat"),
        (ImageFile(data=jpeg[:2] + b"\xff", tags=["a"]), "ErrorImageFormat"),
    ]
    given: list[Any] = []
    for number, (item, _) in enumerate(bad):
        given += [
            item,
            ImageFile(data=IMAGES[number], tags=["a"], regions=[box] if number % 3 else []),
        ]
    async with project_on_emulator(domain="ObjectDetection/General", tags=("a",)) as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given)
        said = reasons(caught.value)
        assert sorted(said) == list(range(0, 2 * len(bad), 2))
        for number, (_, words) in enumerate(bad):
            assert words in said[2 * number], (words, said[2 * number])
        assert caught.value.report.succeeded == len(await one.images()) == len(bad)


async def test_a_surrogate_in_metadata_costs_its_own_image_alone() -> None:
    """Text that cannot be encoded fails only its item."""
    async with project_on_emulator() as one:
        given = [
            ImageFile(data=IMAGES[n], metadata={"k": "\udce9" if n == 3 else "v"}) for n in range(6)
        ]
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given)
        assert list(reasons(caught.value)) == [3]


async def test_a_stale_tag_costs_its_own_images_alone() -> None:
    """A deleted tag, by model and by id: its images fail with the service's reason."""
    async with project_on_emulator(tags=("a", "gone")) as one:
        gone = await one.project.get_tag("gone")
        await one.project.delete_tag("gone")
        given = [
            ImageFile(data=IMAGES[n], tags=[gone] if n % 10 == 3 else ["a"]) for n in range(40)
        ]
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(given)
        assert list(reasons(caught.value)) == [3, 13, 23, 33]
        assert await one.tag_counts() == {"a": 36}


async def verbs(client: TrainingClient, project_id: str) -> None:
    """Return a call of every method that sends requests. None of them can succeed."""
    project = client.get_project_client(project_id)
    id = uuid4()
    for begin in (
        lambda: project.upload_images(IMAGES[:3]),
        lambda: project.upload_images([ImageFile(data=IMAGES[0], tags=["a"])]),
        lambda: project.delete_images([id]),
        lambda: project.tag_images([id], [uuid4()]),
        lambda: project.untag_images([id], [uuid4()]),
        lambda: project.create_regions([(id, Region(uuid4(), 0, 0, 1, 1))]),
        lambda: project.delete_regions([id]),
        lambda: project.update_image_metadata([id], {"a": "b"}),
    ):
        with pytest.raises(BatchError) as caught:
            await begin()
        assert isinstance(caught.value.__cause__, EXPECTED), caught.value.__cause__
        assert isinstance(caught.value.report.failures[0].error.__cause__, EXPECTED)
        with pytest.raises(EXPECTED):
            async with begin() as run:
                async for result in run:
                    assert not result.ok
    for wait in (project.list_images().all, project.list_tags().all, project.count_images):
        with pytest.raises(EXPECTED):
            await wait()


EXPECTED = (AuthenticationError, NotFoundError, ConnectError)


async def test_a_wrong_key() -> None:
    """Every method raises AuthenticationError, which says where to find the key, without a
    retry.
    """
    async with (
        project_on_emulator() as one,
        TrainingClient(one.emulator.endpoint, "0" * 32, retry=QUICK) as client,
    ):
        await verbs(client, one.project.id)
        assert len(one.emulator.requests) <= 24
        with pytest.raises(AuthenticationError, match="Keys and Endpoint"):
            await client.list_projects().all()


@pytest.mark.parametrize("early", [True, False])
async def test_a_wrong_key_stops_an_endless_upload(early: bool) -> None:
    """Pulling ends at the first refusal."""

    async def endless() -> Any:
        number = 0
        while True:
            yield IMAGES[number % 200]
            number += 1

    async with (
        project_on_emulator(refuse_early=early) as one,
        TrainingClient(one.emulator.endpoint, "0" * 32, retry=QUICK) as client,
    ):
        run = client.get_project_client(one.project.id).upload_images(endless())
        with pytest.raises(BatchError) as caught:
            await run
        assert isinstance(caught.value.__cause__, AuthenticationError)
        assert len(one.emulator.requests) <= 80
        assert run.report.pending == 0


async def test_a_key_that_is_revoked_in_mid_run() -> None:
    """Uploaded images are reported as such, the rest with the reason."""
    async with project_on_emulator() as one:
        run = one.project.upload_images(IMAGES)
        one.emulator.faults.add("slow_answer", seconds=0.2, after=1, times=None)
        with pytest.raises(AuthenticationError):
            async with run:
                async for result in run:
                    if result.ok:
                        one.emulator.training_key = "1" * 32
        report = run.report
        assert report.submitted == report.succeeded + report.failed
        assert report.succeeded >= 1


async def test_a_wrong_endpoint() -> None:
    """Without a server, ConnectError after the attempts of the options.

    If the server is of another kind, NotFoundError.
    """
    async with TrainingClient("http://127.0.0.1:9", "0" * 32, retry=QUICK) as client:
        await verbs(client, str(uuid4()))
    for wrong in ("http://example.invalid", "http://127.0.0.1:9/else/where", "127.0.0.1", ""):
        with pytest.raises(ValueError):
            TrainingClient(wrong, "0" * 32)

    async def page(request: web.Request) -> web.Response:
        return web.Response(
            status=404, text="<html><title>Nothing here</title></html>", content_type="text/html"
        )

    async with (
        TestServer(_app(page)) as server,
        TrainingClient(f"http://127.0.0.1:{server.port}", "0" * 32, retry=QUICK) as client,
    ):
        await verbs(client, str(uuid4()))
        with pytest.raises(NotFoundError, match="VISION_TRAINING_ENDPOINT"):
            await client.list_projects().all()


def _app(handler: Any) -> web.Application:
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{tail:.*}", handler)
    return app


async def test_a_host_that_never_answers_a_connect_ends_the_run() -> None:
    """A firewall drops the packets: an endless upload ends with a typed error."""

    class Dropped:
        async def send(self, request: Any, headers: Any, *, on_sent: Any = None) -> Any:
            raise RequestTimeout(
                "no connection within 15 s", operation=request.operation, sent=False
            )

        async def aclose(self) -> None:
            pass

    def endless() -> Any:
        while True:
            yield IMAGES[0]

    async with TrainingClient(
        "http://127.0.0.1:9", "0" * 32, retry=QUICK, transport=Dropped()
    ) as client:
        with pytest.raises(BatchError) as caught:
            await client.get_project_client(uuid4()).upload_images(endless())
        assert isinstance(caught.value.__cause__, RequestTimeout)


async def test_a_project_that_is_not_there() -> None:
    """Every method raises NotFoundError. A search by name lists the existing projects."""
    async with project_on_emulator() as one:
        await verbs(one.training, str(uuid4()))
        with pytest.raises(NotFoundError, match="'Orchard'"):
            await one.training.find_project("Orchid")
        with pytest.raises(ValueError, match="must be an id"):
            one.training.get_project_client("Orchard")


async def test_a_project_deleted_in_mid_run() -> None:
    """The run ends with NotFoundError. Earlier uploads are counted, and nothing hangs or is sent
    forever.
    """
    async with project_on_emulator() as one:
        one.emulator.faults.add(
            "slow_answer", operation="CreateImagesFromData", seconds=0.1, after=1, times=None
        )

        async def source() -> Any:
            for number in range(100_000):
                yield IMAGES[number % 200]
                if number == 300:
                    await one.training.delete_project(one.project.id)

        run = one.project.upload_images(source())
        with pytest.raises(NotFoundError):
            async with run:
                async for _ in run:
                    pass
        report = run.report
        assert report.submitted == report.succeeded + report.failed < 100_000
        assert report.failed > 0
        assert isinstance(report.abort_cause, NotFoundError)
        assert one.asked() < 100


@pytest.mark.parametrize(
    "kind",
    [
        "html",
        "garbage",
        "wrong_shape",
        "empty",
        "truncated_answer",
        "wrong_length",
        "reset",
        "reset_in_body",
        "lost_answer",
    ],
)
async def test_a_service_that_answers_rubbish(kind: Any) -> None:
    """Forever: every method ends with a typed error after a bounded number of requests.

    Once: everything succeeds, and nothing exists twice.
    """
    async with project_on_emulator(
        tags=("a",), retry=Retry(max_attempts=2, initial_backoff=0.001, retry_ratio=1.0)
    ) as one:
        one.emulator.faults.add(kind, times=None)
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(IMAGES[:20])
        assert len(caught.value.report.failures) == 20
        for failure in caught.value.report.failures:
            assert failure.error is not None
            assert isinstance(failure.error.__cause__, (DecodeError, TransportError))
        assert one.asked() <= 2 * 40
        for wait in (
            one.project.list_images().all,
            one.project.list_tags().all,
            one.project.count_images,
            lambda: one.project.create_tag("b"),
        ):
            with pytest.raises(CustomVisionError) as raised:
                await wait()
            assert isinstance(raised.value, (DecodeError, TransportError))
        one.emulator.faults.clear()
        one.emulator.faults.add(kind)
        report = await one.project.upload_images(IMAGES[:100], tags=["a"])
        assert report.succeeded == 100
        assert len(await one.images()) == 100
        assert await one.tag_counts() == {"a": 100}


async def test_a_service_that_answers_nothing_can_be_left() -> None:
    """The service never responds: the run can be left at any time, and leaves no task behind."""
    async with project_on_emulator() as one:
        one.emulator.faults.add("hang", times=None)
        before = asyncio.all_tasks()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await one.project.upload_images(IMAGES)
        async with one.project.upload_images(IMAGES) as run:
            await asyncio.sleep(0.2)
        assert run.report.pending == run.report.submitted == len(run.report.pending_items) > 0
        mine = {
            task
            for task in asyncio.all_tasks() - before
            if "customvision_async._batch" in repr(task)
        }
        assert not mine


async def test_a_service_that_is_down_gets_few_requests() -> None:
    """503 and 500 for everything: 2,000 images fail with the reason after about one request per
    chunk.
    """
    for status in (503, 500):
        async with project_on_emulator(retry=Retry(max_attempts=1)) as one:
            one.emulator.faults.add("status", status=status, times=None)
            with pytest.raises(BatchError) as caught:
                await one.project.upload_images(IMAGES[number % 200] for number in range(2000))
            assert caught.value.report.failed == 2000
            assert caught.value.dropped == 1980
            assert one.asked() <= 1.2 * 2000 / 64 + 64


async def test_two_files_of_one_name(tmp_path: Path) -> None:
    """The same name in two folders, and twice in memory: each has its own result."""
    fill(tmp_path, ("a", "b"), 2)
    async with project_on_emulator() as one:
        async with one.project.upload_images(
            [
                *[ImageFile(path) for path in sorted(tmp_path.rglob("*.*"))],
                *(ImageFile(data=IMAGES[n], name="000.jpg") for n in range(2)),
            ]
        ) as upload:
            images = {result.index: result.image.id async for result in upload if result.image}
        assert len(set(images.values())) == 6
        assert len(images) == 6


async def test_follow_ups_that_fail_say_that_the_image_is_there() -> None:
    """The image is uploaded, but not all its tags (or regions): a failure that holds the image.

    Other images are not affected.
    """
    names = tuple(f"t{number}" for number in range(25))
    boxes = [Region(name, 0, 0, 0.5, 0.5) for name in names]
    for operation in ("CreateImageTags", "GetImagesByIds", "CreateImageRegions"):
        async with project_on_emulator(domain="ObjectDetection/General", tags=names) as one:
            one.emulator.faults.add("status", operation=operation, status=400, times=None)
            given = [
                ImageFile(data=IMAGES[0], tags=names)
                if operation == "CreateImageTags"
                else ImageFile(data=IMAGES[0], regions=boxes),
                *IMAGES[1:10],
            ]
            with pytest.raises(BatchError) as caught:
                await one.project.upload_images(given)
            (failure,) = caught.value.report.failures
            assert (failure.index, failure.ok) == (0, False)
            assert failure.image is not None
            assert failure.image.id in {image.id for image in await one.images()}
            assert "could not be added" in str(failure.error)
            assert len(await one.images()) == 10
