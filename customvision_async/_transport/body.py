"""Stream the bytes of a body to the connection without holding the body in memory.

:func:`iter_pieces` is a generator that fills buffers of 128 KiB: small pieces joined, large ones
sliced, base64 on the way. If all bytes are in memory or in the page cache, it runs on the event
loop, because a hop to a thread costs more than such a read. The first read that would block is
detected (Linux has ``RWF_NOWAIT``) and runs in a thread. After a few, worker threads run the
generator to the end, a megabyte per hop and one hop ahead of the connection. If the system cannot
detect it, they do so from the start.

Pieces of 64 to 128 KiB cost least CPU, and larger ones page faults. A pause of one turn of the loop
per 256 KiB keeps it responsive within milliseconds.
"""

from __future__ import annotations

import asyncio
import binascii
import errno
import functools
import os
import stat
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO

from .._blocking import lacks_descriptors, when_descriptors_allow
from .._content import Blob, Content, ContentError, restored
from ..errors import attempt, words_of

try:
    import pybase64
except ImportError:  # the extra "speed" is twenty times faster
    _b64encode: Callable[[memoryview], bytes] = functools.partial(
        binascii.b2a_base64, newline=False
    )
else:
    _b64encode = pybase64.b64encode

__all__ = ["PIECE", "Buffer", "iter_pieces", "stream"]

Buffer = bytes | memoryview

PIECE = 128 * 1024
_RAW_PIECE = PIECE // 4 * 3 // 3 * 3  # it becomes one piece as base64
_YIELD_EVERY = 256 * 1024
_GROUP = 1024 * 1024
_PATIENCE = 4
"""Reads of one body that would block, before threads read the rest. A single page may be missing
in the cache."""
_NOWAIT: int | None = getattr(os, "RWF_NOWAIT", None)
_OPEN_FLAGS = functools.reduce(
    int.__or__,
    (
        getattr(os, name, 0)
        for name in ("O_RDONLY", "O_CLOEXEC", "O_NONBLOCK", "O_NOCTTY", "O_BINARY")
    ),
)
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)

_slow_devices: set[int] = set()
"""Devices that cannot detect blocking reads, such as network file systems. Threads read their
files."""

_workers: ThreadPoolExecutor | None = None


class WouldWait(Exception):
    """This read would block the event loop."""


class Reader:
    """How blobs are read: without blocking, or in a thread if `may_wait`.

    `spare` is a buffer that was sent and can be filled again. It is still in the CPU cache.
    """

    __slots__ = ("may_wait", "spare")

    def __init__(self) -> None:
        self.may_wait = _NOWAIT is None
        self.spare: memoryview | None = None

    def buffer(self) -> memoryview:
        """Return an empty piece."""
        spare, self.spare = self.spare, None
        return spare if spare is not None and len(spare) == PIECE else memoryview(bytearray(PIECE))


def _read_at(descriptor: int, view: memoryview, offset: int) -> int:
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [view], offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    data = os.read(descriptor, len(view))
    view[: len(data)] = data
    return len(data)


def open_blob(blob: Blob, *, may_wait: bool = True) -> int:
    """Return a descriptor of the file of `blob`. It must be the regular file that was inspected.

    Raises:
        WouldWait: There is no descriptor left, and `may_wait` is not set.
        ContentError: The file cannot be opened, or is not the one that was inspected.
    """
    assert blob.path is not None
    flags = _OPEN_FLAGS | (0 if blob.follow_symlinks else _NO_FOLLOW)
    try:
        if may_wait:
            descriptor = when_descriptors_allow(os.open, blob.path, flags)
        else:
            descriptor = os.open(blob.path, flags)
    except OSError as error:
        if not may_wait and lacks_descriptors(error):
            raise WouldWait from None
        reason = (
            "it is a symbolic link"
            if error.errno == errno.ELOOP and not blob.follow_symlinks
            else (error.strerror or str(error))
        )
        raise ContentError(blob, f"the file cannot be read: {reason}") from None
    except ValueError:
        raise ContentError(blob, "the file cannot be read: its path holds a NUL") from None
    try:
        _check_unchanged(blob, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_unchanged(blob: Blob, descriptor: int) -> None:
    """Raise ContentError unless the open file is the one that was inspected, unchanged."""
    now = os.fstat(descriptor)
    if blob.fingerprint == (now.st_dev, now.st_ino, now.st_mtime_ns) and now.st_size == blob.size:
        return
    if not stat.S_ISREG(now.st_mode):
        raise ContentError(blob, "it is not a regular file")
    if now.st_size != blob.size:
        raise ContentError(
            blob,
            f"the file has changed since it was looked at: {blob.size:,} bytes then,"
            f" {now.st_size:,} now",
        )
    if blob.fingerprint is not None:
        raise ContentError(
            blob, "the file has changed since it was looked at: it was written to or replaced"
        )


class _Source:
    """The bytes of one blob. `left` is the number of bytes to come."""

    __slots__ = ("_blob", "_data", "_descriptor", "_offset", "_reader", "left")

    def __init__(self, blob: Blob, reader: Reader) -> None:
        self._blob = blob
        self._reader = reader
        self._offset = 0
        self._descriptor = -1
        self.left = blob.size
        data = blob.pop_prefetched() if blob.prefetched else blob.data
        try:
            self._data = None if data is None else memoryview(data).cast("B")
        except ValueError:
            raise ContentError(blob, "the bytes cannot be read: their view was released") from None
        if self._data is not None and len(self._data) != blob.size:
            raise ContentError(blob, "the bytes have changed in length since they were looked at")

    def readinto(self, view: memoryview) -> int:
        """Read the next bytes into `view`, at least one, and return their number.

        Raises:
            WouldWait: Nothing was read. In a thread it may be.
            ContentError: The blob has changed.
        """
        if len(view) > self.left:
            view = view[: self.left]
        if self._data is not None:
            count = len(view)
            view[:] = self._data[self._offset : self._offset + count]
        elif self._blob.path is not None:
            count = self._some_of_path(view)
        else:
            count = self._some_of_file(view)
        if count == 0:
            raise ContentError(
                self._blob, "the file has changed since it was looked at: it ends early"
            )
        self._offset += count
        self.left -= count
        if not self.left and self._descriptor >= 0:  # it was written to while it was read
            _check_unchanged(self._blob, self._descriptor)
        return count

    def _some_of_path(self, view: memoryview) -> int:
        may_wait = self._reader.may_wait
        try:
            if self._descriptor < 0:
                if (
                    not may_wait
                    and self._blob.fingerprint is not None
                    and self._blob.fingerprint[0] in _slow_devices
                ):
                    raise WouldWait
                self._descriptor = open_blob(self._blob, may_wait=may_wait)
            if may_wait:
                return _read_at(self._descriptor, view, self._offset)
            return os.preadv(self._descriptor, (view,), self._offset, _NOWAIT or 0)
        except OSError as error:
            if not may_wait and error.errno in (errno.EAGAIN, errno.EOPNOTSUPP):
                if error.errno == errno.EOPNOTSUPP:
                    _slow_devices.add(os.fstat(self._descriptor).st_dev)
                raise WouldWait from None
            raise ContentError(
                self._blob, f"the file cannot be read: {error.strerror or error}"
            ) from None

    def _some_of_file(self, view: memoryview) -> int:
        assert self._blob.file is not None
        if not self._reader.may_wait:
            raise WouldWait
        count = attempt(self._read, self._blob.file, view)
        if isinstance(count, Exception):
            closed = attempt(getattr, self._blob.file, "closed", False) is True
            reason = "it has been closed" if closed else words_of(count)
            raise ContentError(self._blob, f"the file cannot be read: {reason}")
        return count

    def _read(self, file: IO[bytes], view: memoryview) -> int:
        with restored(file):
            file.seek(self._blob.offset + self._offset)
            data = file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def iter_pieces(content: Content, reader: Reader) -> Generator[Buffer | None, None, None]:
    """Yield the pieces of `content` in order. Yield None if the next read would block.

    After None, set `reader.may_wait` and continue in a thread.

    Raises:
        ContentError: A blob has changed or cannot be read.
    """
    return _assemble_base64(content, reader) if content.base64 else _assemble_raw(content, reader)


def _assemble_raw(content: Content, reader: Reader) -> Generator[Buffer | None, None, None]:
    buffer = reader.buffer()
    at = 0
    for piece in content.pieces:
        small = (
            piece
            if isinstance(piece, bytes)
            else piece.pop_prefetched()
            if piece.prefetched and at + piece.size < PIECE
            else None
        )
        if small is not None and at + len(small) < PIECE:
            buffer[at : at + len(small)] = small
            at += len(small)
            continue
        source = _Source(_as_blob(piece), reader)
        try:
            while source.left:
                try:
                    at += source.readinto(buffer[at:])
                except WouldWait:
                    yield None
                    continue
                if at == PIECE:
                    yield buffer
                    buffer = reader.buffer()
                    at = 0
        finally:
            source.close()
    if at:
        yield buffer[:at]


def _as_blob(piece: bytes | Blob) -> Blob:
    return piece if isinstance(piece, Blob) else Blob(len(piece), data=piece)


def _assemble_base64(content: Content, reader: Reader) -> Generator[Buffer | None, None, None]:
    scratch = memoryview(bytearray(_RAW_PIECE))
    parts: list[bytes] = []
    size = 0
    for piece in content.pieces:
        if isinstance(piece, bytes):
            parts.append(piece)
            size += len(piece)
        else:
            source = _Source(piece, reader)
            try:
                while source.left:
                    view = scratch[: min(source.left, _RAW_PIECE)]
                    done = 0
                    while done < len(view):
                        try:
                            done += source.readinto(view[done:])
                        except WouldWait:
                            yield None
                    parts.append(_b64encode(view))
                    size += len(parts[-1])
                    if size >= PIECE:
                        yield b"".join(parts)
                        parts, size = [], 0
            finally:
                source.close()
        if size >= PIECE:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


Write = Callable[[Buffer], Awaitable[object]]
"""Write a piece. Return whether it has been sent or copied, so that it may be filled again."""


async def stream(content: Content, write: Write) -> None:
    """Write `content` in pieces, with turns of the event loop between them.

    Raises:
        ContentError: A blob has changed or cannot be read.
    """
    reader = Reader()
    pieces = iter_pieces(content, reader)
    hops = 0
    breath = _YIELD_EVERY
    try:
        while not reader.may_wait:
            piece = next(pieces, b"")
            if piece is None:
                hops += 1
                reader.may_wait = True
                if hops > _PATIENCE:
                    break
                piece = await _next_from_thread(pieces)
                reader.may_wait = False
            if not piece:
                return
            breath -= len(piece)
            if await write(piece) and isinstance(piece, memoryview):
                reader.spare = piece
            if breath <= 0:
                breath = _YIELD_EVERY
                await asyncio.sleep(0)
    except BaseException:
        with suppress(ValueError):  # it still runs in a thread, which closes it
            pieces.close()
        raise
    await _stream_from_threads(pieces, write)


async def _next_from_thread(pieces: Generator[Buffer | None, None, None]) -> Buffer | None:
    """Return the next piece, read in a thread."""
    ahead = _pool().submit(next, pieces, b"")
    try:
        return await asyncio.wrap_future(ahead)
    except asyncio.CancelledError:
        ahead.add_done_callback(
            lambda _: pieces.close()
        )  # a generator that runs in a thread can be closed only later
        raise


def _group(pieces: Generator[Buffer | None, None, None]) -> list[Buffer]:
    """Return the next megabyte of pieces, read in a thread. Empty at the end."""
    group: list[Buffer] = []
    size = 0
    for piece in pieces:
        if piece is not None:
            group.append(piece)
            size += len(piece)
            if size >= _GROUP:
                break
    return group


async def _stream_from_threads(pieces: Generator[Buffer | None, None, None], write: Write) -> None:
    workers = _pool()
    ahead = workers.submit(_group, pieces)
    try:
        while group := await asyncio.wrap_future(ahead):
            ahead = workers.submit(_group, pieces)
            breath = _YIELD_EVERY
            group.reverse()
            while group:  # release the sent pieces
                breath -= len(group[-1])
                await write(group.pop())
                if breath <= 0:
                    breath = _YIELD_EVERY
                    await asyncio.sleep(0)
    finally:
        ahead.add_done_callback(
            lambda _: pieces.close()
        )  # a generator that runs in a thread can be closed only later


def _pool() -> ThreadPoolExecutor:
    """Return the reader threads of the process."""
    global _workers
    if _workers is None:
        _workers = ThreadPoolExecutor(max_workers=4, thread_name_prefix="customvision-read")
    return _workers


def _forget_workers() -> None:
    global _workers
    _workers = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)  # a child process has no such threads
