"""What the body of a request is made of, before a byte of it is read: pure data, no I/O.

A :class:`Content` knows its exact length while holding no image: an image stands in it as a :class:`Blob`, which is
a place (a path, bytes in memory, an open file) and a size. So a body can be planned in one layer, streamed by
another, and sent again after a failure, and memory does not grow with the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec

__all__ = ["Blob", "Content", "ContentError"]


class Blob(msgspec.Struct, frozen=True, eq=False):
    """The bytes of one file: how many, and where they are (exactly one of `path`, `data`, `file`).

    `stamp` is (device, inode, mtime in ns) when the file was looked at: a file that has another stamp or size when it
    is opened has changed under us. `follow` says whether `path` may be a symbolic link. `offset` is where the bytes
    begin in `file`.
    """

    size: int
    path: str | None = None
    data: bytes | bytearray | memoryview | None = None
    file: BinaryIO | None = None
    offset: int = 0
    stamp: tuple[int, int, int] | None = None
    follow: bool = True
    ahead: list[bytes] | None = None
    """At most one: the bytes of a small file, read when it was looked at, until they are taken."""

    def taken(self) -> bytes | None:
        """The bytes that were read ahead, for whoever asks first: the first send. Later ones read the file, and none keeps them."""
        try:
            return self.ahead.pop() if self.ahead else None
        except IndexError:  # another thread was faster
            return None


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """A body: `pieces` one after another, with the blobs as they are or as base64. Replayable: it holds no state."""

    content_type: str
    pieces: Sequence[bytes | Blob]
    base64: bool = False
    length: int = field(init=False)
    """The exact Content-Length."""

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
    """A blob could not be read as planned: gone, unreadable, or changed since it was looked at.

    Nothing of the request took effect, because the body never reached its Content-Length.
    """

    def __init__(self, blob: Blob, reason: str) -> None:
        super().__init__(reason)
        self.blob = blob
        self.reason = reason
