"""The failed-items file: a manifest of what did not land, which ``upload --from-failed`` takes back."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import ItemError
from ..sources import manifest_entry
from ._drive import Account

__all__ = ["default_file", "unlanded", "write_failed"]


def default_file() -> Path:
    """A name of its own for each run, so that no run overwrites what another one left."""
    return Path(time.strftime("customvision-failed-%Y%m%d-%H%M%S.jsonl"))


def unlanded(account: Account) -> Iterator[dict[str, Any]]:
    """The lines of the file: what failed, with the cause; then what was under way or not begun when the run was stopped."""
    for result in account.report.failures:
        yield from _lines(result.item, "failed", result.error, result.status)
    for _, item in account.report.unsettled:
        yield from _lines(item, "pending")
    for item in account.rest:
        yield from _lines(item, "not begun")


def _lines(item: object, outcome: str, error: ItemError | None = None, status: str = "") -> Iterator[dict[str, Any]]:
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
