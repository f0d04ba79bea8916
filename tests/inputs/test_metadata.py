"""Metadata is checked in one way, whichever method it is given to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from customvision_async import (
    ApiVersion,
    ImageFile,
    ItemError,
    LimitExceeded,
    ProjectClient,
    UnsupportedOperation,
)
from tests.support.emulated_project import project_on_emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio


async def upload(project: ProjectClient, metadata: Any) -> None:
    async with project.upload_images([ImageFile(data=image_bytes(1), metadata=metadata)]) as run:
        (result,) = [result async for result in run]
    if isinstance(result.error, ItemError):
        assert result.error.__cause__ is not None
        raise result.error.__cause__


async def update(project: ProjectClient, metadata: Any) -> None:
    await project.update_image_metadata([], metadata)


async def operation(project: ProjectClient, metadata: Any) -> None:
    await project.operations.update_image_metadata(project.id, [], metadata)


WAYS = [upload, update, operation]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"k" * 129: "v"}, LimitExceeded, "length of a metadata key"),
        ({"k": "v" * 257}, LimitExceeded, "length of a metadata value"),
        ({str(n): "" for n in range(11)}, LimitExceeded, "metadata pairs"),
        ({"k": 5}, TypeError, "text to text"),
        (["k"], TypeError, "mapping"),
        ({"\udc80": "v"}, ValueError, "UTF-8"),
    ],
)
async def test_bad_metadata_is_refused_alike(
    way: Callable[..., Any], metadata: Any, error: type[Exception], words: str
) -> None:
    async with project_on_emulator() as one:
        with pytest.raises(error, match=words):
            await way(one.project, metadata)
        assert one.asked("CreateImagesFromFiles", "UpdateImageMetadata") == 0


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_a_version_without_metadata_says_so_alike(way: Callable[..., Any]) -> None:
    async with project_on_emulator(version=ApiVersion.V3_2) as one:
        with pytest.raises(UnsupportedOperation, match=r"v3\.3"):
            await way(one.project, {"k": "v"})
