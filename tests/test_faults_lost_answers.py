"""Lost responses: for every operation with an effect, under every switch, the final state
is exact.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from customvision_async import (
    BatchError,
    CustomVisionError,
    ImageFile,
    ImageUrl,
    Region,
    ResponseLost,
)
from customvision_async.emulator import Switches

from .support.emulated_project import EmulatedProject, found, project_on_emulator
from .support.images import image_bytes

pytestmark = pytest.mark.anyio

IMAGES = [image_bytes(seed, size=(24, 16)) for seed in range(20)]
TAGS = ("apple", "pear", "gone", "old name", *(f"t{number}" for number in range(21)))
BATCHES = (
    "CreateImagesFromData",
    "CreateImagesFromFiles",
    "CreateImagesFromUrls",
    "CreateImageTags",
    "DeleteImageTags",
    "CreateImageRegions",
    "DeleteImageRegions",
    "UpdateImageMetadata",
    "DeleteImages",
    "CreateTag",
    "UpdateTag",
    "DeleteTag",
)
"""The operations with an effect that `work` calls."""
READS = ("GetTags", "GetImages", "GetImageCount", "GetImagesByIds")

State = Counter[tuple[bytes, tuple[str, ...], tuple[tuple[Any, ...], ...], str]]


async def work(one: EmulatedProject) -> int:
    """Call every method on images, tags and regions once. Return the number of items in doubt."""
    project, in_doubt = one.project, 0
    box = Region("pear", 0.125, 0.25, 0.5, 0.5)
    first = project.upload_images([ImageFile(data=data, tags=["apple"]) for data in IMAGES[:6]])
    async with first:
        results = sorted([result async for result in first], key=lambda result: result.index)
    ids = [
        found(one, IMAGES[result.index]) if result.image is None else result.image.id
        for result in results
    ]
    mixed = [ImageFile(data=IMAGES[6 + number], tags=[f"t{number}"]) for number in range(3)]
    mixed += [
        ImageFile(data=IMAGES[9], tags=["apple"], regions=[box]),
        ImageFile(data=IMAGES[10], tags=TAGS[4:]),
    ]
    uri = "data:image/jpeg;base64," + base64.b64encode(IMAGES[11]).decode()
    again = [
        ImageFile(data=IMAGES[0], tags=["pear"], regions=[Region("apple", 0.0, 0.0, 0.25, 0.25)])
    ]
    runs = [first]
    for items in (
        mixed,
        [ImageUrl(uri, tags=["apple"])],
        [ImageFile(data=IMAGES[12], tags=["made"])],
        again,
    ):
        runs.append(project.upload_images(items, create_missing_tags=True))
        with suppress(BatchError):  # a duplicate that the response does not name
            await runs[-1]
    boxes = project.create_regions([(id, box) for id in ids[:3]])
    async with boxes:
        regions = [
            result.value
            for result in sorted(
                [result async for result in boxes], key=lambda result: result.index
            )
        ]
    for run in (
        project.tag_images(ids[:4], ["pear", "gone"]),
        project.untag_images(ids[:3], ["apple"]),
        project.delete_regions(regions[:2]),
        project.update_image_metadata(ids[:3], {"of": "it"}),
        project.delete_images(ids[4:]),
    ):
        await run
    await project.update_tag("old name", name="new name")
    await project.delete_tag("gone")
    await project.list_images(page_size=4).all()
    await project.count_images()
    return in_doubt + sum(run.report.in_doubt for run in runs)


def state(one: EmulatedProject) -> tuple[State, list[str]]:
    """Return the content of the project.

    Each image has its content, tags, regions and metadata. The tags are listed too.
    """
    assert one.emulator._resource is not None
    database = one.emulator._resource.state
    names = {row["id"]: row["name"] for row in database.rows("SELECT id, name FROM tags")}
    held: State = Counter()
    for image in database.rows("SELECT * FROM images"):
        tags = sorted(
            names[row["tag"]]
            for row in database.rows("SELECT tag FROM image_tags WHERE image = ?", image["id"])
        )
        query = "SELECT tag, left, top, width, height FROM regions WHERE image = ?"
        boxes = sorted(
            (names[row["tag"]], *tuple(row)[1:]) for row in database.rows(query, image["id"])
        )
        metadata = json.dumps(json.loads(image["metadata"] or "null"), sort_keys=True)
        held[image["digest"], tuple(tags), tuple(boxes), metadata] += 1
    return held, sorted(names.values())


async def outcome(switches: Switches, *lost: str) -> tuple[State, list[str], int]:
    """Return the state after the work, with the first response of each operation of `lost` lost."""
    async with project_on_emulator(
        domain="ObjectDetection/General", tags=TAGS, switches=switches
    ) as one:
        faults = [one.emulator.faults.add("lost_answer", operation=operation) for operation in lost]
        in_doubt = await work(one)
        assert [fault.hits for fault in faults] == [1] * len(lost), lost
        return (*state(one), in_doubt)


async def exact(switches: Switches, *lost: str) -> None:
    """Check that the state is the same as without a fault.

    Without de-duplication, there may be as many duplicate images as items in doubt.
    """
    expected, tags, _ = await outcome(switches)
    held, tags_held, in_doubt = await outcome(switches, *lost)
    assert tags_held == tags
    assert not expected - held
    assert (held - expected).total() <= (0 if switches.deduplicate else in_doubt)


def flips() -> Iterator[Any]:
    """Yield the switches with one boolean switch turned."""
    default = Switches()
    for field in dataclasses.fields(default):
        value = getattr(default, field.name)
        if isinstance(value, bool) and field.name not in ("allow_internet", "vnet", "quota_is_401"):
            turned: dict[str, Any] = {field.name: not value}
            yield pytest.param(
                dataclasses.replace(default, **turned), id=f"{field.name}={not value}"
            )


UPLOADS = (
    "deduplicate",
    "duplicate_has_image",
    "duplicate_merges_tags",
    "multi_status",
    "strict_ids",
)


@pytest.mark.parametrize("lost", [*BATCHES, *READS])
async def test_a_lost_answer_of_one_operation_changes_nothing(lost: str) -> None:
    """The operation is repeated or its effect is looked up. The state is the same as without the
    fault.
    """
    await exact(Switches(), lost)
    await exact(Switches(strict_ids=True), lost)


@pytest.mark.parametrize("switches", [*flips()])
async def test_lost_answers_of_all_operations_change_nothing_under_any_switch(
    switches: Switches,
) -> None:
    """Each operation loses its first response, in one run, with one switch turned."""
    await exact(switches, *BATCHES)


@pytest.mark.parametrize(
    "switches",
    [*Switches.combinations(*UPLOADS)],
    ids=lambda switches: "".join(str(int(getattr(switches, name))) for name in UPLOADS),
)
async def test_lost_answers_of_all_operations_change_nothing_under_any_combination(
    switches: Switches,
) -> None:
    """The same with every combination of the switches about duplicates."""
    await exact(switches, *BATCHES)


async def test_a_project_whose_answer_is_lost_is_there_once_and_the_error_says_so() -> None:
    """create_project is not repeated: the error says that the project may exist.

    A repeated deletion is not an error.
    """
    async with project_on_emulator() as one:
        one.emulator.faults.add("lost_answer", operation="CreateProject")
        with pytest.raises(ResponseLost):
            await one.training.create_project("Quince")
        made = [
            project
            async for project in one.training.list_projects()
            if project.name.startswith("Quince")
        ]
        assert len(made) == 1
        one.emulator.faults.add("lost_answer", operation="DeleteProject")
        await one.training.delete_project(made[0])
        assert [project.name async for project in one.training.list_projects()] == ["Orchard"]
        with pytest.raises(CustomVisionError):
            await one.training.delete_project(made[0])
