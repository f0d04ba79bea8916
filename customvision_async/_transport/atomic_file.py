"""A file that is there whole or not at all, whatever interrupts its writing.

Blocking calls go to worker threads; those that open, name or remove the file are never left half done: a task that is
cancelled meanwhile lets the thread finish, and what it leaves is tidied up.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import BinaryIO, TypeVar

__all__ = ["AtomicFile", "atomic_file"]

T = TypeVar("T")


class AtomicFile:
    """The file while it is being written, under another name beside its place. Readable by its owner alone."""

    def __init__(self, target: str, overwrite: bool) -> None:
        self._target = target
        self._overwrite = overwrite
        self._part = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.part")
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Add `data`."""
        await _in_thread(self._open_file.write, data)

    async def restart(self) -> None:
        """Begin anew: forget what was written."""
        await _in_thread(self._restart)

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    # What follows blocks.

    def _restart(self) -> None:
        self._open_file.seek(0)
        self._open_file.truncate()

    def open(self) -> None:
        """Make the file."""
        if os.path.isdir(self._target):
            raise IsADirectoryError(f"{self._target} is a folder: give the name of the file")
        if not self._overwrite and os.path.lexists(self._target):
            raise FileExistsError(f"{self._target} is there already")
        self._file = open(self._part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115 - see finish, drop

    def finish(self) -> None:
        """Bring it to the disk and give it its name."""
        try:
            with self._open_file as file:
                file.flush()
                os.fsync(file.fileno())
            self._name()
        except BaseException:
            self.drop()
            raise
        _sync_folder(os.path.dirname(self._target) or ".")

    def _name(self) -> None:
        if self._overwrite:
            os.replace(self._part, self._target)
            return
        try:
            os.link(self._part, self._target)  # fails where somebody was faster
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            os.rename(self._part, self._target)
        else:
            os.unlink(self._part)

    def drop(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.close()  # waits for a write that is under way
            try:
                os.unlink(self._part)
            except OSError:
                pass


def _sync_folder(folder: str) -> None:
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot: the file itself is safe
        pass
    finally:
        os.close(descriptor)


@asynccontextmanager
async def atomic_file(
    path: str | os.PathLike[str], *, overwrite: bool
) -> AsyncIterator[AtomicFile]:
    """A file to write to, which gets its name at the end of the block; after an exception nothing is left of it.

    Raises:
        FileExistsError: it is there, and is not to be overwritten.
        IsADirectoryError: it is a folder.
        OSError: it cannot be written.
    """
    file = AtomicFile(os.fspath(path), overwrite)
    await _to_the_end(file.open, after_cancel=file.drop)
    try:
        yield file
    except BaseException:
        file.drop()  # here, on the event loop, where nothing can interrupt it: it is quick
        raise
    await _to_the_end(file.finish)


async def _in_thread(act: Callable[..., object], *arguments: object) -> None:
    await asyncio.get_running_loop().run_in_executor(None, act, *arguments)


async def _to_the_end(
    act: Callable[[], None], *, after_cancel: Callable[[], None] | None = None
) -> None:
    """Let `act` come to its end in a thread, whether it is waited for or not; then do what is due after a cancelled wait."""
    work = asyncio.get_running_loop().run_in_executor(None, act)
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:

        def ended(done: asyncio.Future[None]) -> None:
            failed = (
                done.cancelled() or done.exception() is not None
            )  # asking for it keeps it from being reported as forgotten
            if after_cancel is not None and not failed:
                after_cancel()

        work.add_done_callback(ended)
        raise
