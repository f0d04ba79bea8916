"""The results, the progress and the report of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, cast

import anyio
import msgspec

from ..errors import BatchError, ItemError, display_name

if TYPE_CHECKING:
    from typing_extensions import TypeIs, TypeVar

    # Defaults, so that `ItemResult` and `BatchReport` need no type arguments.
    T = TypeVar("T", covariant=True, default=object)
    V = TypeVar("V", covariant=True, default=object)
else:
    from typing import TypeGuard as TypeIs
    from typing import TypeVar

    T = TypeVar("T", covariant=True)
    V = TypeVar("V", covariant=True)

__all__ = [
    "KEPT",
    "BatchReport",
    "ItemReference",
    "ItemResult",
    "Progress",
    "SucceededItem",
    "batch_error",
    "has_value",
]

KEPT = 1000
"""A report holds this many of the first failed results, and of the last. The same holds for skips.
"""
_SHOWN = 10
"""A BatchError holds this many of the first item errors, and of the last."""
_NAMED, _NAMED_LENGTH = 3, 200
"""Number of item errors in the message of a BatchError, and the maximum length of each."""


class ItemResult(msgspec.Struct, Generic[T, V], frozen=True):
    """The outcome of one item.

    Attributes:
        index: Position in the input.
        item: The item that the caller gave.
        ok: The item succeeded.
        status: Status from the service, such as "OK", "OKDuplicate" or "ErrorImageFormat". The
            service may add others.
        value: The object that the service created or changed, such as an
            :class:`~customvision_async.Image`, if the item succeeded and has one.
        error: The reason and the remedy if the item failed or was skipped.
        attempts: Number of requests that carried the item.
        duplicate: The project had the image before, or got it under another name in this run.
        in_doubt: The response was lost and the item was sent again. If the service did not
            recognize the item, it may have it twice.
        skipped: The item was left out on purpose, such as a file that is not an image.
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
        """The same as `value`."""
        return self.value

    def __str__(self) -> str:
        """Return the path, name or position of the item, and its outcome."""
        return (
            _named(self.error)
            if self.error is not None
            else f"{display_name(self.item) or f'item {self.index}'}: {self.status}"
        )


if TYPE_CHECKING:

    class SucceededItem(ItemResult[T, V], frozen=True):
        """A result that has its value, for the type checker; an :class:`ItemResult` at run time."""

        value: V = cast("V", None)
        error: None = None

        @property
        def image(self) -> V:
            """The same as `value`."""
            return self.value

else:
    SucceededItem = ItemResult


def has_value(result: ItemResult[T, V]) -> TypeIs[SucceededItem[T, V]]:
    """Return whether the item succeeded and its value is known.

    A type checker then knows that `value` and `image` are not None::

        async for result in upload:
            if has_value(result):
                print(result.image.id)

    It is false for an item that succeeded without a value: a deleted image, or a duplicate if the
    service does not name the existing image.
    """
    return result.ok and result.value is not None


class ItemReference(msgspec.Struct, frozen=True):
    """A placeholder in a report for an item with content, such as bytes or an open file.

    Reports do not hold the content of items, because they may be kept for long. A reference cannot
    be uploaded. Use the `index` of the result to find the item in the input.

    Attributes:
        kind: Name of the class of the item.
        name: Name of the item, if it has one.
        path: Path of the item, if it has one.
    """

    kind: str
    name: str | None = None
    path: str | None = None


class Progress:
    """The current counts of a run. Any task may read them at any time.

    At any time ``submitted == succeeded + failed + skipped + pending``.

    Attributes:
        total: Number of items of the source, or None if it is not known.
        submitted: Items taken from the source.
        succeeded, failed, skipped: Items with that outcome.
        duplicates, in_doubt: Items with that flag. They also count as succeeded, failed or skipped.
        requests: Requests sent, retries included.
        retries: Requests sent again.
        bytes_sent: Bytes of request bodies, retries included.
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
        """Start the clock."""
        self._started = self._clock()

    def end(self) -> None:
        """Stop the clock."""
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
        """Duration of the run so far, in seconds."""
        if self._started is None:
            return 0.0
        return (self._clock() if self._ended is None else self._ended) - self._started

    @property
    def rate(self) -> float:
        """Settled items per second since the start."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    def __repr__(self) -> str:
        return (
            f"<Progress {self.done} of {self.submitted if self.total is None else self.total}:"
            f" {self.succeeded} succeeded, {self.failed} failed, {self.skipped} skipped,"
            f" {self.pending} pending>"
        )


class BatchReport(msgspec.Struct, Generic[T, V], frozen=True):
    """The counts of a run, and the results of items that did not succeed.

    The counts are those of :class:`Progress`:
    ``submitted == succeeded + failed + skipped + pending``.

    The memory of a report is bounded, whatever the number of items. An item that names something,
    such as a path, an id, a URL or an ImageFile with a path, is kept and can be sent again. An item
    with content, such as bytes or an open file, is replaced by an :class:`ItemReference`. To get
    every result, iterate over the run.

    Attributes:
        pending: Items without an outcome, if the run has not ended or was left early. They may have
            taken effect.
        seconds: Duration of the run so far, in seconds.
        failures: Results of the first 1,000 and the last 1,000 items that failed, in the order in
            which they settled.
        skipped_items: The same for skipped items.
        pending_items: Position and item of each pending item. The items keep their content.
        causes: Number of failed and skipped items by cause. A cause is the status, else the class
            of the error. For a skip it is the reason. After 200 causes, others count together.
        abort_cause: The error that ended the run before its source ended, such as a rejected key, a
            deleted project, or an error of the source.
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
    failures: tuple[ItemResult[T | ItemReference, V], ...] = ()
    skipped_items: tuple[ItemResult[T | ItemReference, V], ...] = ()
    pending_items: tuple[tuple[int, T], ...] = ()
    causes: dict[str, int] = {}
    abort_cause: Exception | None = None

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
    """Return the error of a report with failures, with the first and the last item errors."""
    errors = [result.error for result in report.failures if result.error is not None]
    dropped = max(0, report.failed - 2 * _SHOWN)
    shown = errors if not dropped else errors[:_SHOWN] + errors[-_SHOWN:]
    message = f"{report.failed} of {report.submitted} items failed"
    named = [_short(_named(error)) for error in errors[:_NAMED]]
    if named:
        message += ": " + "; ".join(named)
    if report.failed > len(named):
        message += f"; and {report.failed - len(named):,} more"
    if dropped:
        more = "all" if report.failed == len(errors) else f"the first and last {KEPT:,}"
        message += (
            f" (the first and last {_SHOWN} are in this group, the {dropped:,} between them"
            f" are not; report.failures has {more}, report.causes counts all)"
        )
    if report.abort_cause is not None:
        message += f"; the run was ended by: {report.abort_cause}"
    return BatchError(message, shown, report=report, dropped=dropped)


def _named(error: ItemError) -> str:
    """Return the message of an error, with the name or position of the item."""
    return str(error) if display_name(error.item) else f"item {error.index}: {error}"


def _short(text: str) -> str:
    return text if len(text) <= _NAMED_LENGTH else f"{text[: _NAMED_LENGTH - 3]}..."
