"""Keep results for a report in bounded memory.

The first and the last results of each kind are kept, without the content of their items. All are
counted by cause.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import UUID

import msgspec

from ..errors import CustomVisionError, ItemError, attempt, display_name
from .report import KEPT, ItemReference, ItemResult

__all__ = ["Kept", "reference_of", "without_frames"]

Result = ItemResult[Any, Any]

_CAUSES = 200
"""Maximum number of distinct causes, because the service may return any number of statuses."""
_OTHER = "other causes"
_LONGEST = 4096
"""Maximum length of a kept name or message."""
_CAUSE_LENGTH = 200
_DEPTH = 6
_PLAIN = (bool, int, float, UUID, os.PathLike, datetime, Enum, type(None))
_PACKAGE = str(Path(__file__).parent.parent)


class Kept:
    """The results that a report keeps, and the count of all results by cause."""

    def __init__(self) -> None:
        self.failures = _Ends()
        self.skips = _Ends()
        self._causes: Counter[str] = Counter()

    @property
    def causes(self) -> dict[str, int]:
        """The number of failed and skipped items by cause, the most frequent first."""
        return dict(self._causes.most_common())

    def add(self, result: Result) -> None:
        """Count a result, and keep it among the first or the last ones."""
        cause = _cause(result)
        self._causes[cause if len(self._causes) < _CAUSES or cause in self._causes else _OTHER] += 1
        (self.skips if result.skipped else self.failures).add(_without_content(result))


class _Ends:
    """The first and the last of the results that were added."""

    def __init__(self) -> None:
        self._first: list[Result] = []
        self._last: deque[Result] = deque(maxlen=KEPT)

    def add(self, result: Result) -> None:
        if len(self._first) < KEPT:
            self._first.append(result)
        else:
            self._last.append(result)

    def __iter__(self) -> Iterator[Result]:
        yield from self._first
        yield from self._last


def reference_of(item: Any) -> Any:
    """Return the item if it only names something, such as a path, an id or a URL.

    Otherwise return the result of the item's method ``__reference__``, or an ItemReference. This
    never raises.
    """
    found = attempt(_reference_of, item)
    return ItemReference(_kind(item)) if isinstance(found, Exception) else found


def _reference_of(item: Any) -> Any:
    own = getattr(type(item), "__reference__", None)
    if own is not None:
        return own(item)
    if not _has_content(item, _DEPTH):
        return item
    name, path = getattr(item, "name", None), getattr(item, "path", None)
    return ItemReference(
        _kind(item),
        name[:_LONGEST] if isinstance(name, str) else None,
        os.fsdecode(path)[:_LONGEST] if isinstance(path, (str, os.PathLike)) else None,
    )


def _kind(value: object) -> str:
    """Return the name of the type of `value`, even if its metaclass raises."""
    return str(type.__getattribute__(type(value), "__name__"))


def _has_content(value: Any, depth: int) -> bool:
    """Return whether `value` is or holds content. Values of unknown types count as content."""
    if isinstance(value, str):
        return len(value) > _LONGEST
    if isinstance(value, _PLAIN):
        return False
    if not depth:
        return True
    if isinstance(value, (tuple, list, set, frozenset)):
        inner = list(value)
    elif isinstance(value, Mapping):
        inner = [part for pair in value.items() for part in pair]
    elif isinstance(value, msgspec.Struct):
        inner = [getattr(value, name) for name in value.__struct_fields__]
    elif is_dataclass(value):
        inner = [getattr(value, name) for name in value.__dataclass_fields__]
    else:
        return True
    return len(inner) > _LONGEST or any(_has_content(part, depth - 1) for part in inner)


def _without_content(result: Result) -> Result:
    """Return the result with a reference in place of an item that has content."""
    error, item = result.error, reference_of(result.item)
    cause = error.__cause__ if error is not None else None
    text = str(error.args[0]) if error is not None else ""
    unfit = cause is not None and attempt(_holds_content, cause) is not False
    if item is result.item and not unfit and len(text) <= _LONGEST:
        return result
    if error is not None:
        kept = ItemError(text[:_LONGEST], index=error.index, item=item, status=error.status)
        kept.__cause__ = None if unfit else cause
        error = kept
    return msgspec.structs.replace(result, item=item, error=error)


def _holds_content(error: BaseException) -> bool:
    harmless = isinstance(error, (CustomVisionError, OSError))
    return not harmless and _has_content(error.args, _DEPTH)


def _cause(result: Result) -> str:
    """Return the status, else the class of the error. For a skip, return its reason."""
    error = result.error
    if result.skipped and error is not None:
        cause = str(error).removeprefix(f"{display_name(result.item)}: ")
    elif result.status or error is None or error.__cause__ is None:
        cause = result.status
    else:
        cause = _kind(error.__cause__)
    return cause[:_CAUSE_LENGTH] or _OTHER


def without_frames(error: BaseException | None) -> None:
    """Remove the tracebacks of an error and its causes, because they hold local variables.

    If code outside this package raised the error, a note with the place is added.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if error.__traceback__ is not None and not isinstance(error, CustomVisionError):
            *_, last = _steps(error.__traceback__)
            code = last.tb_frame.f_code
            if not code.co_filename.startswith(_PACKAGE):
                error.add_note(
                    f"raised in {code.co_filename}, line {last.tb_lineno}, in {code.co_name}"
                )
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _steps(step: TracebackType | None) -> Iterator[TracebackType]:
    while step is not None:
        yield step
        step = step.tb_next
