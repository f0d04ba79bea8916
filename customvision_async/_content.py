"""Describe request bodies without reading them: pure data, no I/O.

A :class:`Content` knows its exact length without holding an image. Each image in it is a
:class:`Blob`: a location (path, bytes or open file) and a size. One layer plans a body, another
streams it, and it can be sent again after a failure. Memory does not grow with the images.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import msgspec

__all__ = ["Blob", "Content", "ContentError", "restored"]

_locks: dict[int, tuple[threading.Lock, list[None]]] = {}
"""Per file in use, by id: its lock, and one entry for each thread that holds it or waits."""
_locks_guard = threading.Lock()


@contextmanager
def restored(file: IO[bytes]) -> Iterator[None]:
    """Lock the position of `file`, and restore it on exit.

    Use it for every access to a file of the caller: several items may share one open file, and
    several threads read them. The position of a file that cannot seek is not restored.

    Raises:
        Exception: The file raised it.
    """
    # The file itself may define any __hash__ and __eq__.
    key = id(file)
    with _locks_guard:
        lock, users = _locks.setdefault(key, (threading.Lock(), []))
        users.append(None)
    try:
        with lock:
            start = file.tell() if file.seekable() else None
            try:
                yield
            finally:
                if start is not None:
                    file.seek(start)
    finally:
        with _locks_guard:
            users.pop()
            if not users:
                del _locks[key]


class Blob(msgspec.Struct, frozen=True, eq=False):
    """The size and location of the bytes of one file. Exactly one of `path`, `data`, `file` is set.

    `fingerprint` is (device, inode, mtime in ns) at inspection. If it or the size differs when the
    file is opened, the file has changed. `follow_symlinks` is False if `path` must not be a
    symbolic link. `offset` is the start of the bytes in `file`.
    """

    size: int
    path: str | None = None
    data: bytes | bytearray | memoryview | None = None
    file: IO[bytes] | None = None
    offset: int = 0
    fingerprint: tuple[int, int, int] | None = None
    follow_symlinks: bool = True
    prefetched: list[bytes] | None = None
    """The prefetched bytes of a small file: one entry, or none after :meth:`pop_prefetched`."""

    def pop_prefetched(self) -> bytes | None:
        """Pop the prefetched bytes. Later calls return None, and the file is read instead."""
        try:
            return self.prefetched.pop() if self.prefetched else None
        except IndexError:
            # Another thread popped them first.
            return None


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A request body: the concatenation of `pieces`. It has no state, so it can be sent again.

    `base64` encodes the blobs.
    """

    content_type: str
    pieces: Sequence[bytes | Blob]
    base64: bool = False
    length: int = field(init=False)
    """Exact Content-Length."""

    def __post_init__(self) -> None:
        length = 0
        for piece in self.pieces:
            length += (
                len(piece)
                if isinstance(piece, bytes)
                else (piece.size + 2) // 3 * 4
                if self.base64
                else piece.size
            )
        object.__setattr__(self, "length", length)


class ContentError(Exception):
    """A blob is missing, unreadable, or has changed since inspection.

    The request had no effect, because its body was not sent to the end.
    """

    def __init__(self, blob: Blob, reason: str) -> None:
        super().__init__(reason)
        self.blob = blob
        self.reason = reason
