"""Where the batch engine meets the service: calls that enter the account of a run, and what an error means for a chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._batch.report import ItemResult, Progress
from ._batch.settler import FailureAction
from ._batch.work_item import Done, Span, WorkItem, attempted
from ._content import Content
from ._operations import Answer, Operations
from ._transport.base import ClientClosed, Meter
from ._wire.request import all_canonical_ids, id_of
from .errors import (
    AuthenticationError,
    ConnectError,
    CustomVisionError,
    DecodeError,
    ItemError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    RequestTimeout,
    ServiceError,
    UnsupportedOperation,
)

__all__ = ["DONE", "BatchCaller", "classify_error", "image_id", "item_failure", "items_from_ids"]

DONE = Done()

_NOT_THE_PROJECT = frozenset(
    {"NotFoundImage", "NotFoundTag", "NotFoundIteration", "NotFoundInvalid"}
)
"""Codes of a 404 that are about something in the request; any other 404 is about where it went."""


class BatchCaller:
    """The operations of one project, called for units: what a call comes to is entered in `progress` and in the units, however it ends."""

    def __init__(self, operations: Operations, project_id: str, progress: Progress) -> None:
        self.operations = operations
        self.project_id = project_id
        self.progress = progress

    async def __call__(
        self,
        operation: str,
        units: Sequence[WorkItem],
        query: Mapping[str, Any],
        content: Content | None = None,
        *,
        creates: bool = False,
    ) -> Answer:
        """One request. `creates`: a repeat of it may make the thing twice, so the units are in doubt after a lost answer."""
        meter = Meter()
        try:
            return await self.operations.call(
                operation,
                path={"projectId": self.project_id},
                query=query,
                content=content,
                meter=meter,
            )
        except DecodeError:
            meter.in_doubt = True
            raise
        finally:
            progress = self.progress
            progress.requests += meter.requests
            progress.retries += meter.retries
            progress.bytes_sent += meter.bytes_sent
            attempted(units, meter.requests)
            if creates and meter.in_doubt:
                for unit in units:
                    unit.in_doubt = True


def classify_error(error: Exception) -> FailureAction:
    """What an error of a call means for the chunk and for the run."""
    match error:
        case (
            AuthenticationError()
            | PermissionDeniedError()
            | ConnectError()
            | UnsupportedOperation()
            | ClientClosed()
        ):
            return FailureAction.FATAL
        case RequestTimeout() if not error.sent:  # as good as no connection
            return FailureAction.FATAL
        case NotFoundError():
            return FailureAction.DIVIDE if error.code in _NOT_THE_PROJECT else FailureAction.FATAL
        case ServiceError() if error.status in (408, 413, 414, 431):
            return FailureAction.TOO_LARGE
        case RateLimitError():
            return FailureAction.REFUSED
        case ServiceError() if (
            error.status < 500
        ):  # 400 above all, often without a word on which of them it is about
            return FailureAction.DIVIDE
        case DecodeError():
            return FailureAction.DOWN
        case ServiceError() if (
            error.status == 500
        ):  # one picture that the service chokes on looks like this
            return FailureAction.DOWN
        case CustomVisionError():
            return FailureAction.FINAL
        case _:  # it could not even be written: one of them has what no request can carry
            return FailureAction.DIVIDE


def image_id(image: object) -> str:
    """The id of an image given as its model, its UUID, a string, or the result of its upload.

    Raises:
        ValueError: it does not read as an id.
        TypeError: it is something else.
    """
    if isinstance(image, ItemResult):
        if image.value is None:
            raise ValueError("the result has no image: its upload failed")
        return id_of(image.value, "image")
    return id_of(image, "image")


def item_failure(
    index: int, item: object, error: Exception | str, status: str = ""
) -> ItemResult[Any, Any]:
    """The result of an item that fails before it is sent."""
    failure = ItemError(str(error), index=index, item=item, status=status)
    if isinstance(error, Exception):
        failure.__cause__ = error
    return ItemResult(index, item, False, status, None, failure)


def items_from_ids(
    start: int, items: Sequence[Any], *, weight: int = 1, read: Any = image_id
) -> Sequence[WorkItem | ItemResult[Any, Any]]:
    """Units whose load is the id that `read` finds in each item; where it finds none the item fails."""
    if (
        read is image_id and set(map(type, items)) == {str} and all_canonical_ids(items)
    ):  # text of numpy is no str: JSON cannot carry it as it is
        return Span(start, items, items, weight)
    units: list[WorkItem | ItemResult[Any, Any]] = []
    for index, item in enumerate(items, start):
        try:
            units.append(WorkItem(index, item, read(item), weight))
        except (ValueError, TypeError) as error:
            units.append(item_failure(index, item, error))
    return units
