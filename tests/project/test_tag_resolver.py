"""Missing tags are created while images are uploaded, several at a time and once each."""

from __future__ import annotations

from collections import Counter

import pytest

from customvision_async import Concurrency, ImageFile, Region
from tests.support.emulated_project import project_on_emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio


def images(tags: int, each: int) -> list[ImageFile]:
    """Return `each` small images for every one of `tags` tags."""
    return [
        ImageFile(data=b"GIF89a" + bytes([tag, number, 1]), tags=[f"tag {tag}"])
        for tag in range(tags)
        for number in range(each)
    ]


async def test_the_first_images_land_while_later_tags_are_created() -> None:
    """The creation of 40 tags does not hold up the images that need the first of them."""
    async with project_on_emulator(check_images="none", think_seconds=0.02) as one:
        report = await one.project.upload_images(images(40, 64), create_missing_tags=True)
        assert report.succeeded == 40 * 64
        operations = [record.operation for record in one.emulator.requests]
        assert Counter(operations)["CreateTag"] == 40
        first_upload = operations.index("CreateImagesFromData")
        assert operations[first_upload:].count("CreateTag") > 20
        assert await one.tag_counts() == {f"tag {tag}": 64 for tag in range(40)}


async def test_chunks_with_the_same_tag_create_it_once() -> None:
    """The chunks that come while it is being created wait for it."""
    async with project_on_emulator(check_images="none", think_seconds=0.05) as one:
        await one.project.upload_images(
            [ImageFile(data=b"GIF89a" + n.to_bytes(2, "big"), tags=["a"]) for n in range(640)],
            create_missing_tags=True,
        )
        assert one.asked("CreateTag") == 1
        assert await one.tag_counts() == {"a": 640}


async def test_names_that_differ_in_case_are_one_tag() -> None:
    """The service takes them for the same name, so an image with both has one tag."""
    async with project_on_emulator() as one:
        await one.project.upload_images(
            [ImageFile(data=image_bytes(1), tags=["Apple", "apple"])], create_missing_tags=True
        )
        (image,) = await one.images()
        assert len(image.tags) == 1


async def test_the_tag_of_a_region_is_created() -> None:
    async with project_on_emulator(domain="ObjectDetection/General") as one:
        region = Region("wheel", 0.1, 0.1, 0.2, 0.2)
        await one.project.upload_images(
            [ImageFile(data=image_bytes(1), regions=[region])], create_missing_tags=True
        )
        (image,) = await one.images()
        assert [found.tag_name for found in image.regions] == ["wheel"]


async def test_one_request_at_a_time_is_enough() -> None:
    """A chunk that waits for the tag of another one holds no slot that the creation needs."""
    async with project_on_emulator(
        check_images="none", concurrency=Concurrency(max_requests=1)
    ) as one:
        report = await one.project.upload_images(images(6, 3), create_missing_tags=True)
        assert report.succeeded == 18
