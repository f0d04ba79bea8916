"""Bodies: every byte, in pieces of the right size, from memory, files and open files; and files
that change meanwhile.
"""

from __future__ import annotations

import asyncio
import base64
import io
import os
import socket
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customvision_async._content import Blob, Content, ContentError
from customvision_async._transport import body as body_module
from customvision_async._transport.body import PIECE, stream

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["page cache", "threads"])
def _reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways of reading: on the loop where nothing waits, and in threads."""
    if request.param == "threads":
        monkeypatch.setattr(body_module, "_NOWAIT", None)


async def collect(content: Content) -> list[bytes]:
    """The pieces that are streamed."""
    pieces: list[bytes] = []

    async def write(piece: bytes | memoryview) -> None:
        pieces.append(bytes(piece))

    await stream(content, write)
    return pieces


def blob_of(path: Path, **changes: object) -> Blob:
    """The blob of a file as it is now."""
    now = path.stat()
    fields = {
        "size": now.st_size,
        "path": str(path),
        "fingerprint": (now.st_dev, now.st_ino, now.st_mtime_ns),
        **changes,
    }
    return Blob(**fields)


def expected(content: Content, blobs: dict[int, bytes]) -> bytes:
    """What the body must be."""
    parts = []
    for piece in content.pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
        else:
            data = blobs[id(piece)]
            parts.append(base64.b64encode(data) if content.base64 else data)
    return b"".join(parts)


SIZES = st.sampled_from(
    [0, 1, 2, 3, 100, 98_303, 98_304, 98_305, PIECE - 1, PIECE, PIECE + 1, 300_000, 2_500_000]
)


@pytest.mark.usefixtures("_reading")
@pytest.mark.parametrize("as_base64", [False, True])
@pytest.mark.parametrize("seed", range(6))
async def test_every_byte_arrives_in_order(tmp_path: Path, as_base64: bool, seed: int) -> None:
    """Bytes, files, open files and buffers, mixed, come out as their concatenation, of the length
    announced.
    """
    kinds = ["bytes", "path", "data", "file", "path", "bytes", "view", "path"]
    sizes = [0, 1, 70_000, PIECE, 98_305, 2_500_000, 3, PIECE + 1]
    pieces: list[bytes | Blob] = []
    blobs: dict[int, bytes] = {}
    for number, kind in enumerate(kinds):
        data = os.urandom(sizes[(number + seed) % len(sizes)])
        if kind == "bytes":
            pieces.append(data)
            continue
        if kind == "path":
            path = tmp_path / str(number)
            path.write_bytes(data)
            blob = blob_of(path)
        elif kind == "file":
            blob = Blob(len(data), file=io.BytesIO(b"before" + data + b"after"), offset=6)
        elif kind == "view":
            blob = Blob(len(data), data=memoryview(data))
        else:
            blob = Blob(len(data), data=bytearray(data))
        blobs[id(blob)] = data
        pieces.append(blob)
    content = Content("x/y", pieces, base64=as_base64)
    sent = await collect(content)
    assert b"".join(sent) == expected(content, blobs)
    assert sum(map(len, sent)) == content.length
    assert await collect(content) == sent  # and a second time


@given(sizes=st.lists(SIZES, max_size=6), as_base64=st.booleans())
def test_pieces_are_neither_small_nor_large(sizes: list[int], as_base64: bool) -> None:
    """All but the last are 64 KiB to 256 KiB."""
    content = Content("x/y", [Blob(size, data=bytes(size)) for size in sizes], base64=as_base64)
    lengths = [len(piece) for piece in asyncio.run(collect(content))]
    assert all(PIECE // 2 <= length <= 2 * PIECE for length in lengths[:-1])
    assert all(0 < length <= 2 * PIECE for length in lengths[-1:])


@pytest.mark.usefixtures("_reading")
@pytest.mark.parametrize(
    "trouble",
    ["gone", "shorter", "longer", "touched", "replaced", "link", "folder", "fifo", "socket", "nul"],
)
async def test_a_file_that_is_not_as_it_was_planned_is_named(tmp_path: Path, trouble: str) -> None:
    """Whatever became of the file since it was looked at: a ContentError with its blob, at once,
    and no descriptor left open.
    """
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(1000))
    blob = blob_of(path, follow_symlinks=False)
    match trouble:
        case "gone":
            path.unlink()
        case "shorter":
            path.write_bytes(bytes(999))
        case "longer":
            path.write_bytes(bytes(1001))
        case "touched":
            os.utime(path, ns=(1, 1))
        case "replaced":
            (tmp_path / "b").write_bytes(bytes(1000))
            (tmp_path / "b").replace(path)
        case "link":
            path.rename(tmp_path / "b")
            path.symlink_to(tmp_path / "b")
        case "nul":
            blob = Blob(1000, path="a\0b")
        case _:
            path.unlink()
            if trouble == "folder":
                path.mkdir()
            elif trouble == "fifo":
                os.mkfifo(path)
    if trouble == "socket":
        with (
            tempfile.TemporaryDirectory(dir="/tmp") as short,
            socket.socket(socket.AF_UNIX) as unix,
        ):
            unix.bind(f"{short}/s")
            await _refused(Blob(1000, path=f"{short}/s"))
    else:
        await _refused(blob)


async def _refused(blob: Blob) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(ContentError) as caught:
        await asyncio.wait_for(collect(Content("x/y", [b"head", blob, b"tail"])), 5)
    assert caught.value.blob is blob
    if before:
        for _ in range(100):  # a thread may be closing it
            if len(os.listdir("/proc/self/fd")) <= before:
                break
            await asyncio.sleep(0.01)
        assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.usefixtures("_reading")
async def test_a_file_that_shrinks_while_it_is_read_is_named(tmp_path: Path) -> None:
    """The end comes before the announced length."""
    path = tmp_path / "a.jpg"
    path.write_bytes(bytes(8_000_000))
    blob = blob_of(path)
    taken = 0

    async def write(piece: bytes | memoryview) -> None:
        nonlocal taken
        taken += len(piece)
        os.truncate(path, 1_000_000)

    with pytest.raises(ContentError, match="ends early"):
        await stream(Content("x/y", [blob]), write)
    assert taken < 8_000_000


async def test_memory_and_open_files_that_change_are_named() -> None:
    """A buffer of another length, a file that was closed or is too short."""
    closed = io.BytesIO(bytes(10))
    closed.close()
    for blob in (
        Blob(10, data=bytes(9)),
        Blob(10, file=closed),
        Blob(10, file=io.BytesIO(bytes(9))),
    ):
        with pytest.raises(ContentError):
            await collect(Content("x/y", [blob]))


async def test_a_read_that_would_wait_goes_to_a_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a body, with nothing lost or doubled."""
    if body_module._NOWAIT is None:
        pytest.skip("this system cannot tell whether a read would wait")
    calls = 0
    real = os.preadv

    def preadv(descriptor: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        nonlocal calls
        calls += 1
        if flags and calls == 5:
            raise BlockingIOError(11, "would wait")
        return real(descriptor, [buffers[0][:50_000]], offset, flags)

    monkeypatch.setattr(os, "preadv", preadv)
    path = tmp_path / "a"
    path.write_bytes(os.urandom(3_000_000))
    assert (
        b"".join(await collect(Content("x/y", [b"<", blob_of(path), b">"])))
        == b"<" + path.read_bytes() + b">"
    )


@pytest.mark.usefixtures("_reading")
async def test_memory_does_not_grow_with_the_body(tmp_path: Path) -> None:
    """A body of 64 MB is never in memory: a few megabytes are."""
    path = tmp_path / "a"
    path.write_bytes(bytes(8_000_000))
    content = Content("x/y", [blob_of(path)] * 8)

    async def write(piece: bytes | memoryview) -> None:
        pass

    await stream(content, write)
    tracemalloc.start()
    try:
        await stream(content, write)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("_reading")
async def test_the_loop_breathes(tmp_path: Path) -> None:
    """Between any 512 KiB of a body other tasks get their turn, though the link never makes it
    wait.
    """
    path = tmp_path / "a"
    path.write_bytes(bytes(5_000_000))
    turn = 0
    since: dict[int, int] = {}

    async def others() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async def write(piece: bytes | memoryview) -> None:
        since[turn] = since.get(turn, 0) + len(piece)

    task = asyncio.create_task(others())
    await stream(Content("x/y", [blob_of(path)]), write)
    task.cancel()
    assert max(since.values()) <= 512 * 1024


@pytest.mark.usefixtures("_reading")
async def test_leaving_in_the_middle_leaves_nothing_open(tmp_path: Path) -> None:
    """A link that breaks, again and again: no descriptor stays."""
    path = tmp_path / "a"
    path.write_bytes(bytes(5_000_000))

    async def write(piece: bytes | memoryview) -> None:
        raise ConnectionResetError

    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with pytest.raises(ConnectionResetError):
            await stream(Content("x/y", [blob_of(path)]), write)
    for _ in range(100):
        if len(os.listdir("/proc/self/fd")) <= before:
            break
        await asyncio.sleep(0.01)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.fixture(autouse=True)
def _no_slow_devices() -> Iterator[None]:
    """What one test learns of a device, the next does not know."""
    yield
    body_module._slow_devices.clear()
