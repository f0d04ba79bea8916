"""Write a file that is complete or absent, whatever interrupts the writing.

Blocking calls run in worker threads. If a task is cancelled while a thread opens, renames or
removes the file, the thread finishes, and the file is then cleaned up.
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
    """A file that is being written under a temporary name in the same folder.

    Only the owner may read it.
    """

    def __init__(self, target: str, overwrite: bool) -> None:
        self._target = target
        self._overwrite = overwrite
        self._part = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.part")
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """Append `data`."""
        await _in_thread(self._open_file.write, data)

    async def restart(self) -> None:
        """Discard the data written so far."""
        await _in_thread(self._restart)

    @property
    def _open_file(self) -> BinaryIO:
        assert self._file is not None
        return self._file

    # The methods below block.

    def _restart(self) -> None:
        self._open_file.seek(0)
        self._open_file.truncate()

    def open(self) -> None:
        """Create the temporary file."""
        if os.path.isdir(self._target):
            raise IsADirectoryError(f"{self._target} is a folder; give the path of a file")
        if not self._overwrite and os.path.lexists(self._target):
            raise FileExistsError(f"{self._target} exists already")
        self._file = open(  # noqa: SIM115 - closed by commit or discard
            self._part, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)
        )

    def commit(self) -> None:
        """Flush the file to disk and give it its final name."""
        try:
            with self._open_file as file:
                file.flush()
                os.fsync(file.fileno())
            self._rename()
        except BaseException:
            self.discard()
            raise
        _sync_folder(os.path.dirname(self._target) or ".")

    def _rename(self) -> None:
        if self._overwrite:
            os.replace(self._part, self._target)
            return
        try:
            os.link(self._part, self._target)  # fails if the target exists
        except FileExistsError:
            raise
        except OSError:  # the file system has no hard links
            os.rename(self._part, self._target)
        else:
            os.unlink(self._part)

    def discard(self) -> None:
        """Remove the temporary file."""
        if self._file is not None:
            self._file.close()  # waits for a write in progress
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
    except OSError:  # not supported by the file system; the file itself has been flushed
        pass
    finally:
        os.close(descriptor)


@asynccontextmanager
async def atomic_file(
    path: str | os.PathLike[str], *, overwrite: bool
) -> AsyncIterator[AtomicFile]:
    """Yield a file to write to.

    The file gets its name at the end of the block. After an error it is removed.

    Raises:
        FileExistsError: `path` exists, and must not be overwritten.
        IsADirectoryError: `path` is a folder.
        OSError: The file cannot be written.
    """
    file = AtomicFile(os.fspath(path), overwrite)
    await _run_to_completion(file.open, after_cancel=file.discard)
    try:
        yield file
    except BaseException:
        file.discard()  # quick, and not in a thread, so that a cancellation cannot interrupt it
        raise
    await _run_to_completion(file.commit)


async def _in_thread(function: Callable[..., object], *arguments: object) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def _run_to_completion(
    function: Callable[[], None], *, after_cancel: Callable[[], None] | None = None
) -> None:
    """Run `function` in a thread to its end, even if the task is cancelled.

    `after_cancel` is called after a cancellation, if `function` succeeded.
    """
    work = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:

        def ended(done: asyncio.Future[None]) -> None:
            # Calling exception() marks it as retrieved.
            failed = done.cancelled() or done.exception() is not None
            if after_cancel is not None and not failed:
                after_cancel()

        work.add_done_callback(ended)
        raise
