"""Blocking calls of the operating system: in threads that nobody waits for, and without
descriptors.
"""

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
"""Seconds to wait for a descriptor before the lack of them is an error."""
_PAUSE = 0.02

_exhausted = False
"""Whether the last wait was in vain. Later calls then try once, or each of many files would wait."""


async def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, run in a thread of its own.

    A cancelled caller leaves the thread behind, and neither the event loop nor the interpreter
    waits for it at the end. This is for calls that may block without a bound: opening a FIFO,
    reading a terminal, a file of a network that is down. The pooled threads of asyncio and anyio
    are joined.
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
        except BaseException as error:  # noqa: BLE001  # the caller's, in its own thread
            setter, value = result.set_exception, error
        with suppress(RuntimeError):  # the loop has been closed meanwhile
            loop.call_soon_threadsafe(settle, setter, value)

    threading.Thread(target=work, name="customvision blocking call", daemon=True).start()
    return await result


def lacks_descriptors(error: OSError) -> bool:
    """Return whether `error` says that the process or the system has no descriptor left."""
    return error.errno in (errno.EMFILE, errno.ENFILE)


def when_descriptors_allow(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return ``call(*args, **kwargs)``, called again while it lacks a file descriptor.

    Descriptors come back as requests and files are closed. Blocks: call it in a worker thread.

    Raises:
        OSError: Whatever else `call` raises; EMFILE or ENFILE once waiting was in vain.
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
