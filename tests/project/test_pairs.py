"""Tags and metadata by pairs: each image with its own."""

from __future__ import annotations

import pytest

from customvision_async import BatchError, ImageFile
from tests.support.emulated_project import EmulatedProject, project_on_emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio


async def upload(one: EmulatedProject, count: int) -> list[str]:
    """Upload images with the tags "a" and "b", and return their ids."""
    await one.project.upload_images(
        [ImageFile(data=image_bytes(n), tags=["a", "b"]) for n in range(count)]
    )
    one.forget()
    return [image.id for image in await one.images()]


async def test_each_image_gets_the_tags_of_its_pair() -> None:
    """A chunk holds pairs with any tags, and missing tags are created if that is asked for."""
    async with project_on_emulator(tags=("a", "b")) as one:
        ids = await upload(one, 6)
        pairs = [(id, ["c"] if place % 2 else ["c", "d"]) for place, id in enumerate(ids)]
        async with one.project.tag_images(pairs, create_missing_tags=True) as run:
            results = [result async for result in run]
        assert all(result.ok for result in results)
        assert sorted(result.item for result in results) == sorted(pairs)
        assert await one.tag_counts() == {"a": 6, "b": 6, "c": 6, "d": 3}
        assert one.asked("CreateImageTags") == 1
        assert one.asked("CreateTag") == 2


async def test_each_image_loses_the_tags_of_its_pair() -> None:
    """One request removes the same tags from all its images, so pairs are grouped by tags."""
    async with project_on_emulator(tags=("a", "b")) as one:
        ids = await upload(one, 6)
        pairs = [(id, ["a"] if place % 2 else ["b", "a"]) for place, id in enumerate(ids)]
        await one.project.untag_images(pairs)
        assert await one.tag_counts() == {"b": 3}
        assert one.asked("DeleteImageTags") == 2


async def test_each_image_gets_the_metadata_of_its_pair() -> None:
    async with project_on_emulator(tags=("a", "b")) as one:
        ids = await upload(one, 3)
        await one.project.update_image_metadata([(id, {"name": id[:8]}) for id in ids])
        found = {image.id: dict(image.metadata or {}) for image in await one.images()}
        assert found == {id: {"name": id[:8]} for id in ids}


async def test_a_bad_pair_fails_alone() -> None:
    """An unknown tag, one string for tags, and an item that is no pair cost the others nothing."""
    async with project_on_emulator(tags=("a", "b", "c")) as one:
        ids = await upload(one, 4)
        bad = [(ids[0], ["zzz"]), (ids[1], "c"), ids[2], ("no id", ["c"])]
        with pytest.raises(BatchError) as caught:
            await one.project.tag_images([*bad, (ids[3], ["c"])])  # type: ignore[list-item]
        report = caught.value.report
        assert report.succeeded == 1
        texts = [str(result.error) for result in report.failures]
        assert "no tag 'zzz'" in texts[0]
        assert "tags=['c']" in texts[1]
        assert "not a pair" in texts[2]
        assert (await one.tag_counts())["c"] == 1


async def test_missing_tags_are_created_for_all_images() -> None:
    async with project_on_emulator(tags=("a", "b")) as one:
        ids = await upload(one, 3)
        await one.project.tag_images(ids, ["a", "new"], create_missing_tags=True)
        assert await one.tag_counts() == {"a": 3, "b": 3, "new": 3}
