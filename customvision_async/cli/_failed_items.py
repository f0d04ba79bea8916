"""The failed-items file: a manifest of what did not land, which ``upload --from-failed`` takes
back.
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

_PASSING = frozenset({"", "OK", "ErrorUnknown", "ErrorStorage"})
"""Statuses of an item that say nothing against it."""
_NOT_THERE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


class FailedItems:
    """Write the failed-items file line by line, as results settle.

    The first line names the project, so that no command sends the items to another one. Without
    `path` the file is made at the first item that failed, under a name that no other run has: in
    the current folder, else in a private folder below the temporary one. With `path` it is written
    beside it and takes its place at the end, whole; a pipe or a device is written to as it is. What
    was written is there however the process ends. An error of writing ends no upload: it is kept in
    `trouble`.
    """

    def __init__(self, project: ProjectClient, path: Path | None = None) -> None:
        self.listed = 0
        """Items in the file."""
        self.unretryable = 0
        """Failed items, listed or not, that would fail again as they are."""
        self.path: Path | None = None
        """Where the file is, once there is one."""
        self.trouble = ""
        """Why the file is missing or not complete, else empty."""
        self._asked = path
        self._origin = Origin(project.id, project.name, project.operations.endpoint)
        self._file: TextIO | None = None

    def add(self, result: ItemResult[Any, Any]) -> None:
        """List the item of `result` with the cause, if it failed."""
        if result.ok or result.skipped:
            return
        self.unretryable += not _may_land(result.error, result.status)
        self._list(result.item, "failed", result.error, result.status)

    def finish(self, pending: Iterable[object], not_begun: Iterable[object]) -> None:
        """List the items without an outcome, and close the file."""
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
        """Close the file as it is."""
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
    """Return the path and descriptor of a new file, in the current folder or in a private one."""
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
    """Return the path and descriptor to write to: a new file beside `path`, or what is there if it
    is special.
    """
    if path.exists() and not path.is_file():
        return path, open_special(path)
    whole = path.resolve()
    partial = whole.with_name(f".{whole.name[:200]}.{os.getpid()}.part")
    return partial, open_new(partial)


def _may_land(error: ItemError | None, status: str) -> bool:
    """Whether an item that failed may land when it is sent again as it is."""
    cause = error.__cause__ if error is not None else None
    match cause:
        case None:
            return status in _PASSING
        case ContentError():  # gone, or changed while it was read
            return cause.blob.path is None or os.path.isfile(cause.blob.path)
        case LimitExceeded() | UnsupportedOperation() | BadRequestError():
            return False
        case OSError():
            return not isinstance(cause, _NOT_THERE)
        case _:  # of the connection or the service; all others are about what was given
            return isinstance(cause, CustomVisionError)
