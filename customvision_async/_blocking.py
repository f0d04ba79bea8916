"""Run blocking calls in threads of their own, and retry them if file descriptors are exhausted."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

__all__ = ["in_thread", "lacks_descriptors", "when_descriptors_allow"]

P = ParamSpec("P")
T = TypeVar("T")

_PATIENCE = 30.0
"""Seconds to wait for a free descriptor."""
_PAUSE = 0.02
"""Seconds between attempts."""

_exhausted = False
"""Whether the last wait was in vain. Later calls then try only once, because otherwise each of many
files would wait."""


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, run in a thread of its own.

    If the caller is cancelled, the thread is abandoned. Neither the event loop nor the interpreter
    waits for it on exit, as they would for the pooled threads of asyncio and anyio. This is for
    calls that may block forever, such as opening a FIFO, reading a terminal, or reading from a
    network drive that is down.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(setter: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            setter(value)

    def work() -> None:
        setter: Callable[[Any], None] = result.set_result
        try:
            value: Any = call(*args, **kwargs)
        except BaseException as error:  # noqa: BLE001  # raised in the caller's task instead
            setter, value = result.set_exception, error
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(settle, setter, value)

    threading.Thread(target=work, name="customvision blocking call", daemon=True).start()
    return await result


def lacks_descriptors(error: OSError) -> bool:
    """Return whether `error` means that no file descriptor is left."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def when_descriptors_allow(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, and retry while no file descriptor is left.

    Descriptors become free as requests end and files are closed. This blocks, so call it in a
    worker thread.

    Raises:
        OSError: `call` raised it. EMFILE and ENFILE are raised if no descriptor became free.
    """
    global _exhausted
    deadline = time.monotonic() + (0.0 if _exhausted else _PATIENCE)
    while True:
        try:
            result = call(*args, **kwargs)
        except OSError as error:
            if not lacks_descriptors(error):
                raise
            if time.monotonic() >= deadline:
                _exhausted = True
                raise
            time.sleep(_PAUSE)
        else:
            _exhausted = False
            return result
