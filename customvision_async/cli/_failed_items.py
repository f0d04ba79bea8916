"""The failed-items file: a manifest of what did not land, which ``upload --from-failed`` takes back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Any

from .._content import ContentError
from ..errors import (
    BadRequestError,
    CustomVisionError,
    ItemError,
    LimitExceeded,
    UnsupportedOperation,
)
from ..sources import manifest_entry
from ._batch_runner import Account

__all__ = ["count_unretryable", "default_files", "unfinished_items", "write_failed"]

_PASSING = frozenset({"", "OK", "ErrorUnknown", "ErrorStorage"})
"""Statuses of an item that say nothing against it."""
_NOT_THERE = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)


def default_files() -> tuple[Path, Path]:
    """A name of its own for each run, so that no run overwrites what another one left: here, or where anybody may write."""
    name = time.strftime("customvision-failed-%Y%m%d-%H%M%S.jsonl")
    return Path(name), Path(gettempdir(), name)


def count_unretryable(account: Account) -> int:
    """How many of the failed items would fail again as they are: no picture, too large, a tag that is not there."""
    return sum(not _may_land(result.error, result.status) for result in account.report.failures)


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


def unfinished_items(account: Account) -> Iterator[dict[str, Any]]:
    """The lines of the file: what failed, with the cause; then what was under way or not begun when the run was stopped."""
    for result in account.report.failures:
        yield from _lines(result.item, "failed", result.error, result.status)
    for _, item in account.report.pending_items:
        yield from _lines(item, "pending")
    for item in account.rest:
        yield from _lines(item, "not begun")


def _lines(
    item: object, outcome: str, error: ItemError | None = None, status: str = ""
) -> Iterator[dict[str, Any]]:
    entry = manifest_entry(item, error)
    if entry is not None:
        yield {"outcome": outcome, **({"status": status} if status else {}), **entry}


def write_failed(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    """Write the file whole or not at all, readable by its owner alone. What is there and is no regular file (a pipe) is written to."""
    if path.exists() and not path.is_file():
        _write(os.open(path, os.O_WRONLY | os.O_APPEND), lines)
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        _write(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), lines)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _write(descriptor: int, lines: Iterable[dict[str, Any]]) -> None:
    with open(descriptor, "w", encoding="ascii") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
