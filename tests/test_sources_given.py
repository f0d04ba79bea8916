"""Sources that users write by hand: open files, a single image, lines of URLs, manifests."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from customvision_async import (
    BatchError,
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    ItemError,
    Region,
    SkippedItem,
    Tag,
    images_from_manifest,
    images_from_urls,
)
from customvision_async.sources import manifest_entry

from .support.emulated_project import project_on_emulator
from .support.images import image_bytes

pytestmark = pytest.mark.anyio


async def test_open_files_of_every_sort(tmp_path: Path) -> None:
    """Pipes, seeked, text, closed, asynchronous and raising files: uploaded, or failed on their
    own.
    """
    data = image_bytes(1, size=(300, 300))
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

    rest = bytearray(image_bytes(2, size=(200, 200)))

    class OnlyRead:
        def read(self, count: int = -1) -> bytes:
            return b""

    class Raises(io.BytesIO):
        def seekable(self) -> bool:
            raise RuntimeError("the file's own")

    class Asynchronous:
        async def read(self, count: int = -1) -> bytes:
            raise RuntimeError("its own asynchronous error")

    closed = io.BytesIO(data)
    closed.close()
    text = tmp_path / "text.jpg"
    text.write_bytes(b"abc")
    with (
        os.fdopen(reader, "rb", buffering=0) as pipe,
        open(text) as as_text,
        io.BytesIO(b"x" * 10 + image_bytes(3)) as middle,
    ):
        middle.seek(10)
        given: list[Any] = [
            pipe,
            Dribbling(),
            middle,
            as_text,
            closed,
            OnlyRead(),
            Raises(),
            Asynchronous(),
            io.BytesIO(),
        ]
        async with project_on_emulator(check_images="decode") as one:
            async with one.project.upload_images(given) as upload:
                results = sorted(
                    [result async for result in upload], key=lambda result: result.index
                )
            thread.join()
            assert [result.ok for result in results] == [True] * 3 + [False] * 6
            sizes = {(image.width, image.height) for image in await one.images()}
            assert sizes == {(300, 300), (200, 200), (64, 48)}
            assert "'rb'" in str(results[3].error)
            assert "the file's own" in str(results[6].error)
            assert "asynchronous" in str(results[7].error)


async def test_a_single_image_is_taken_without_a_list(tmp_path: Path) -> None:
    """A path, bytes, an open file or an ImageFile: one upload each. A folder is refused with a
    hint.
    """
    path = tmp_path / "a.jpg"
    path.write_bytes(image_bytes(1))
    async with project_on_emulator() as one:
        with open(path, "rb") as file:
            for given in (
                path,
                str(path),
                image_bytes(1),
                file,
                ImageFile(path),
                ImageUrl("http://127.0.0.1:9/"),
                uuid4(),
                ImageFromPrediction(uuid4()),
            ):
                async with one.project.upload_images(given) as upload:
                    assert len([result async for result in upload]) == 1
        with pytest.raises(BatchError) as caught:
            await one.project.upload_images(tmp_path)
        assert "images_in" in str(caught.value.exceptions[0])


async def test_urls_from_lines() -> None:
    """Blank lines are skipped, and other objects fail. A single string is refused.

    Nothing is read before it is needed.
    """
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
            images_from_urls(**wrong)


async def test_a_manifest_gives_back_what_was_written(tmp_path: Path) -> None:
    """Files, URLs and predictions with tags, regions and metadata survive, also odd file names."""
    odd = os.fsdecode(b"caf\xe9.jpg")
    tag = Tag(id=str(uuid4()), name="t", type="Regular", image_count=0)
    items = [
        ImageFile(
            str(tmp_path / "a.jpg"),
            name="mine",
            tags=["x", tag],
            regions=[Region("x", 0.1, 0.2, 0.3, 0.4)],
            metadata={"k": "v"},
        ),
        ImageFile(tmp_path / odd),
        ImageUrl("https://example.invalid/\u00e9.jpg", tags=["y"]),
        ImageFromPrediction(uuid4()),
    ]
    entries = [manifest_entry(item, ItemError("why", index=0, item=item)) for item in items]
    manifest = tmp_path / "failed.jsonl"
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    back = [one async for one in images_from_manifest(manifest)]
    assert [type(one) for one in back] == [ImageFile, ImageFile, ImageUrl, ImageFromPrediction]
    assert back[0].name == "mine"
    assert back[0].tags == ("x", tag.id)
    assert back[0].regions == (Region("x", 0.1, 0.2, 0.3, 0.4),)
    assert back[0].metadata == {"k": "v"}
    assert os.fspath(back[1].path) == str(tmp_path / odd)
    assert back[2].url == items[2].url
    assert back[3].id == items[3].id
    assert manifest_entry(str(tmp_path / "a.jpg")) == {"path": str(tmp_path / "a.jpg")}
    prediction = uuid4()
    assert manifest_entry(prediction) == {"prediction": str(prediction)}
    assert manifest_entry(b"bytes") is None


async def test_a_bad_line_of_a_manifest_is_skipped(tmp_path: Path) -> None:
    """No JSON, other JSON, wrong types, invalid UTF-8, deep nesting: skipped with the line
    number.
    """
    (tmp_path / "a.jpg").write_bytes(image_bytes(1))
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
    async with project_on_emulator() as one:
        report = await one.project.upload_images(images_from_manifest(manifest))
        assert (report.succeeded, report.skipped) == (1, 7)
        assert [skip.item.name for skip in report.skipped_items] == [
            f"m.jsonl:{number}" for number in (3, 4, 5, 6, 7, 8, 9)
        ]


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ('{"path": "a.jpg", "tag": ["x"]}', "unknown field 'tag': did you mean 'tags'?"),
        ('{"path": "a.jpg", "labels": ["x"]}', "unknown field 'labels': did you mean 'tags'?"),
        ('{"file_name": "a.jpg"}', "unknown field 'file_name': did you mean 'path'?"),
        ('{"path": "a.jpg", "camera": 3}', "unknown field 'camera'"),
        (
            '{"path": "a.jpg", "regions": [{"tag": "x", "lft": 0}]}',
            "unknown field 'lft': did you mean 'left'?",
        ),
    ],
)
async def test_an_unknown_field_of_a_manifest_is_an_error(
    tmp_path: Path, line: str, hint: str
) -> None:
    """Otherwise it would be ignored, and its labels lost."""
    (tmp_path / "a.jpg").write_bytes(image_bytes(1))
    manifest = tmp_path / "m.jsonl"
    manifest.write_text(line)
    (item,) = [item async for item in images_from_manifest(manifest)]
    assert isinstance(item, SkippedItem)
    assert hint in item.reason
