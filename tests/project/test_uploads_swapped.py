"""Files that are swapped after the folder was read and before they are sent, or while they are."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from customvision_async import ImageFile, Region, images_in
from customvision_async._content import Blob
from customvision_async._transport import body

from ..support.emulated_project import EmulatedProject, found, project_on_emulator
from ..support.images import fill

pytestmark = pytest.mark.anyio

COUNT = 70
"""Two requests."""
SWAPPED = (0, 1, 33, 69)
SECRET = b"somebody else's: " * 20_000


def vanish(path: Path) -> None:
    """The file is deleted."""
    path.unlink()


def truncate(path: Path) -> None:
    """The file is cut to half."""
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    """Nothing of the file is left."""
    os.truncate(path, 0)


def grow(path: Path) -> None:
    """The file is written on."""
    with path.open("ab") as file:
        file.write(SECRET)


def other_content(path: Path) -> None:
    """The second half is written over, in the same file: it is an image still."""
    half = path.stat().st_size // 2
    with path.open("r+b") as file:
        file.seek(half)
        file.write(SECRET[:half])


def other_file(path: Path) -> None:
    """Another file of the same size and time takes its place."""
    facts = path.stat()
    other = path.with_suffix(".new")
    shutil.copy(path, other)
    other_content(other)
    os.utime(other, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    other.replace(path)


def folder(path: Path) -> None:
    """A folder takes its place."""
    path.unlink()
    path.mkdir()


def link(path: Path) -> None:
    """A link to a file that nobody gave takes its place."""
    secret = path.parent.parent / "secret"
    path.rename(secret)
    other_content(secret)
    path.symlink_to(secret)


def linked_folder(path: Path) -> None:
    """A link to a folder with files of the same names and sizes takes the folder's place."""
    there = path.parent
    if there.is_symlink():
        return
    moved = there.with_name("moved")
    shutil.copytree(there, moved)
    for number, copy in enumerate(sorted(moved.iterdir())):
        if number in SWAPPED:
            other_content(copy)
        else:  # the very file that was looked at: it may be sent
            copy.unlink()
            os.link(there / copy.name, copy)
    there.rename(there.with_name("old"))
    there.symlink_to(moved)


def fifo(path: Path) -> None:
    """A FIFO that nobody writes to takes its place."""
    path.unlink()
    os.mkfifo(path)


CHANGES = [
    vanish, truncate, empty, grow, other_content, other_file, folder, link, linked_folder, fifo
]  # fmt: skip


def given(tmp_path: Path, size: int) -> dict[str, bytes]:
    """Make the files. A small one is read when it is looked at, a large one when it is sent."""
    paths = fill(tmp_path, ("a",), COUNT)
    for path in paths:
        path.write_bytes(path.read_bytes() + bytes(size))
        os.utime(path, (1, 1))
    return {path.name: path.read_bytes() for path in paths}


async def failed(
    one: EmulatedProject, source: AsyncIterator[Any], before: dict[str, bytes]
) -> set[str]:
    """Upload, and return the names that failed. What landed is whole, as it was looked at."""
    async with one.project.upload_images(source) as upload:
        results = [result async for result in upload]
    assert len(results) == len(before)
    landed = {result.item.name: result.image.id for result in results if result.image}
    assert len(await one.images()) == len(landed)
    for result in results:
        if result.ok:
            assert landed[result.item.name] == found(one, before[result.item.name])
        else:
            assert re.search(
                "the file (has changed|cannot be read)|not a regular file|changed in length",
                str(result.error),
            )
    return set(before) - set(landed)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [100, 150_000], ids=["read ahead", "read when sent"])
async def test_a_file_swapped_before_it_is_sent_fails_or_is_sent_as_it_was(
    change: Callable[[Path], None], size: int, tmp_path: Path
) -> None:
    """Only swapped files fail; whatever lands is byte for byte what was looked at."""
    before = given(tmp_path, size)
    names = sorted(before)

    async def source() -> AsyncIterator[Any]:
        async for one in images_in(tmp_path / "a"):
            yield one
        for number in SWAPPED:
            change(tmp_path / "a" / names[number])

    async with project_on_emulator(tags=("a",)) as one:
        bad = await asyncio.wait_for(failed(one, source(), before), 30)
    assert bad <= {names[number] for number in SWAPPED}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("base64", [False, True], ids=["raw", "base64"])
async def test_a_file_swapped_while_it_is_sent_fails_or_is_sent_as_it_was(
    change: Callable[[Path], None], base64: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is open already: no other content goes up in its place, not even its end."""
    before = given(tmp_path, 150_000)
    names = sorted(before)
    waiting = {str(tmp_path / "a" / names[number]) for number in SWAPPED}
    real = body.open_blob

    def open_blob(blob: Blob, *, may_wait: bool = True) -> int:
        descriptor = real(blob, may_wait=may_wait)
        if blob.path in waiting:
            waiting.discard(blob.path)
            change(Path(blob.path))
        return descriptor

    monkeypatch.setattr(body, "open_blob", open_blob)
    boxes = [Region("a", 0, 0, 0.5, 0.5)] if base64 else []

    async def source() -> AsyncIterator[ImageFile]:
        async for one in images_in(tmp_path / "a"):
            yield ImageFile(one.path, regions=boxes)

    domain = "ObjectDetection/General" if base64 else "General"
    async with project_on_emulator(tags=("a",), domain=domain) as one:
        bad = await asyncio.wait_for(failed(one, source(), before), 30)
    assert not waiting or change is linked_folder
    assert bad <= {names[number] for number in SWAPPED}
