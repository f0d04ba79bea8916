"""Sources under timeouts: a cancelled ``anext()`` loses no item and does not end the source."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from customvision_async import images_from_manifest, images_in

from .support.images import image_bytes

pytestmark = pytest.mark.anyio

NAMES = [f"{n:03}.jpg" for n in range(300)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of three hundred images, more than are inspected at a time."""
    folder = tmp_path / "photos"
    folder.mkdir()
    data = image_bytes(1)
    for name in NAMES:
        (folder / name).write_bytes(data)
    return folder


async def read_with_timeouts(items: AsyncIterator[Any]) -> list[Any]:
    """Return all items. Cut off each ``anext()`` that has to wait, and try it again."""
    found: list[Any] = []
    cut_off = 0
    while True:
        try:
            async with asyncio.timeout(0):
                found.append(await anext(items))
            continue
        except TimeoutError:
            cut_off += 1
        except StopAsyncIteration:
            break
        try:
            found.append(await anext(items))
        except StopAsyncIteration:
            break
    assert cut_off >= 2
    return found


async def test_a_timeout_does_not_end_a_folder(folder: Path) -> None:
    """Every image of a folder is found once, in order."""
    found = await read_with_timeouts(aiter(images_in(folder)))
    assert [item.name for item in found] == NAMES


async def test_a_timeout_does_not_end_a_manifest(folder: Path, tmp_path: Path) -> None:
    """Every line and every image of a folder in a line is found once, in order."""
    manifest = tmp_path / "manifest.jsonl"
    lines = [{"path": "photos/007.jpg"}, {"path": "photos"}, {"url": "https://example.com/a.jpg"}]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = await read_with_timeouts(aiter(images_from_manifest(manifest)))
    assert [os.fspath(item.path) for item in found[:-1]] == [
        str(folder / name) for name in ("007.jpg", *NAMES)
    ]
    assert found[-1].url == "https://example.com/a.jpg"


async def test_a_timeout_does_not_end_a_source_of_a_pipe(tmp_path: Path) -> None:
    """A manifest that is still being written yields each line once."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    items = aiter(images_from_manifest(pipe))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(items), 0.05)
    with pipe.open("w") as writer:
        for number in range(3):
            writer.write(json.dumps({"url": f"https://example.com/{number}.jpg"}) + "\n")
            writer.flush()
            if number == 1:
                assert (await anext(items)).url.endswith("0.jpg")
                assert (await anext(items)).url.endswith("1.jpg")
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(items), 0.05)
    assert [item.url async for item in items] == ["https://example.com/2.jpg"]


async def test_leaving_a_folder_early_leaves_nothing_behind(folder: Path) -> None:
    """Closing the iterator, or dropping it, ends its task."""
    before = len(asyncio.all_tasks())
    items = images_in(folder)
    async for _ in items:
        break
    iterator = aiter(items)
    await anext(iterator)
    await iterator.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before
