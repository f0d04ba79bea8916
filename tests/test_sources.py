"""Sources with real files: folders, and files that change during the upload."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import os
import pickle
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from customvision_async import (
    BatchError,
    ImageFile,
    LimitExceeded,
    Region,
    SkippedItem,
    images_from_manifest,
    images_in,
)

from .support.emulated_project import project_on_emulator
from .support.images import fill, image_bytes

pytestmark = pytest.mark.anyio


async def found(folder: Path, **options: Any) -> dict[str, str]:
    """Return the names in a folder, with the reason for each that is skipped."""
    return {
        one.name or "": one.reason if isinstance(one, SkippedItem) else ""
        async for one in images_in(folder, **options)
    }


async def test_a_folder_gives_its_images_by_content_in_the_order_of_names(tmp_path: Path) -> None:
    """At any depth and with any suffix, the first bytes decide. Skipped files have a reason."""
    for name, form in (
        ("b/2.png", "PNG"),
        ("b/c/1.gif", "GIF"),
        ("a.bmp", "BMP"),
        ("z.txt", "JPEG"),
        ("noend", "JPEG"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image_bytes(1, format=form))
    (tmp_path / "readme.jpg").write_text("not an image")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "webp.jpg").write_bytes(b"RIFF\x24\0\0\0WEBPVP8 ")
    (tmp_path / ".hidden.jpg").write_bytes(image_bytes(1))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.jpg").write_bytes(image_bytes(1))
    listed = await found(tmp_path)
    assert [name for name, reason in listed.items() if not reason] == [
        "a.bmp",
        "b/2.png",
        "b/c/1.gif",
        "noend",
        "z.txt",
    ]
    assert listed[".hidden.jpg"] == listed[".git"] == "hidden"
    assert "not a JPEG, PNG, GIF or BMP" in listed["readme.jpg"]
    assert "not a JPEG" in listed["webp.jpg"]
    assert "empty" in listed["empty.jpg"]
    assert ".git/x.jpg" not in listed
    assert set(await found(tmp_path, recursive=False)) == {
        name for name in listed if "/" not in name
    }
    source = images_in(tmp_path)
    assert [one.name async for one in source] == [one.name async for one in source]


async def test_what_is_no_regular_file_is_skipped_and_nothing_hangs(tmp_path: Path) -> None:
    """Links to files, folders, loops and missing files, a FIFO, a socket, and unreadable files and
    folders.
    """
    (tmp_path / "good.jpg").write_bytes(image_bytes(1))
    (tmp_path / "link.jpg").symlink_to("good.jpg")
    (tmp_path / "loop").symlink_to(".", target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nowhere.jpg").symlink_to("gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "in.jpg").write_bytes(image_bytes(2))
    (tmp_path / "closed.jpg").write_bytes(image_bytes(3))
    (tmp_path / "shut").chmod(0)
    (tmp_path / "closed.jpg").chmod(0)
    try:
        listed = await found(tmp_path)
    finally:
        (tmp_path / "shut").chmod(0o700)
    for name in ("link.jpg", "loop", "self", "nowhere.jpg", "device.jpg"):
        assert "symbolic link" in listed[name]
    assert listed["pipe.jpg"] == "not a regular file"
    assert listed["good.jpg"] == ""
    if os.geteuid():  # root reads everything
        assert "cannot be read" in listed["shut/"]
        assert "cannot be read" in listed["closed.jpg"]


NAMES = [
    'quote".jpg',
    "line\nbreak.jpg",
    "tab\t.jpg",
    "emoji\U0001f34e.jpg",
    "x" * 251 + ".jpg",
    "rtl\u202egpj.jpg",
    "a;b%22&c=d.jpg",
    "CON.jpg",
    " .jpg",
    "-rf.jpg",
    "e\u0301.jpg",
    "\u00e9.jpg",
]
BYTES = b"caf\xe9.jpg"


async def test_hostile_names_go_up_and_come_back(tmp_path: Path) -> None:
    """Quotes, newlines, emoji, 255 bytes and invalid UTF-8: all succeed, and each result has its
    name.
    """
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(image_bytes(number))
    with open(os.fsencode(tmp_path) + b"/" + BYTES, "wb") as file:
        file.write(image_bytes(100))
    async with project_on_emulator(tags=("a",)) as one:
        for tags in ((), ("a",)):
            async with one.project.upload_images(images_in(tmp_path, tags=tags)) as upload:
                names = {result.item.name async for result in upload if result.ok}
            assert names == {*NAMES, os.fsdecode(BYTES)}
        assert await one.tag_counts() == {"a": len(NAMES) + 1}


async def test_folders_are_tags(tmp_path: Path) -> None:
    """The first folder of the path is a tag, in addition to the given tags."""
    fill(tmp_path, ("apple", "pear"), 3)
    (tmp_path / "apple" / "2024").mkdir()
    (tmp_path / "apple" / "2024" / "deep.jpg").write_bytes(image_bytes(9))
    (tmp_path / "top.jpg").write_bytes(image_bytes(10))
    async with project_on_emulator() as one:
        report = await one.project.upload_images(
            images_in(tmp_path, tags=["fruit"], tags_from_folders=True), create_missing_tags=True
        )
        assert report.succeeded == 8
        assert await one.tag_counts() == {"fruit": 8, "apple": 4, "pear": 3}


async def test_a_file_or_a_link_given_by_itself_is_taken(tmp_path: Path) -> None:
    """Explicit arguments are followed: a file, a link to a file or folder, a path of bytes."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(image_bytes(1))
    (tmp_path / "link.jpg").symlink_to("in/a.jpg")
    (tmp_path / "folder").symlink_to("in", target_is_directory=True)
    assert await found(tmp_path / "in" / "a.jpg") == {"a.jpg": ""}
    assert await found(tmp_path / "link.jpg") == {"link.jpg": ""}
    assert await found(tmp_path / "folder") == {"a.jpg": ""}
    assert [one.name async for one in images_in(os.fsencode(tmp_path / "in"))] == ["a.jpg"]


async def test_folders_deeper_than_python_recurses(tmp_path: Path) -> None:
    """1,500 nested folders: the image at the bottom is found without recursion."""
    depth, here = 1500, os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("bottom.jpg").write_bytes(image_bytes(1))
        listed = await found(tmp_path)
    finally:  # the cleanup of pytest recurses
        Path("bottom.jpg").unlink()
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)
    assert [reason for name, reason in listed.items() if name.endswith("bottom.jpg")] == [""]


async def test_a_large_folder_takes_little_memory(tmp_path: Path) -> None:
    """20,000 files in one folder: only their names are kept."""
    data = image_bytes(1, size=(4, 4), format="GIF")
    first = tmp_path / "000000.gif"
    first.write_bytes(data)
    for number in range(1, 20_000):
        os.link(first, tmp_path / f"{number:06}.gif")
    tracemalloc.start()
    try:
        count = 0
        async for _ in images_in(tmp_path):
            count += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 20_000 * 130


async def test_an_empty_folder_is_a_run_of_nothing(tmp_path: Path) -> None:
    """No image, no request, no error."""
    async with project_on_emulator() as one:
        report = await one.project.upload_images(images_in(tmp_path))
        assert (report.submitted, len(one.emulator.requests)) == (0, 0)


async def test_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    """FileNotFoundError is raised by the call, not during the run. A single string as tags is
    refused.
    """
    with pytest.raises(FileNotFoundError):
        images_in(tmp_path / "gone")
    with pytest.raises(TypeError, match=r"\['apple'\]"):
        images_in(tmp_path, tags="apple")
    with pytest.raises(FileNotFoundError):
        images_from_manifest(tmp_path / "gone.jsonl")


async def test_the_report_counts_what_was_skipped(tmp_path: Path) -> None:
    """Other files are skipped, and images that are too large fail: good ones are not affected."""
    fill(tmp_path, ("a",), 5)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    big = tmp_path / "big.jpg"
    big.write_bytes(image_bytes(1))
    os.truncate(big, 6 * 1024 * 1024 + 1)
    (tmp_path / "wide.png").write_bytes(image_bytes(1, size=(2600, 100), format="PNG"))
    (tmp_path / "long.bmp").write_bytes(image_bytes(1, size=(10_241, 500), format="GIF"))
    async with project_on_emulator() as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(images_in(tmp_path))
        report = caught.value.report
        assert (report.submitted, report.succeeded, report.failed, report.skipped) == (9, 5, 3, 1)
        limits = {
            failure.item.name: failure.error.__cause__.limit.name for failure in report.failures
        }
        assert limits == {
            "big.jpg": "size of a training image",
            "long.bmp": "side of an image",
            "wide.png": "aspect ratio of an image",
        }
        for failure in report.failures:
            assert failure.error is not None
            assert isinstance(failure.error.__cause__, LimitExceeded)
        assert "notes.txt" in str(report.skipped_items[0].error)
        assert report.requests == 1


async def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    """6 MB exactly, 10,240 pixels and 25:1 are uploaded."""
    exact = image_bytes(1) + bytes(6 * 1024 * 1024 - len(image_bytes(1)))
    given = [
        exact,
        image_bytes(2, size=(10_240, 500), format="GIF"),
        image_bytes(3, size=(100, 2500), format="PNG"),
    ]
    async with project_on_emulator() as one:
        assert (await one.project.upload_images(given)).succeeded == 3


def vanish(path: Path) -> None:
    """Remove the file."""
    path.unlink()


def shrink(path: Path) -> None:
    """Truncate the file."""
    os.truncate(path, 100)


def grow(path: Path) -> None:
    """Append to the file."""
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    """Replace it by another file of the same size."""
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def link(path: Path) -> None:
    """Replace it by a link."""
    target = path.with_suffix(".target")
    path.rename(target)
    path.symlink_to(target)


def shut(path: Path) -> None:
    """Replace it by a FIFO."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [vanish, shrink, grow, replace, link, shut])
@pytest.mark.parametrize("regions", [False, True], ids=["raw", "base64"])
async def test_files_that_change_between_the_look_and_the_sending(
    change: Callable[[Path], None], regions: bool, tmp_path: Path
) -> None:
    """Three of 60 files change: these fail with the reason, and the others are uploaded once."""
    paths = fill(tmp_path, ("a",), 60)
    for path in paths:  # too large to be prefetched
        path.write_bytes(path.read_bytes() + bytes(150_000))
    boxes = [Region("a", 0, 0, 0.5, 0.5)] if regions else []

    async def source() -> AsyncIterator[Any]:
        changed = [str(paths[n]) for n in (0, 20, 59)]
        async for one in images_in(tmp_path / "a"):
            yield one
        await asyncio.sleep(0.1)  # the last ones have been inspected, and nothing has been sent
        for path in changed:
            change(Path(path))

    async def given() -> AsyncIterator[ImageFile]:
        async for one in source():
            yield ImageFile(one.path, regions=boxes) if regions else one

    domain = "ObjectDetection/General" if regions else "General"
    async with project_on_emulator(tags=("a",), domain=domain) as one:
        upload = one.project.upload_images(given())
        if regions and change is link:  # links given by the caller are followed
            assert (await upload).succeeded == len(await one.images()) == 60
            return
        with pytest.raises(BatchError) as caught:
            await upload
        failures = caught.value.report.failures
        assert sorted(failure.item.name for failure in failures) == sorted(
            paths[n].name for n in (0, 20, 59)
        )
        assert all("file" in str(failure.error) for failure in failures)
        assert caught.value.report.succeeded == len(await one.images()) == 57


async def test_a_folder_that_is_listed_is_not_held_in_memory(tmp_path: Path) -> None:
    """Files are prefetched for uploads only. A failed result does not keep prefetched bytes."""
    for number in range(200):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number) + bytes(20_000))
    tracemalloc.start()
    try:
        listed = [one async for one in images_in(tmp_path)]
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
        async with project_on_emulator() as one:
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(BatchError) as caught:
                await one.project.upload_images(images_in(tmp_path, tags=["unknown"]))
            assert caught.value.report.failed == len(listed) == 200
            assert tracemalloc.get_traced_memory()[0] - before < 2_500_000
    finally:
        tracemalloc.stop()


async def test_files_that_vanish_leave_little_behind(tmp_path: Path) -> None:
    """A report of many unreadable files holds their reasons, but no buffers."""
    for number in range(100):
        (tmp_path / f"{number:03}.jpg").write_bytes(image_bytes(number) + bytes(40_000))

    async def vanishing() -> AsyncIterator[Any]:
        async for file in images_in(tmp_path):
            os.unlink(file.path or "")
            yield file

    async with project_on_emulator() as one:
        tracemalloc.start()
        try:
            with pytest.raises(BatchError) as caught:
                await one.project.upload_images(vanishing())
            assert caught.value.report.failed == 100
            assert tracemalloc.get_traced_memory()[0] < 4_000_000
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "again",
    [
        copy.copy,
        lambda file: pickle.loads(pickle.dumps(file)),
        lambda file: dataclasses.replace(file, regions=[Region("a", 0, 0, 1, 1)]),
    ],
    ids=["copied", "pickled", "replaced"],
)
async def test_a_copy_of_a_folders_file_is_a_file_like_any_other(
    tmp_path: Path, again: Callable[[Any], Any]
) -> None:
    """It keeps its tags and regions, and is inspected again."""
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(image_bytes(number))
    async with project_on_emulator(domain="ObjectDetection/General", tags=("a",)) as one:
        files = [file async for file in images_in(tmp_path, tags=["a"])]
        copies = [again(file) for file in files]
        assert [file.tags for file in copies] == [("a",)] * 10
        report = await one.project.upload_images(files[:5] + copies[5:])
        assert (report.succeeded, report.failed) == (10, 0)
        found = await one.project.list_images().all()
        assert sum(bool(image.regions) for image in found) == (5 if copies[5].regions else 0)


@pytest.mark.parametrize("recursive", [True, False])
async def test_a_folder_counts_its_items(tmp_path: Path, recursive: bool) -> None:
    """The count is the number of items that an upload gets: images, skipped and unread files."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.jpg").write_bytes(image_bytes(1))
    for name in ("1.jpg", "a/2.jpg", "a/b/3.jpg", "a/notes.txt", ".x"):
        (tmp_path / name).write_bytes(image_bytes(1))
    (tmp_path / "link").symlink_to(tmp_path / "a")
    images = images_in(tmp_path, recursive=recursive)
    assert await images.count() == len([item async for item in images])
    assert await images_in(tmp_path / "1.jpg").count() == 1
