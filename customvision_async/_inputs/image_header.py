"""Looking at a file before it is sent: is it a picture the service takes, how large, which sides. From its first bytes only.

Blocking: call it in a worker thread, many files a hop. The formats are those of the service (JPEG, PNG, GIF, BMP); the picture is
never decoded, so a hostile file costs no more than any other.
"""

from __future__ import annotations

import inspect
import io
import os
import stat
import struct
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from .. import limits
from .._content import Blob
from ..errors import LimitExceeded, called
from ..models import ImageFile

__all__ = ["NotAnImage", "inspect_bytes", "inspect_file", "inspect_given", "inspect_path"]

_HEAD = 512
"""Bytes read first: enough for the sides of all but JPEG files with metadata in front, which are walked segment by segment."""
_SIDE, _RATIO = limits.IMAGE_SIDE.value, limits.IMAGE_ASPECT_RATIO.value
_SEGMENTS = 1000
"""JPEG segments walked at the most. Real files have a few dozen."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""O_NONBLOCK: a FIFO must not hang us before fstat tells what it is."""
_KIND = stat.S_IFMT(0o177777)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

ReadAt = Callable[[int, int], bytes]
"""Reads (count, offset)."""


class NotAnImage(Exception):
    """The file is none the service could take, and why."""


def inspect_given(
    one: ImageFile, *, size_limit: limits.Limit = limits.IMAGE_BYTES
) -> Blob | Exception:
    """The same for what a person gave, with its path or name in the error, which is given and not raised: it is one item's."""
    who = called(one)
    try:
        if one.path is not None:
            return inspect_path(os.fspath(one.path), size_limit=size_limit)
        if one.data is not None:
            return inspect_bytes(one.data, size_limit=size_limit)
        assert one.file is not None
        return inspect_file(one.file, size_limit=size_limit)
    except NotAnImage as error:
        return ValueError(f"{who or 'the bytes'}: {error}")
    except LimitExceeded as error:
        return LimitExceeded(error.limit, error.actual, who or "the bytes")
    except OSError as error:
        return _unreadable(error, who or "the file")
    except Exception as error:  # noqa: BLE001 - a closed file, a path with NUL, whatever a file object of somebody's raises
        return ValueError(f"{who or 'the file'}: cannot be read: {error}")


def _unreadable(error: OSError, who: str) -> OSError:
    """An error of the same kind in words for people. Python's own put a number in front, and the path last."""
    kind = type(OSError(error.errno or 0, ""))
    made = kind(f"{who}: cannot be read: {error.strerror or error}")
    made.errno = error.errno
    return made


def inspect_path(
    path: str, *, follow: bool = True, size_limit: limits.Limit = limits.IMAGE_BYTES, ahead: int = 0
) -> Blob:
    """Look at the file at `path` and give the :class:`Blob` to send. One of up to `ahead` bytes is read whole.

    Raises:
        NotAnImage: not a regular file, empty, or its first bytes are of no format the service takes.
        LimitExceeded: too large in bytes, in sides, or in aspect ratio.
        OSError: it cannot be opened or read.
    """
    fd = os.open(path, _FLAGS if follow else _FLAGS | _NO_FOLLOW)
    try:
        facts = os.fstat(fd)
        if facts.st_mode & _KIND != stat.S_IFREG:
            raise NotAnImage(
                "a folder: images_in() gives its pictures"
                if stat.S_ISDIR(facts.st_mode)
                else "not a regular file"
            )
        size = facts.st_size
        head = os.read(fd, size if size <= ahead else _HEAD)
        _check(size, head, partial(_read_at, fd), size_limit)
        whole = [head] if size <= ahead and len(head) == size else None
        return Blob(
            size,
            path,
            None,
            None,
            0,
            (facts.st_dev, facts.st_ino, facts.st_mtime_ns),
            follow,
            whole,
        )
    finally:
        os.close(fd)


def _read_at(fd: int, count: int, offset: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, count)


def inspect_bytes(
    data: bytes | bytearray | memoryview, *, size_limit: limits.Limit = limits.IMAGE_BYTES
) -> Blob:
    """The same for bytes in memory."""
    view = memoryview(data).cast("B")
    _check(
        len(view),
        bytes(view[:_HEAD]),
        lambda count, offset: bytes(view[offset : offset + count]),
        size_limit,
    )
    return Blob(len(view), data=data)


def inspect_file(file: BinaryIO, *, size_limit: limits.Limit = limits.IMAGE_BYTES) -> Blob:
    """The same for an open binary file, from where it stands to its end.

    One that cannot seek is read whole: it could not be sent twice otherwise.
    """
    if inspect.iscoroutinefunction(file.read):
        raise TypeError("it is an asynchronous file: read it, and give data=")
    given: object = file
    if isinstance(given, io.TextIOBase):
        raise TypeError("it was opened as text: open it with 'rb'")
    if not file.seekable():
        return inspect_bytes(_all_of(file, size_limit.value + 1), size_limit=size_limit)
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start

    def read_at(count: int, offset: int) -> bytes:
        file.seek(start + offset)
        return file.read(count)

    try:
        _check(size, read_at(_HEAD, 0), read_at, size_limit)
    finally:
        file.seek(start)
    return Blob(size, file=file, offset=start)


def _all_of(file: BinaryIO, most: int) -> bytes:
    """The rest of a file, at most `most` bytes. An unbuffered one gives them as they come."""
    pieces: list[bytes] = []
    while most > 0 and (piece := file.read(most)):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _check(size: int, head: bytes, read_at: ReadAt, size_limit: limits.Limit) -> None:
    if size <= 0:
        raise NotAnImage("the file is empty (0 bytes)")
    sides = _sides(head, read_at)
    if size > size_limit.value:
        raise LimitExceeded(size_limit, size)
    if sides is None:
        return  # the format is right and the sides are not where they should be: let the service judge
    width, height = sides
    if width > _SIDE or height > _SIDE:
        raise LimitExceeded(limits.IMAGE_SIDE, max(sides), f"{width} x {height}")
    if (width > _RATIO * height or height > _RATIO * width) and width and height:
        raise LimitExceeded(
            limits.IMAGE_ASPECT_RATIO, max(sides) / min(sides), f"{width} x {height}"
        )


def _sides(head: bytes, read_at: ReadAt) -> tuple[int, int] | None:
    """(width, height), or None where the header is cut short."""
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_sides(head, read_at)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack(">II", head[16:24]) if len(head) >= 24 else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return struct.unpack("<HH", head[6:10]) if len(head) >= 10 else None
    if head.startswith(b"BM"):
        return _bmp_sides(head)
    raise NotAnImage(f"not a JPEG, PNG, GIF or BMP picture: it begins with {head[:8]!r}")


def _bmp_sides(head: bytes) -> tuple[int, int] | None:
    if len(head) < 26:
        return None
    if struct.unpack("<I", head[14:18])[0] == 12:  # the header of OS/2
        return struct.unpack("<HH", head[18:22])
    width, height = struct.unpack("<ii", head[18:26])
    return abs(width), abs(height)  # a negative height means top-down


def _jpeg_sides(head: bytes, read_at: ReadAt) -> tuple[int, int] | None:
    offset = 2
    known = len(head) - 9
    for _ in range(_SEGMENTS):
        at = offset
        segment = head
        if offset > known:
            segment, at = read_at(9, offset), 0
        if len(segment) - at < 4 or segment[at] != 0xFF:
            return None
        marker = segment[at + 1]
        if marker in _FRAMES:
            if len(segment) - at < 9:
                return None
            height, width = _two_shorts(segment, at + 5)
            return width, height
        if marker == 0xFF:  # padding
            offset += 1
        elif marker in _BARE:
            offset += 2
        elif marker in (0xD9, 0xDA):  # the picture itself, and no frame header before it
            return None
        else:
            offset += 2 + (segment[at + 2] << 8) + segment[at + 3]
    return None


_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a body."""
_two_shorts = struct.Struct(">HH").unpack_from
