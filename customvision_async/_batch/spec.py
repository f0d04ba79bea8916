"""The parameters of a run: its functions, and its limits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .chunker import ChunkLimits
from .report import ItemResult, Progress
from .settler import ErrorClassifier, Send
from .work_item import WorkItem

__all__ = ["BatchSpec", "Prepare"]

Prepare = Callable[[int, Sequence[Any]], Awaitable[Sequence[WorkItem | ItemResult[Any, Any]]]]
"""``prepare(start, items)`` converts items to work items, or to results if they need no request.

`start` is the index of the first item. If `prepare` raises, it is called again for each item alone,
and items for which it raises again fail. A :class:`~customvision_async.CustomVisionError`, or an
error that is classified as fatal, ends the run.
"""


class BatchSpec:
    """The parameters of a run.

    Args:
        prepare: Converts items to work items.
        send: Sends a chunk.
        classify_error: Returns the action for an exception of `send`.
        limits: Limits of a chunk.
        max_in_flight: Maximum number of chunks in flight.
        max_memory: Maximum memory in bytes of the work items in open chunks, and of those in
            flight.
        linger: Seconds that work items wait for a slow source before their chunks are sent.
        on_chunk: Called for each chunk that has settled, with the number of its items, the number
            that succeeded, the number that failed, and its duration in seconds.
        progress: The progress to update.
    """

    def __init__(
        self,
        prepare: Prepare,
        send: Send,
        classify_error: ErrorClassifier,
        limits: ChunkLimits,
        *,
        max_in_flight: int = 64,
        max_memory: int = 64_000_000,
        linger: float = 1.0,
        on_chunk: Callable[[int, int, int, float], None] | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.progress: Progress = progress or Progress()
        self.prepare = prepare
        self.send = send
        self.classify_error = classify_error
        self.limits = limits
        self.max_in_flight = max_in_flight
        self.max_memory = max_memory
        self.linger = linger
        self.on_chunk = on_chunk
