"""File system errors for a command in a process of its own, selected by file name."""

from __future__ import annotations

from pathlib import Path

__all__ = ["faulty_os"]

_SITE = """
import errno, os

TIMES = {times!r}
ERRNOS = {{name: number for number, name in errno.errorcode.items()}}
REAL = {{name: getattr(os, name) for name in ("open", "scandir")}}
seen = {{}}


def wrapped(call):
    def wrapper(path, *args, **kwargs):
        name = os.path.basename(os.fsdecode(path)) if not isinstance(path, int) else ""
        number = ERRNOS.get(name.partition(".")[0])
        if number is not None:
            seen[path] = seen.get(path, 0) + 1
            if TIMES is None or seen[path] <= TIMES:
                raise OSError(number, os.strerror(number), path)
        return REAL[call](path, *args, **kwargs)
    return wrapper


for call in REAL:
    setattr(os, call, wrapped(call))
"""


def faulty_os(folder: Path, *, times: int | None = None) -> str:
    """Return a PYTHONPATH under which opening ``EIO.jpg`` raises EIO, and so on for each errno.

    Folders with such a name cannot be listed. `times` limits the failures of each path.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(_SITE.format(times=times))
    return str(folder)
