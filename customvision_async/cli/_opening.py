"""Open files without following links or blocking, and reopen closed standard streams."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from tempfile import gettempdir

__all__ = ["open_missing_streams", "open_new", "open_special", "private_folder"]

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def open_new(path: Path) -> int:
    """Create a file that only its owner can read, and return its descriptor.

    Raises:
        FileExistsError: `path` exists, even as a broken link.
    """
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, 0o600)


def open_special(path: Path) -> int:
    """Open a pipe or a device for writing, and return its descriptor.

    Raises:
        OSError: Nobody reads the pipe.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | _NO_WAIT)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(error.errno, "nobody reads the pipe", os.fspath(path)) from None
        raise
    if _NO_WAIT:
        os.set_blocking(descriptor, True)
    return descriptor


def private_folder() -> Path:
    """Return this user's folder in the shared temporary folder. Create it if necessary.

    Raises:
        OSError: The folder is a link, belongs to another user, or is accessible to others.
    """
    user = os.getuid() if sys.platform != "win32" else os.environ.get("USERNAME", "user")
    folder = Path(gettempdir(), f"customvision-{user}")
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    if sys.platform != "win32":
        facts = folder.lstat()
        private = stat.S_ISDIR(facts.st_mode) and not facts.st_mode & 0o077
        if not private or facts.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "not a private folder of this user", str(folder))
    return folder


def open_missing_streams() -> None:
    """Open the null device as each closed descriptor among 0, 1 and 2.

    Otherwise the event loop or a file would get that descriptor, and receive the printed text.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            # Keep the stream open until the process exits.
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
