"""What can be watched while a client works. Watching is apart from doing: an observer is called with a frozen record.

Logging is one observer among several (:func:`log_event`, always on, at DEBUG and INFO of the logger
"customvision_async"). No event holds a header, a body or a query string.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "ChunkCompleted",
    "Event",
    "Observer",
    "RequestCompleted",
    "RetryScheduled",
    "log_event",
    "notify",
]

logger = logging.getLogger("customvision_async")


@dataclass(frozen=True, slots=True)
class RequestCompleted:
    """One attempt of a request is over. `status` is 0 where no answer came; `error` then says why. Times are seconds."""

    operation: str
    attempt: int
    status: int
    seconds: float
    bytes_sent: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A request will be sent again after `delay` seconds, because of `reason`."""

    operation: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkCompleted:
    """Every item of a chunk has an outcome."""

    operation: str
    items: int
    succeeded: int
    failed: int
    seconds: float


Event = RequestCompleted | RetryScheduled | ChunkCompleted
Observer = Callable[[Event], None]


def log_event(event: Event) -> None:
    """The observer that logs."""
    match event:
        case RequestCompleted():
            logger.debug(
                "%s: attempt %d: %s in %.3f s",
                event.operation,
                event.attempt,
                event.status or event.error,
                event.seconds,
            )
        case RetryScheduled():
            logger.info(
                "%s: attempt %d failed (%s), again in %.2f s",
                event.operation,
                event.attempt,
                event.reason,
                event.delay,
            )
        case ChunkCompleted():
            logger.debug(
                "%s: %d items settled, %d failed, in %.3f s",
                event.operation,
                event.items,
                event.failed,
                event.seconds,
            )


def notify(observers: tuple[Observer, ...], event: Event) -> None:
    """Call each observer; one that raises is logged and never disturbs the work."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            logger.exception("an observer failed on %s", type(event).__name__)
