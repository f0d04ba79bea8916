"""Sources with real files: folders, manifests, URLs, and files that change under us."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import io
import json
import os
import pickle
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from customvision_async import (
    BatchError,
    ImageFile,
    ImageUrl,
    ItemError,
    LimitExceeded,
    PredictedImage,
    Region,
    SkippedFile,
    Tag,
    images_from_manifest,
    images_from_urls,
    images_in,
)
from customvision_async.sources import manifest_entry

from .support.pictures import fill, picture
from .support.projects import bench

pytestmark = pytest.mark.anyio


async def found(folder: Path, **options: Any) -> dict[str, str]:
    """What a folder gives: names, and the reason where one is skipped."""
    return {one.name or "": one.reason if isinstance(one, SkippedFile) else "" async for one in images_in(folder, **options)}


async def test_a_folder_gives_its_pictures_by_content_in_the_order_of_names(tmp_path: Path) -> None:
    """Any depth, any suffix; the first bytes decide; what is left out comes with its reason."""
    for name, form in (("b/2.png", "PNG"), ("b/c/1.gif", "GIF"), ("a.bmp", "BMP"), ("z.txt", "JPEG"), ("noend", "JPEG")):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(1, format=form))
    (tmp_path / "readme.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "webp.jpg").write_bytes(b"RIFF\x24\0\0\0WEBPVP8 ")
    (tmp_path / ".hidden.jpg").write_bytes(picture(1))
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.jpg").write_bytes(picture(1))
    listed = await found(tmp_path)
    assert [name for name, reason in listed.items() if not reason] == ["a.bmp", "b/2.png", "b/c/1.gif", "noend", "z.txt"]
    assert listed[".hidden.jpg"] == listed[".git"] == "hidden"
    assert "not a JPEG, PNG, GIF or BMP" in listed["readme.jpg"]
    assert "not a JPEG" in listed["webp.jpg"]
    assert "empty" in listed["empty.jpg"]
    assert ".git/x.jpg" not in listed
    assert set(await found(tmp_path, recursive=False)) == {name for name in listed if "/" not in name}
    source = images_in(tmp_path)
    assert [one.name async for one in source] == [one.name async for one in source]


async def test_what_is_no_regular_file_is_skipped_and_nothing_hangs(tmp_path: Path) -> None:
    """Links to files, to folders, in loops, to nowhere; a FIFO; a socket; a folder and a file that cannot be read."""
    (tmp_path / "good.jpg").write_bytes(picture(1))
    (tmp_path / "link.jpg").symlink_to("good.jpg")
    (tmp_path / "loop").symlink_to(".", target_is_directory=True)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "nowhere.jpg").symlink_to("gone.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "in.jpg").write_bytes(picture(2))
    (tmp_path / "closed.jpg").write_bytes(picture(3))
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
    """Quotes, newlines, emoji, 255 bytes, bytes that are no UTF-8: all land, and each result has its own name."""
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_bytes(picture(number))
    with open(os.fsencode(tmp_path) + b"/" + BYTES, "wb") as file:
        file.write(picture(100))
    async with bench(tags=("a",)) as one:
        for tags in ((), ("a",)):
            async with one.project.upload_images(images_in(tmp_path, tags=tags)) as upload:
                names = {result.item.name async for result in upload if result.ok}
            assert names == {*NAMES, os.fsdecode(BYTES)}
        assert await one.tag_counts() == {"a": len(NAMES) + 1}


async def test_folders_are_tags(tmp_path: Path) -> None:
    """The first folder on the way is a tag, with those given; pictures right in the folder have only these."""
    fill(tmp_path, ("apple", "pear"), 3)
    (tmp_path / "apple" / "2024").mkdir()
    (tmp_path / "apple" / "2024" / "deep.jpg").write_bytes(picture(9))
    (tmp_path / "top.jpg").write_bytes(picture(10))
    async with bench() as one:
        report = await one.project.upload_images(images_in(tmp_path, tags=["fruit"], tags_from_folders=True), create_missing_tags=True)
        assert report.succeeded == 8
        assert await one.tag_counts() == {"fruit": 8, "apple": 4, "pear": 3}


async def test_a_file_or_a_link_given_by_itself_is_taken(tmp_path: Path) -> None:
    """What a person names is followed: a single file, a link to it, a link to a folder; a path of bytes."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(picture(1))
    (tmp_path / "link.jpg").symlink_to("in/a.jpg")
    (tmp_path / "folder").symlink_to("in", target_is_directory=True)
    assert await found(tmp_path / "in" / "a.jpg") == {"a.jpg": ""}
    assert await found(tmp_path / "link.jpg") == {"link.jpg": ""}
    assert await found(tmp_path / "folder") == {"a.jpg": ""}
    assert [one.name async for one in images_in(os.fsencode(tmp_path / "in"))] == ["a.jpg"]  # type: ignore[arg-type]


async def test_folders_deeper_than_python_recurses(tmp_path: Path) -> None:
    """1,500 folders in each other: the picture at the bottom is found, the way there costs no stack."""
    depth, here = 1500, os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
        Path("bottom.jpg").write_bytes(picture(1))
        listed = await found(tmp_path)
    finally:  # pytest's own cleaning up recurses
        Path("bottom.jpg").unlink()
        for _ in range(depth):
            os.chdir("..")
            os.rmdir("d")
        os.chdir(here)
    assert [reason for name, reason in listed.items() if name.endswith("bottom.jpg")] == [""]


async def test_a_large_folder_takes_little_memory(tmp_path: Path) -> None:
    """20,000 files in one folder: what is kept of each is its name."""
    data = picture(1, size=(4, 4), format="GIF")
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
    """No picture, no request, no error."""
    async with bench() as one:
        report = await one.project.upload_images(images_in(tmp_path))
        assert (report.submitted, len(one.emulator.requests)) == (0, 0)


async def test_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    """FileNotFoundError where it is named, not in the middle of a run; a single string as tags is told."""
    with pytest.raises(FileNotFoundError):
        images_in(tmp_path / "gone")
    with pytest.raises(TypeError, match=r"\['apple'\]"):
        images_in(tmp_path, tags="apple")
    with pytest.raises(FileNotFoundError):
        images_from_manifest(tmp_path / "gone.jsonl")


async def test_the_report_counts_what_was_skipped(tmp_path: Path) -> None:
    """Rubbish is skipped, an image that is too large fails: neither costs the good ones anything."""
    fill(tmp_path, ("a",), 5)
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    big = tmp_path / "big.jpg"
    big.write_bytes(picture(1))
    os.truncate(big, 6 * 1024 * 1024 + 1)
    (tmp_path / "wide.png").write_bytes(picture(1, size=(2600, 100), format="PNG"))
    (tmp_path / "long.bmp").write_bytes(picture(1, size=(10_241, 500), format="GIF"))
    async with bench() as one:
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(images_in(tmp_path))
        report = caught.value.report
        assert (report.submitted, report.succeeded, report.failed, report.skipped) == (9, 5, 3, 1)
        limits = {failure.item.name: failure.error.__cause__.limit.name for failure in report.failures}  # type: ignore[union-attr]
        assert limits == {"big.jpg": "size of a training image", "long.bmp": "side of an image", "wide.png": "aspect ratio of an image"}
        assert all(isinstance(failure.error.__cause__, LimitExceeded) for failure in report.failures if failure.error)
        assert "notes.txt" in str(report.skips[0].error)
        assert report.requests == 1


async def test_the_limits_themselves_are_allowed(tmp_path: Path) -> None:
    """6 MB to the byte, 10,240 pixels, 25:1 go up."""
    exact = picture(1) + bytes(6 * 1024 * 1024 - len(picture(1)))
    given = [exact, picture(2, size=(10_240, 500), format="GIF"), picture(3, size=(100, 2500), format="PNG")]
    async with bench() as one:
        assert (await one.project.upload_images(given)).succeeded == 3


def vanish(path: Path) -> None:
    """The file goes."""
    path.unlink()


def shrink(path: Path) -> None:
    """The file is cut."""
    os.truncate(path, 100)


def grow(path: Path) -> None:
    """The file is written to."""
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path: Path) -> None:
    """Another file of the same size takes its place."""
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    other.replace(path)


def link(path: Path) -> None:
    """A link takes its place."""
    target = path.with_suffix(".target")
    path.rename(target)
    path.symlink_to(target)


def shut(path: Path) -> None:
    """A FIFO takes its place."""
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [vanish, shrink, grow, replace, link, shut])
@pytest.mark.parametrize("regions", [False, True], ids=["raw", "base64"])
async def test_files_that_change_between_the_look_and_the_sending(change: Callable[[Path], None], regions: bool, tmp_path: Path) -> None:
    """Three of 60 files change: these fail with the reason, the other 57 land, none twice."""
    paths = fill(tmp_path, ("a",), 60)
    for path in paths:  # of a size that is read when it is sent
        path.write_bytes(path.read_bytes() + bytes(150_000))
    boxes = [Region("a", 0, 0, 0.5, 0.5)] if regions else []

    async def source() -> AsyncIterator[Any]:
        changed = [str(paths[n]) for n in (0, 20, 59)]
        async for one in images_in(tmp_path / "a"):
            yield one
        await asyncio.sleep(0.1)  # until the last ones have been looked at, and before anything is sent
        for path in changed:
            change(Path(path))

    async def given() -> AsyncIterator[ImageFile]:
        async for one in source():
            yield ImageFile(one.path, regions=boxes) if regions else one

    domain = "ObjectDetection/General" if regions else "General"
    async with bench(tags=("a",), domain=domain) as one:
        upload = one.project.upload_images(given())
        if regions and change is link:  # looked at when it is prepared, as a person's own path: a link is followed
            return
        with pytest.raises(BatchError) as caught:
            await upload
        failures = caught.value.report.failures
        assert sorted(failure.item.name for failure in failures) == sorted(paths[n].name for n in (0, 20, 59))
        assert all("file" in str(failure.error) for failure in failures)
        assert caught.value.report.succeeded == len(await one.images()) == 57


async def test_open_files_of_every_sort(tmp_path: Path) -> None:
    """Pipes that give what they have, files in the middle, text, closed, asynchronous, and things that raise: right, or failed alone."""
    data = picture(1, size=(300, 300))
    reader, writer = os.pipe()

    def dribble() -> None:
        with os.fdopen(writer, "wb", buffering=0) as out:
            for start in range(0, len(data), 1000):
                out.write(data[start : start + 1000])

    import threading

    thread = threading.Thread(target=dribble)
    thread.start()

    class Dribbling(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            piece = rest[:700]
            del rest[:700]
            buffer[: len(piece)] = piece
            return len(piece)

    rest = bytearray(picture(2, size=(200, 200)))

    class OnlyRead:
        def read(self, count: int = -1) -> bytes:
            return b""

    class Raises(io.BytesIO):
        def seekable(self) -> bool:
            raise RuntimeError("the file's own")

    class Asynchronous:
        async def read(self, count: int = -1) -> bytes:
            return b""

    closed = io.BytesIO(data)
    closed.close()
    text = tmp_path / "text.jpg"
    text.write_bytes(b"abc")
    with os.fdopen(reader, "rb", buffering=0) as pipe, open(text) as as_text, io.BytesIO(b"x" * 10 + picture(3)) as middle:
        middle.seek(10)
        given: list[Any] = [pipe, Dribbling(), middle, as_text, closed, OnlyRead(), Raises(), Asynchronous(), io.BytesIO()]
        async with bench(check_images="decode") as one:
            async with one.project.upload_images(given) as upload:
                results = sorted([result async for result in upload], key=lambda result: result.index)
            thread.join()
            assert [result.ok for result in results] == [True] * 3 + [False] * 6
            sizes = {(image.width, image.height) for image in await one.images()}
            assert sizes == {(300, 300), (200, 200), (64, 48)}
            assert "'rb'" in str(results[3].error)
            assert "the file's own" in str(results[6].error)
            assert "asynchronous" in str(results[7].error)


async def test_a_single_picture_is_taken_without_a_list(tmp_path: Path) -> None:
    """A path, bytes, an open file, an ImageFile: one upload each; a folder is told what to use."""
    path = tmp_path / "a.jpg"
    path.write_bytes(picture(1))
    async with bench() as one:
        with open(path, "rb") as file:
            for given in (
                path,
                str(path),
                picture(1),
                file,
                ImageFile(path),
                ImageUrl("http://127.0.0.1:9/"),
                uuid4(),
                PredictedImage(uuid4()),
            ):
                async with one.project.upload_images(given) as upload:
                    assert len([result async for result in upload]) == 1
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(tmp_path)
        assert "images_in" in str(caught.value.exceptions[0])


async def test_urls_from_lines() -> None:
    """Blank lines are none, what is no string fails alone, a single string is told; nothing is read before it is needed."""
    read = 0

    def lines() -> Iterator[Any]:
        nonlocal read
        for line in ("http://127.0.0.1/1\n", "\n", "  http://127.0.0.1/2  ", None):
            read += 1
            yield line

    urls = images_from_urls(lines(), tags=["a"])
    assert read == 0
    listed = list(urls)
    assert [one.url for one in listed[:2]] == ["http://127.0.0.1/1", "http://127.0.0.1/2"]
    assert listed[0].tags == ("a",)
    assert listed[2] is None
    for wrong in ({"urls": "http://127.0.0.1/"}, {"urls": [], "tags": "a"}):
        with pytest.raises(TypeError, match="one string"):
            images_from_urls(**wrong)  # type: ignore[arg-type]


async def test_a_manifest_gives_back_what_was_written(tmp_path: Path) -> None:
    """Files (also of names that are no Unicode), URLs and predictions with tags, regions and metadata survive the way there and back."""
    odd = os.fsdecode(BYTES)
    tag = Tag(id=str(uuid4()), name="t", type="Regular", image_count=0)  # type: ignore[arg-type]
    items = [
        ImageFile(str(tmp_path / "a.jpg"), name="mine", tags=["x", tag], regions=[Region("x", 0.1, 0.2, 0.3, 0.4)], metadata={"k": "v"}),
        ImageFile(tmp_path / odd),
        ImageUrl("https://example.invalid/\u00e9.jpg", tags=["y"]),
        PredictedImage(uuid4()),
    ]
    entries = [manifest_entry(item, ItemError("why", index=0, item=item)) for item in items]
    manifest = tmp_path / "failed.jsonl"
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    back = [one async for one in images_from_manifest(manifest)]
    assert [type(one) for one in back] == [ImageFile, ImageFile, ImageUrl, PredictedImage]
    assert back[0].name == "mine"
    assert back[0].tags == ("x", tag.id)  # type: ignore[union-attr]
    assert back[0].regions == (Region("x", 0.1, 0.2, 0.3, 0.4),)  # type: ignore[union-attr]
    assert back[0].metadata == {"k": "v"}  # type: ignore[union-attr]
    assert os.fspath(back[1].path) == str(tmp_path / odd)  # type: ignore[union-attr, arg-type]
    assert back[2].url == items[2].url  # type: ignore[union-attr]
    assert back[3].id == items[3].id  # type: ignore[union-attr]
    assert manifest_entry(str(tmp_path / "a.jpg")) == {"path": str(tmp_path / "a.jpg")}
    prediction = uuid4()
    assert manifest_entry(prediction) == {"prediction": str(prediction)}
    assert manifest_entry(b"bytes") is None


async def test_a_bad_line_of_a_manifest_is_skipped(tmp_path: Path) -> None:
    """No JSON, other JSON, wrong types, no UTF-8, nested 100,000 deep: skipped with the number of the line."""
    (tmp_path / "a.jpg").write_bytes(picture(1))
    lines = [
        b'{"path": "a.jpg"}',
        b"",
        b"no json",
        b"[1]",
        b'{"path": 5}',
        b'{"regions": [{"tag": "x"}], "path": "a.jpg"}',
        b"\xff\xfe",
        b"{}",
        b"[" * 100_000,
    ]
    manifest = tmp_path / "m.jsonl"
    manifest.write_bytes(b"\r\n".join(lines))
    async with bench() as one:
        report = await one.project.upload_images(images_from_manifest(manifest))
        assert (report.succeeded, report.skipped) == (1, 7)
        assert [skip.item.name for skip in report.skips] == [f"m.jsonl:{number}" for number in (3, 4, 5, 6, 7, 8, 9)]


async def test_a_folder_that_is_listed_is_not_held_in_memory(tmp_path: Path) -> None:
    """Bytes are read ahead for an upload alone, and those of a file that fails before it is sent are not kept with its result."""
    for number in range(200):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number) + bytes(20_000))
    tracemalloc.start()
    try:
        listed = [one async for one in images_in(tmp_path)]
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
        async with bench() as one:
            before = tracemalloc.get_traced_memory()[0]
            with pytest.raises(BatchError) as caught:
                await one.project.upload_images(images_in(tmp_path, tags=["unknown"]))
            assert caught.value.report.failed == len(listed) == 200
            assert tracemalloc.get_traced_memory()[0] - before < 2_500_000
    finally:
        tracemalloc.stop()


async def test_files_that_vanish_leave_little_behind(tmp_path: Path) -> None:
    """A report of many that could not be read holds their reasons, not the buffers that they were to be read into."""
    for number in range(100):
        (tmp_path / f"{number:03}.jpg").write_bytes(picture(number) + bytes(40_000))

    async def vanishing() -> AsyncIterator[Any]:
        async for file in images_in(tmp_path):
            os.unlink(file.path or "")
            yield file

    async with bench() as one:
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
    [copy.copy, lambda file: pickle.loads(pickle.dumps(file)), lambda file: dataclasses.replace(file, regions=[Region("a", 0, 0, 1, 1)])],
    ids=["copied", "pickled", "replaced"],
)
async def test_a_copy_of_a_folders_file_is_a_file_like_any_other(tmp_path: Path, again: Callable[[Any], Any]) -> None:
    """It keeps what it was given, regions too, and is looked at anew; also after files of the same tags have gone the short way."""
    for number in range(10):
        (tmp_path / f"{number}.jpg").write_bytes(picture(number))
    async with bench(domain="ObjectDetection/General", tags=("a",)) as one:
        files = [file async for file in images_in(tmp_path, tags=["a"])]
        copies = [again(file) for file in files]
        assert [file.tags for file in copies] == [("a",)] * 10
        report = await one.project.upload_images(files[:5] + copies[5:])
        assert (report.succeeded, report.failed) == (10, 0)
        found = await one.project.list_images().all()
        assert sum(bool(image.regions) for image in found) == (5 if copies[5].regions else 0)
