"""One image at a time: uploaded by a web handler, and downloaded to memory."""

from __future__ import annotations

from typing import Any

import pytest

from customvision_async import (
    AuthenticationError,
    ImageFile,
    ItemError,
    LimitExceeded,
    TrainingClient,
)
from tests.support.emulated_project import project_on_emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio


class WebUpload:
    """An upload as a web framework gives it: an asynchronous file with a file name."""

    def __init__(self, data: bytes, filename: str) -> None:
        self.data, self.filename = data, filename

    async def read(self, size: int = -1, /) -> bytes:
        """Return the content, once."""
        data, self.data = self.data, b""
        return data


async def test_an_image_is_uploaded_and_returned() -> None:
    async with project_on_emulator() as one:
        image = await one.project.upload_image(image_bytes(1), ["a"], create_missing_tags=True)
        assert await one.tag_counts() == {"a": 1}
        assert image.id in {stored.id for stored in await one.images()}


async def test_a_duplicate_returns_the_image_that_is_there_with_its_new_tag() -> None:
    async with project_on_emulator(tags=("a", "b")) as one:
        first = await one.project.upload_image(image_bytes(1), ["a"])
        second = await one.project.upload_image(image_bytes(1), ["b"])
        assert second.id == first.id
        assert await one.tag_counts() == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (b"no image", ItemError, "not a JPEG"),
        (ImageFile(data=image_bytes(1), metadata={"k" * 129: ""}), LimitExceeded, "metadata key"),
        (image_bytes(1, size=(8, 400)), LimitExceeded, "aspect ratio"),
        (3, ItemError, "is not an image"),
    ],
)
async def test_a_failure_raises_the_error_of_the_image(
    image: Any, error: type[Exception], words: str
) -> None:
    async with project_on_emulator() as one:
        with pytest.raises(error, match=words):
            await one.project.upload_image(image)


async def test_a_failure_of_the_service_raises_its_own_error() -> None:
    async with (
        project_on_emulator() as one,
        TrainingClient(one.emulator.endpoint, "wrong") as other,
    ):
        with pytest.raises(AuthenticationError):
            await other.get_project_client(one.project.id).upload_image(image_bytes(1))


async def test_the_upload_of_a_web_framework_is_an_image() -> None:
    """It is read once, whole, and results are named after its file name."""
    async with project_on_emulator() as one:
        image = await one.project.upload_image(WebUpload(image_bytes(1), "a.jpg"))
        assert image.width == 64
        async with one.project.upload_images(
            [WebUpload(image_bytes(n), f"{n}.jpg") for n in range(2, 5)]
            + [WebUpload(b"x", "x.jpg")]
        ) as run:
            results = {result.index: result async for result in run}
        assert [results[place].ok for place in range(4)] == [True, True, True, False]
        assert "x.jpg" in str(results[3].error)
        assert "x.jpg" in str(results[3])


async def test_an_asynchronous_stream_that_returns_little_at_a_time_is_read_to_its_end() -> None:
    """As the body of a response does. A part of an image would be stored as if it were whole."""

    class Stream(WebUpload):
        async def read(self, size: int = -1, /) -> bytes:
            part, self.data = self.data[:100], self.data[100:]
            return part

    async with project_on_emulator() as one:
        image = await one.project.upload_image(Stream(image_bytes(1), "a.jpg"))
        assert await one.project.download_image(image) == image_bytes(1)


async def test_an_image_is_downloaded_to_memory() -> None:
    async with project_on_emulator() as one:
        image = await one.project.upload_image(image_bytes(1))
        assert await one.project.download_image(image) == image_bytes(1)
        assert await one.project.download_image(image.id) == image_bytes(1)
