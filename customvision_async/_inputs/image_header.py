"""Inspect an image file before it is sent: its format, its size and its sides.

The functions read headers only and never decode an image, so a hostile file costs no more than any
other. The formats are those that the service accepts: JPEG, PNG, GIF and BMP. The functions block:
call them in a worker thread, for many files at a time.
"""

from __future__ import annotations

import io
import os
import stat
import struct
from asyncio import CancelledError
from collections.abc import Callable
from functools import partial
from typing import IO, cast

from .. import limits
from .._blocking import when_descriptors_allow
from .._content import Blob, restored
from ..errors import LimitExceeded, display_name, words_of
from ..models import ImageFile

__all__ = [
    "NotAnImage",
    "inspect_bytes",
    "inspect_file",
    "inspect_given",
    "inspect_path",
    "unread",
]

_HEAD = 512
"""Bytes of the first read: enough for all headers, except in JPEG files with much metadata."""
_SIDE, _RATIO = limits.IMAGE_SIDE.value, limits.IMAGE_ASPECT_RATIO.value
_SEGMENTS = 1000
"""Maximum JPEG segments to read. Real files have a few dozen."""

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
"""O_NONBLOCK: opening a FIFO must not block, because fstat detects it only once it is open."""
_KIND = stat.S_IFMT(0o177777)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

ReadAt = Callable[[int, int], bytes]
"""``read_at(count, offset)`` returns up to `count` bytes from `offset`."""


class NotAnImage(Exception):
    """The file is not an image that the service accepts. The text is the reason."""


def inspect_given(image: ImageFile, *, size_limit: limits.Limit = limits.IMAGE_BYTES) -> Blob:
    """Inspect a caller's image, and return the :class:`Blob` to send.

    Raises:
        ValueError, LimitExceeded, OSError: As for :func:`inspect_path`. The text starts with the
            path or name of the image.
    """
    name = display_name(image)
    try:
        if image.path is not None:
            return inspect_path(os.fsdecode(image.path), size_limit=size_limit)
        if image.data is not None:
            return inspect_bytes(image.data, size_limit=size_limit)
        assert image.file is not None
        # Asynchronous files have been read by now.
        return inspect_file(cast("IO[bytes]", image.file), size_limit=size_limit)
    except NotAnImage as error:
        raise ValueError(f"{name or 'the bytes'}: {error}") from None
    except LimitExceeded as error:
        raise LimitExceeded(error.limit, error.actual, name or "the bytes") from None
    except OSError as error:
        raise unread(error, name or "the file") from None
    # A caller's object may raise anything.
    except (Exception, CancelledError) as error:  # noqa: BLE001 - see above
        raise ValueError(f"{name or 'the file'}: cannot be read: {words_of(error)}") from None


def unread(error: OSError, display_name: str) -> OSError:
    """Return an error of the same class whose text starts with the name of the file."""
    kind = type(OSError(error.errno or 0, ""))
    named = kind(f"{display_name}: cannot be read: {error.strerror or error}")
    named.errno = error.errno
    return named


def inspect_path(
    path: str,
    *,
    follow_symlinks: bool = True,
    size_limit: limits.Limit = limits.IMAGE_BYTES,
    prefetch: int = 0,
) -> Blob:
    """Inspect the file at `path`, and return the :class:`Blob` to send.

    Args:
        path: Path of the file.
        follow_symlinks: Whether `path` may be a symbolic link.
        size_limit: Maximum size in bytes.
        prefetch: Prefetch files of at most this many bytes.

    Raises:
        NotAnImage: The file is not a regular file, is empty, or has an unsupported format.
        LimitExceeded: Its size, a side or its aspect ratio is over the limit.
        OSError: The file cannot be opened or read.
    """
    fd = when_descriptors_allow(os.open, path, _FLAGS if follow_symlinks else _FLAGS | _NO_FOLLOW)
    try:
        facts = os.fstat(fd)
        if facts.st_mode & _KIND != stat.S_IFREG:
            raise NotAnImage(
                "a folder: use images_in() for the images in it"
                if stat.S_ISDIR(facts.st_mode)
                else "not a regular file"
            )
        size = facts.st_size
        head = os.read(fd, size if size <= prefetch else _HEAD)
        _check(size, head, partial(_read_at, fd), size_limit)
        whole = [head] if size <= prefetch and len(head) == size else None
        return Blob(
            size,
            path,
            None,
            None,
            0,
            (facts.st_dev, facts.st_ino, facts.st_mtime_ns),
            follow_symlinks,
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
    """Inspect bytes in memory. See :func:`inspect_path`."""
    view = memoryview(data).cast("B")
    _check(
        len(view),
        bytes(view[:_HEAD]),
        lambda count, offset: bytes(view[offset : offset + count]),
        size_limit,
    )
    return Blob(len(view), data=data)


def inspect_file(file: IO[bytes], *, size_limit: limits.Limit = limits.IMAGE_BYTES) -> Blob:
    """Inspect an open binary file, from its current position. See :func:`inspect_path`.

    A file that cannot seek is read whole, because it could not be sent twice.

    Raises:
        TypeError: `file` is a text file.
    """
    untyped: object = file
    if isinstance(untyped, io.TextIOBase):
        raise TypeError("it was opened as text: open it with 'rb'")

    def read_at(count: int, offset: int) -> bytes:
        file.seek(start + offset)
        return file.read(count)

    with restored(file):
        if not file.seekable():
            rest = _read_rest(file, size_limit.value + 1)
            if not rest:
                raise NotAnImage(
                    "nothing is left to read (0 bytes): a stream that cannot seek can be given once"
                )
            return inspect_bytes(rest, size_limit=size_limit)
        start = file.tell()
        size = file.seek(0, os.SEEK_END) - start
        _check(size, read_at(_HEAD, 0), read_at, size_limit)
    return Blob(size, file=file, offset=start)


def _read_rest(file: IO[bytes], max_bytes: int) -> bytes:
    """Return the rest of a file, up to `max_bytes`."""
    parts: list[bytes] = []
    # An unbuffered file may return fewer bytes than requested.
    while max_bytes > 0 and (part := file.read(max_bytes)):
        parts.append(part)
        max_bytes -= len(part)
    return b"".join(parts)


def _check(size: int, head: bytes, read_at: ReadAt, size_limit: limits.Limit) -> None:
    if size <= 0:
        raise NotAnImage("the file is empty (0 bytes)")
    sides = _sides(head, read_at)
    if size > size_limit.value:
        raise LimitExceeded(size_limit, size)
    if sides is None:
        # The format is supported, but the header has no sides. The service decides.
        return
    width, height = sides
    if width > _SIDE or height > _SIDE:
        raise LimitExceeded(limits.IMAGE_SIDE, max(sides), f"{width} x {height}")
    if (width > _RATIO * height or height > _RATIO * width) and width and height:
        raise LimitExceeded(
            limits.IMAGE_ASPECT_RATIO, max(sides) / min(sides), f"{width} x {height}"
        )


def _sides(head: bytes, read_at: ReadAt) -> tuple[int, int] | None:
    """Return (width, height), or None if the header is truncated."""
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg_sides(head, read_at)
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return struct.unpack(">II", head[16:24]) if len(head) >= 24 else None
    if head.startswith((b"GIF87a", b"GIF89a")):
        return struct.unpack("<HH", head[6:10]) if len(head) >= 10 else None
    if head.startswith(b"BM"):
        return _bmp_sides(head)
    raise NotAnImage(f"not a JPEG, PNG, GIF or BMP image: it starts with {head[:8]!r}")


def _bmp_sides(head: bytes) -> tuple[int, int] | None:
    if len(head) < 26:
        return None
    header_size = struct.unpack("<I", head[14:18])[0]
    # OS/2 files have a 12 byte header.
    if header_size == 12:
        return struct.unpack("<HH", head[18:22])
    width, height = struct.unpack("<ii", head[18:26])
    # A negative height means top-down.
    return abs(width), abs(height)


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
        if marker == _PADDING:
            offset += 1
        elif marker in _BARE:
            offset += 2
        elif marker in _END_OF_HEADERS:
            return None
        else:
            offset += 2 + (segment[at + 2] << 8) + segment[at + 3]
    return None


_PADDING = 0xFF
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start-of-frame markers."""
_END_OF_HEADERS = frozenset({0xD9, 0xDA})
"""End-of-image and start-of-scan markers: no frame header follows."""
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})
"""Markers without a body."""
_two_shorts = struct.Struct(">HH").unpack_from
