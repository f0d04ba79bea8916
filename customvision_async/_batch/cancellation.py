"""Code that the engine is given (a source, its functions) and that may end in a cancellation which nobody meant for the run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["raise_foreign_cancellation"]


@contextmanager
def raise_foreign_cancellation(what: str) -> Iterator[None]:
    """A CancelledError that comes up in the block although this task is not being cancelled is an error like any other.

    It is that of something else which `what` awaited: a shared task, say. Let through, it would end this task without a word, and
    leave items without an outcome.

    Raises:
        RuntimeError: there was one.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"{what} awaited something that was cancelled") from error
