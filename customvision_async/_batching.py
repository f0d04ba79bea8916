"""Connect the batch engine to the service: count requests, classify errors, prepare items."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from ._batch.report import ItemResult, Progress
from ._batch.settler import FailureAction
from ._batch.work_item import Done, WorkItem
from ._events import ChunkCompleted, Observer, notify
from ._operations import Operations
from ._statuses import meaning_of
from ._transport.base import ClientClosed, Meter
from ._wire.request import all_canonical_ids, id_of
from .errors import (
    ConnectError,
    CustomVisionError,
    DecodeError,
    ItemError,
    NotFoundError,
    RequestTimeout,
    ServiceError,
    UnsupportedOperation,
    attempt,
    words_of,
)
from .models.inputs import SkippedItem

__all__ = [
    "DONE",
    "BatchContext",
    "Prepared",
    "chunk_events",
    "classify_error",
    "image_id",
    "items_from_ids",
    "prepare_item",
    "skipped_item",
]

DONE = Done()

Prepared: TypeAlias = WorkItem | ItemResult[Any, Any]
"""An item that is ready to be sent, or its result if it needs no request."""

_NOT_THE_PROJECT = frozenset(
    {"NotFoundImage", "NotFoundTag", "NotFoundIteration", "NotFoundInvalid"}
)
"""Codes of a 404 that are about an id in the request. Any other 404 is about the project."""


class BatchContext:
    """The operations and counts of a run in one project.

    Every request of the run is made inside :meth:`metered`, which counts it in the progress of the
    run and in the items that it carried.
    """

    def __init__(self, operations: Operations, project_id: str, progress: Progress) -> None:
        self.operations = operations
        self.project_id = project_id
        self.progress = progress

    @contextmanager
    def metered(self, items: Sequence[WorkItem], *, creates: bool = False) -> Iterator[Meter]:
        """Yield a meter for one request that carries `items`, and add its counts on exit.

        Args:
            items: The items of the request.
            creates: Sending the request twice may create its objects twice, so the items are in
                doubt after a lost response.
        """
        meter = Meter()
        try:
            yield meter
        except DecodeError:
            meter.in_doubt = True
            raise
        finally:
            progress = self.progress
            progress.requests += meter.requests
            progress.retries += meter.retries
            progress.bytes_sent += meter.bytes_sent
            for item in items:
                item.attempts += meter.requests
            if creates and meter.in_doubt:
                for item in items:
                    item.in_doubt = True


def classify_error(error: Exception) -> FailureAction:
    """Return how a run continues after `error` was raised by a request."""
    match error:
        case ConnectError() | UnsupportedOperation() | ClientClosed():
            return FailureAction.FATAL
        # It was not sent, so there is no connection.
        case RequestTimeout() if not error.sent:
            return FailureAction.FATAL
        case NotFoundError():
            return FailureAction.DIVIDE if error.code in _NOT_THE_PROJECT else FailureAction.FATAL
        case ServiceError():
            return FailureAction[meaning_of(error.status).batch.upper()]
        case DecodeError():
            return FailureAction.DOWN
        case CustomVisionError():
            return FailureAction.FINAL
        # The request could not be written, because of one of its items.
        case _:
            return FailureAction.DIVIDE


def image_id(image: object) -> str:
    """Return the id of an image.

    `image` is a model, a UUID, a string, or the result of an upload.

    Raises:
        ValueError: The string is not an id, or the upload failed.
        TypeError: `image` is none of these.
    """
    if isinstance(image, ItemResult):
        if image.value is None:
            raise ValueError("the result has no image, because its upload failed")
        return id_of(image.value, "image")
    return id_of(image, "image")


def prepare_item(index: int, item: object, make: Callable[..., WorkItem], *args: Any) -> Prepared:
    """Return ``make(*args)``, or a failed result if that raises."""
    work_item = attempt(make, *args)
    if not isinstance(work_item, Exception):
        return work_item
    failure = ItemError(words_of(work_item), index=index, item=item)
    failure.__cause__ = work_item
    return ItemResult(index, item, False, "", None, failure)


def skipped_item(index: int, item: object, skipped: SkippedItem) -> Prepared:
    """Return the result of an item that its source skips."""
    reason = f"{skipped.name}: {skipped.reason}"
    failure = ItemError(reason, index=index, item=item, status="Skipped")
    return ItemResult(index, item, False, "Skipped", None, failure, skipped=True)


def items_from_ids(
    start: int, items: Sequence[Any], *, size: int = 1, read: Callable[[Any], str] = image_id
) -> Sequence[Prepared]:
    """Return work items with the payload ``read(item)``.

    If that raises, return a failed result instead.
    """
    # Fast path. A subclass of str is converted below, because JSON may not accept it.
    if read is image_id and set(map(type, items)) == {str} and all_canonical_ids(items):
        return [WorkItem(index, item, item, size) for index, item in enumerate(items, start)]

    def make(index: int, item: Any) -> WorkItem:
        return WorkItem(index, item, read(item), size)

    return [prepare_item(index, item, make, index, item) for index, item in enumerate(items, start)]


def chunk_events(
    observers: tuple[Observer, ...], operation: str
) -> Callable[[int, int, int, float], None]:
    """Return an `on_chunk` for a run that sends a :class:`ChunkCompleted` to the observers."""

    def on_chunk(items: int, succeeded: int, failed: int, seconds: float) -> None:
        notify(observers, ChunkCompleted(operation, items, succeeded, failed, seconds))

    return on_chunk
