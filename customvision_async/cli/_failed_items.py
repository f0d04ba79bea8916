"""The failed-items file, a manifest of the items that were not uploaded.

``upload --from-failed`` reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, TextIO

import msgspec

from .. import ItemResult, ProjectClient
from .._content import ContentError
from ..errors import (
    BadRequestError,
    CustomVisionError,
    ItemError,
    LimitExceeded,
    UnsupportedOperation,
)
from ..sources import Origin, manifest_entry
from ._opening import open_new, open_special, private_folder

__all__ = ["FailedItems"]

_TRANSIENT_STATUSES = frozenset({"", "OK", "ErrorUnknown", "ErrorStorage"})
"""Item statuses that do not blame the item itself."""
_UNREADABLE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class FailedItems:
    """Write the failed-items file line by line, as results arrive.

    The first line names the project, so that no command sends the items to another one. Each line
    is flushed, so it survives a kill of the process. A write error does not stop the upload. It is
    kept in `trouble`.

    Args:
        project: The project that the items were meant for.
        path: The file. A temporary file beside it replaces it at the end; a pipe or a device is
            written directly. By default, the first failed item creates a file with a unique name
            in the current folder, or in a private temporary folder if that is not writable.
    """

    def __init__(self, project: ProjectClient, path: Path | None = None) -> None:
        self.listed = 0
        """Number of items in the file."""
        self.unretryable = 0
        """Number of failed items, listed or not, that would fail again unchanged."""
        self.path: Path | None = None
        """Path of the file, or None if there is none yet."""
        self.trouble = ""
        """Message of the write error, or an empty string."""
        self._asked = path
        self._origin = Origin(project.id, project.name, project.operations.endpoint)
        self._file: TextIO | None = None

    def add(self, result: ItemResult[Any, Any]) -> None:
        """Write the item and the error of `result` to the file, if it failed."""
        if result.ok or result.skipped:
            return
        self.unretryable += not _may_succeed(result.error, result.status)
        self._list(result.item, "failed", result.error, result.status)

    def finish(self, pending: Iterable[object], not_begun: Iterable[object]) -> None:
        """Write the unfinished items to the file, and close it.

        Args:
            pending: Items that were submitted and have no outcome.
            not_begun: Items that were never submitted.
        """
        for item in pending:
            self._list(item, "pending")
        for item in not_begun:
            self._list(item, "not begun")
        if self._asked is not None:
            self._open()
        self.close()
        if self._asked is None or self.path is None or self.trouble:
            return
        try:
            if self.path != self._asked:
                self.path.replace(self._asked.resolve())
            self.path = self._asked
        except OSError as error:
            self._fail(error, self._asked)

    def close(self) -> None:
        """Close the file without further items."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._fail(error, self.path)

    def _list(
        self, item: object, outcome: str, error: ItemError | None = None, status: str = ""
    ) -> None:
        entry = manifest_entry(item, error)
        if entry is None or self.trouble:
            return
        self._write({"outcome": outcome, **({"status": status} if status else {}), **entry})
        self.listed += not self.trouble

    def _write(self, line: Mapping[str, Any]) -> None:
        file = self._open()
        if file is None:
            return
        try:
            file.write(json.dumps(line) + "\n")
            file.flush()
        except OSError as error:
            self._fail(error, self.path)

    def _open(self) -> TextIO | None:
        if self._file is None and not self.trouble:
            try:
                self.path, descriptor = (
                    _open_default() if self._asked is None else _open_for(self._asked)
                )
            except OSError as error:
                self._fail(error, self._asked or error.filename)
                return None
            self._file = open(descriptor, "w", encoding="ascii")  # noqa: SIM115  # see close
            self._write({"failed_items_of": msgspec.to_builtins(self._origin)})
        return self._file

    def _fail(self, error: OSError, path: Path | str | None) -> None:
        self.trouble = f"the failed-items file cannot be written: {error.strerror}: {path}"


def _open_default() -> tuple[Path, int]:
    """Create a file in the current folder or in a private one; return its path and descriptor."""
    stem = time.strftime("customvision-failed-%Y%m%d-%H%M%S")
    try:
        return _open_unused(Path(), stem)
    except OSError:
        return _open_unused(private_folder(), stem)


def _open_unused(folder: Path, stem: str) -> tuple[Path, int]:
    for number in count(1):
        path = folder / (f"{stem}.jsonl" if number == 1 else f"{stem}-{number}.jsonl")
        with suppress(FileExistsError):
            return path, open_new(path)
    raise AssertionError  # count never ends


def _open_for(path: Path) -> tuple[Path, int]:
    """Open a new file beside `path`, or `path` itself if it is a pipe or a device.

    Return the path and the descriptor of the opened file.
    """
    if path.exists() and not path.is_file():
        return path, open_special(path)
    whole = path.resolve()
    partial = whole.with_name(f".{whole.name[:200]}.{os.getpid()}.part")
    return partial, open_new(partial)


def _may_succeed(error: ItemError | None, status: str) -> bool:
    """Return whether a failed item may succeed when it is sent again unchanged."""
    cause = error.__cause__ if error is not None else None
    match cause:
        case None:
            return status in _TRANSIENT_STATUSES
        case ContentError():  # the file is missing, or changed during the read
            return cause.blob.path is None or os.path.isfile(cause.blob.path)
        case LimitExceeded() | UnsupportedOperation() | BadRequestError():
            return False
        case OSError():
            return not isinstance(cause, _UNREADABLE)
        case _:  # errors of the connection or the service; any other blames the item
            return isinstance(cause, CustomVisionError)
