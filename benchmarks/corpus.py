"""Folders of images to send: a JPEG header, then noise.

They are created once, kept in the scratch folder and read from the page cache.
"""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path

__all__ = ["folder_of", "warm"]

_PER_FOLDER = 1000
_DISTINCT = 400_000_000
"""Maximum bytes of distinct images. Further files are links to these.

Such folders serve to measure memory, not speed.
"""


def _header() -> bytes:
    """Return the start of a JPEG file up to its frame header: 640 x 480."""
    jfif = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    frame = (
        b"\xff\xc0"
        + struct.pack(">HBHHB", 17, 8, 480, 640, 3)
        + b"\x01\x22\x00\x02\x11\x01\x03\x11\x01"
    )
    return b"\xff\xd8" + jfif + frame


def folder_of(scratch: Path, size: int, count: int) -> Path:
    """Return a folder with `count` images of `size` bytes, in subfolders of 1,000."""
    folder = scratch / f"{size}x{count}"
    done = scratch / f"{folder.name}.done"
    if done.exists():
        return folder
    header, rng = _header(), random.Random(size)
    distinct = min(count, max(1, _DISTINCT // size))
    made: list[Path] = []
    for number in range(count):
        place = folder / f"{number // _PER_FOLDER:04}"
        if number % _PER_FOLDER == 0:
            place.mkdir(parents=True, exist_ok=True)
        path = place / f"{number:07}.jpg"
        path.unlink(missing_ok=True)
        if number < distinct:
            path.write_bytes(header + rng.randbytes(size - len(header)))
            made.append(path)
        else:
            os.link(made[number % distinct], path)
    done.touch()
    return folder


def warm(folder: Path) -> None:
    """Read every file, so that no run waits for the disk."""
    for path in folder.rglob("*.jpg"):
        path.read_bytes()
