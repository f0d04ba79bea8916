"""A folder of images, some of which cannot be read, as the source of an upload."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["FILES", "FOLDER_ERROR", "OPEN_ERROR", "REOPEN_ERROR", "file_errors", "temporary_folder"]

OPEN_ERROR = "file_error"
"""The kind of fault: a file that cannot be opened."""
REOPEN_ERROR = "file_error_at_sending"
"""The kind of fault: a file that can be opened once, for the inspection."""
FOLDER_ERROR = "folder_error"
"""The kind of fault: a subfolder that cannot be listed."""
FILES = (OPEN_ERROR, REOPEN_ERROR, FOLDER_ERROR)
ERRNOS = (errno.EIO, errno.ESTALE, errno.EACCES, errno.ENOENT)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give the path of an empty folder."""
    with tempfile.TemporaryDirectory(prefix="campaign") as folder:
        yield Path(folder)


@contextmanager
def file_errors(seed: int) -> Iterator[None]:
    """Let opening a file, or listing a folder, fail by its name.

    A name that begins with a kind of fault fails; :data:`REOPEN_ERROR` from the second time on.
    """
    dice = Random(f"errno {seed}")
    opened: set[str] = set()
    real_open, real_scandir = os.open, os.scandir

    def fail(path: Any) -> None:
        number = dice.choice(ERRNOS)
        raise OSError(number, os.strerror(number), path)

    def open(path: Any, *args: Any, **kwargs: Any) -> int:
        name = os.path.basename(os.fsdecode(path))
        if name.startswith(REOPEN_ERROR):
            if name in opened:
                fail(path)
            opened.add(name)
        elif name.startswith(OPEN_ERROR):
            fail(path)
        return real_open(path, *args, **kwargs)

    def scandir(path: Any = ".") -> Any:
        if not isinstance(path, int) and os.path.basename(path).startswith(FOLDER_ERROR):
            fail(path)
        return real_scandir(path)

    os.open, os.scandir = open, scandir  # type: ignore[assignment]
    try:
        yield
    finally:
        os.open, os.scandir = real_open, real_scandir
