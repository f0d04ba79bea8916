"""Separate exceptions of the caller's code from those that control the engine's tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raise_foreign_cancellation"]


@contextmanager
def raise_foreign_cancellation(origin: str) -> Iterator[None]:
    """Convert a CancelledError that is not a cancellation of this task to a RuntimeError.

    The block may await a shared task that other code cancels. That CancelledError would end this
    task silently, and leave items without an outcome. A StopAsyncIteration is converted too,
    because it would look like the end of the source or of the results.

    Args:
        origin: Name of the code in the block, for the message.

    Raises:
        RuntimeError: The block raised one of them.
    """
    try:
        yield
    except StopAsyncIteration as error:
        raise RuntimeError(f"{origin} raised StopAsyncIteration") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"{origin} awaited something that was cancelled") from error
