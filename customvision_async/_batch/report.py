"""What a run tells: of each item, of the moment, and of the whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import anyio
import msgspec

from ..errors import BatchError, ItemError, called

__all__ = ["BatchReport", "ItemResult", "Progress", "batch_error"]

T = TypeVar("T")
V = TypeVar("V")

_SHOWN = 10
"""Item errors kept at each end of a BatchError."""
_NAMED, _NAMED_LENGTH = 3, 200
"""Item errors that the text of a BatchError names, and how much of each."""


class ItemResult(msgspec.Struct, Generic[T, V], frozen=True):
    """The outcome of one item. `index` is its place in the input, `item` what was given.

    `ok` says that it landed; `skipped` that it was left out on purpose (a file that is no image). `status` is the service's word
    ("OK", "OKDuplicate", "ErrorImageFormat", ... an open string). `value` is what the service made of it.
    `error` says, where it is not ok, what happened and what to do. `attempts` counts the requests it was in. `duplicate` says that
    it was there already (before this run, or as the same picture under another name); `in_doubt` that it was sent again after an
    answer was lost, so that a service which does not recognise a picture may now hold it twice.
    """

    index: int
    item: T
    ok: bool
    status: str
    value: V | None = None
    error: ItemError | None = None
    attempts: int = 0
    duplicate: bool = False
    in_doubt: bool = False
    skipped: bool = False

    @property
    def image(self) -> V | None:
        """The same as `value`, under the name it has for images."""
        return self.value

    def __str__(self) -> str:
        """The item by its path or name, or else its place in the input, and what became of it."""
        return (
            _named(self.error)
            if self.error is not None
            else f"{called(self.item) or f'item {self.index}'}: {self.status}"
        )


class Progress:
    """The state of a run, live: plain numbers that the run writes and anyone may read at any time.

    At every moment ``submitted == succeeded + failed + skipped + pending``. `total` is the number of items of the source where that
    is known, else None. `duplicates` and `in_doubt` are among the succeeded (or failed).
    """

    def __init__(self, clock: Callable[[], float] = anyio.current_time) -> None:
        self._clock = clock
        self._started: float | None = None
        self._ended: float | None = None
        self.total: int | None = None
        self.submitted = self.succeeded = self.failed = self.skipped = 0
        self.duplicates = self.in_doubt = 0
        self.requests = self.retries = self.bytes_sent = 0

    def start(self) -> None:
        """The clock runs."""
        self._started = self._clock()

    def end(self) -> None:
        """The clock stops."""
        if self._ended is None and self._started is not None:
            self._ended = self._clock()

    @property
    def pending(self) -> int:
        """Items taken from the source that have no outcome yet."""
        return self.submitted - self.done

    @property
    def done(self) -> int:
        """Items that have an outcome."""
        return self.succeeded + self.failed + self.skipped

    @property
    def seconds(self) -> float:
        """Since the start, until the end."""
        if self._started is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._started

    @property
    def rate(self) -> float:
        """Items settled a second, over the whole run so far."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def __repr__(self) -> str:
        return (
            f"<Progress {self.done} of {self.total if self.total is not None else self.submitted}: {self.succeeded} succeeded,"
            f" {self.failed} failed, {self.skipped} skipped, {self.pending} pending>"
        )


class BatchReport(msgspec.Struct, frozen=True):
    """The account of a run: ``submitted == succeeded + failed + skipped + pending``.

    `pending` is above 0 only for a run that was left early: those may or may not have landed; `pending_items` holds them as (index, item).
    `duplicates` (there already) and `in_doubt` (see :class:`ItemResult`) are counted among the others. `failures` holds the
    results of the failed items, `skipped_items` those of the skipped ones. `bytes_sent` counts bodies, repeats included.
    """

    submitted: int
    succeeded: int
    failed: int
    skipped: int
    pending: int
    duplicates: int
    in_doubt: int
    requests: int
    retries: int
    bytes_sent: int
    seconds: float
    failures: tuple[ItemResult[Any, Any], ...] = ()
    skipped_items: tuple[ItemResult[Any, Any], ...] = ()
    pending_items: tuple[tuple[int, Any], ...] = ()
    abort_cause: Exception | None = None
    """The error that ended the run before its source did: a refused key, a project that is gone, an error of the source itself."""

    def __str__(self) -> str:
        text = f"{self.succeeded} of {self.submitted} succeeded"
        parts = {
            "there already": self.duplicates,
            "failed": self.failed,
            "skipped": self.skipped,
            "pending": self.pending,
        }
        for word, number in parts.items():
            if number:
                text += f", {number} {word}"
        return text


def batch_error(report: BatchReport) -> BatchError:
    """The error for a report with failures: the first and the last few, and how many lie between. Its text names the first of them."""
    errors = [result.error for result in report.failures if result.error is not None]
    dropped = max(0, len(errors) - 2 * _SHOWN)
    shown = errors if not dropped else errors[:_SHOWN] + errors[-_SHOWN:]
    message = f"{report.failed} of {report.submitted} items failed"
    named = [_short(_named(error)) for error in errors[:_NAMED]]
    if named:
        message += ": " + "; ".join(named)
    if len(errors) > len(named):
        message += f"; and {len(errors) - len(named):,} more"
    if dropped:
        message += f" (the first and last {_SHOWN} are in this group, the {dropped:,} between them are not; report.failures has all)"
    if report.abort_cause is not None:
        message += f"; the run was ended by: {report.abort_cause}"
    return BatchError(message, shown, report=report, dropped=dropped)


def _named(error: ItemError) -> str:
    """Its text, which is to name the item in any case."""
    return str(error) if called(error.item) else f"item {error.index}: {error}"


def _short(text: str) -> str:
    return text if len(text) <= _NAMED_LENGTH else f"{text[: _NAMED_LENGTH - 3]}..."
