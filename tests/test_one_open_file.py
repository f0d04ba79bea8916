"""One open file in many items, runs and requests: each reads all of it, and its position is
restored.
"""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import anyio
import pytest

from customvision_async import BatchError, Concurrency, ImageFile, PredictionClient

from .support.emulated_project import project_on_emulator
from .support.images import image_bytes
from .support.trained_project import project_with_images, serving, trained

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

BEFORE = b"not part of the image"
IMAGE = image_bytes(1)


class Shared(io.BytesIO):
    """A file that yields to other threads between two calls, and counts its concurrent users."""

    def __init__(self, data: bytes = BEFORE + IMAGE, at: int = len(BEFORE)) -> None:
        super().__init__(data)
        super().seek(at)
        self._user = 0
        self.disturbed = 0
        """How often a thread read after another one had moved the position."""

    def seek(self, offset: int, whence: int = 0) -> int:
        self._user = threading.get_ident()
        place = super().seek(offset, whence)
        time.sleep(0)
        return place

    def read(self, size: int | None = -1) -> bytes:
        self.disturbed += size != 0 and self._user != threading.get_ident()
        return super().read(size)


async def test_one_open_file_in_many_items() -> None:
    """Every item is that image, while other items of the run are sent and inspected."""
    file = Shared()
    async with project_on_emulator(
        tags=("a",), concurrency=Concurrency(max_chunk_bytes=4 * len(IMAGE))
    ) as one:
        items = [ImageFile(file=file, name=str(number), tags=["a"]) for number in range(60)]
        report = await one.project.upload_images(items)
        assert (report.succeeded, report.duplicates) == (60, 59)
        assert [image.tags[0].tag_name for image in await one.images()] == ["a"]
    assert file.disturbed == 0
    assert file.read() == IMAGE


async def test_one_open_file_of_the_system_in_many_items(tmp_path: Path) -> None:
    """A real file, given as it is and as an ImageFile, from its current position."""
    path = tmp_path / "two.bin"
    path.write_bytes(BEFORE + IMAGE)
    with path.open("rb") as buffered, path.open("rb", buffering=0) as raw:
        for file in (buffered, raw):
            file.seek(len(BEFORE))
        async with project_on_emulator() as one:
            report = await one.project.upload_images(
                [item for _ in range(30) for item in (buffered, raw, ImageFile(file=raw))]
            )
            assert report.succeeded == 90
        assert (buffered.tell(), raw.tell()) == (len(BEFORE), len(BEFORE))


async def test_one_open_file_in_several_runs_and_calls_at_once() -> None:
    """Uploads, predictions and single requests share it."""
    file = Shared()
    async with serving() as (emulator, training):
        project = await project_with_images(training)
        await project.publish_iteration(await trained(project), "production")
        async with (
            PredictionClient(emulator.endpoint, emulator.prediction_key) as prediction,
            anyio.create_task_group() as tasks,
        ):

            async def upload() -> None:
                assert (await project.upload_images([file] * 40)).succeeded == 40

            async def predict() -> None:
                run = prediction.classify_images(project.id, "production", [file] * 20)
                assert (await run).succeeded == 20

            async def call() -> None:
                for _ in range(10):
                    await training.operations.create_images_from_data(project.id, [file])
                    await prediction.classify_image(project.id, "production", file)

            for work in (upload, upload, predict, call, call):
                tasks.start_soon(work)
    assert file.disturbed == 0
    assert file.read() == IMAGE


@pytest.mark.parametrize("content", [b"", b"a text", IMAGE[:20], IMAGE + bytes(7 << 20)], ids=len)
async def test_the_position_is_put_back_in_a_file_that_cannot_be_uploaded(content: bytes) -> None:
    """This holds whatever is wrong with its content."""
    file = Shared(BEFORE + content)
    async with project_on_emulator() as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images([file] * 20)
        assert caught.value.report.failed == 20
    assert file.read() == content


async def test_a_stream_that_cannot_seek_is_one_item() -> None:
    """It is read once. Further items with it fail with the reason."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError("Illegal seek")

    pipe = Pipe(IMAGE)
    async with project_on_emulator() as one:
        with pytest.raises(BatchError, match="can be given once") as caught:
            await one.project.upload_images([pipe] * 3)
        assert (caught.value.report.succeeded, caught.value.report.failed) == (1, 2)
