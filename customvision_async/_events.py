"""Events of a client, and the observers that receive them.

Every client has the observer :func:`log_event`, which logs at DEBUG and INFO to the logger
"customvision_async". Events never hold headers, bodies or query strings.
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
    """One attempt of a request has ended.

    Attributes:
        operation: Name of the REST operation.
        attempt: Number of the attempt, from 1.
        status: HTTP status, or 0 if no response arrived.
        seconds: Duration of the attempt.
        bytes_sent: Bytes of the body that were sent.
        error: The reason if no response arrived, else "".
    """

    operation: str
    attempt: int
    status: int
    seconds: float
    bytes_sent: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class RetryScheduled:
    """A request will be retried in `delay` seconds, because of `reason`."""

    operation: str
    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True)
class ChunkCompleted:
    """Every item of a chunk has succeeded or failed."""

    operation: str
    items: int
    succeeded: int
    failed: int
    seconds: float


Event = RequestCompleted | RetryScheduled | ChunkCompleted
Observer = Callable[[Event], None]


def log_event(event: Event) -> None:
    """Log an event."""
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
    """Call each observer. Log the exceptions that they raise."""
    for observer in observers:
        try:
            observer(event)
        except Exception:
            logger.exception("an observer failed on %s", type(event).__name__)
