"""Stop a command at Ctrl-C or SIGTERM, within ten seconds.

The first signal stops the source of a batch, and requests in flight may finish. Other work, and a
batch that takes longer, is cancelled. A second signal cancels at once. A watchdog thread ends the
process if the cancellation does not: 9 s after the first signal, 1.5 s after the second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import anyio
import anyio.lowlevel

from ._exit import ExitCode

__all__ = ["Interrupt"]

_GRACE = 4.0
"""Seconds that what is under way may take to land."""
_LAST = 9.0
"""Seconds from the first signal until the watchdog ends the process."""
_LAST_AGAIN = 1.5
"""Seconds from a second signal until the watchdog ends the process."""
_LAST_WORDS = 0.3
"""Seconds for the watchdog to write its message."""


class Interrupt:
    """The signals of a command. `code` is the exit code once one has come, else None."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.code: ExitCode | None = None
        self._say = say
        self._stop: Callable[[], None] | None = None
        self._signals = 0

    async def raise_if_stopped(self) -> None:
        """Once a signal has come: go no further."""
        if self.code is not None:
            self._scope.cancel()
            await anyio.lowlevel.checkpoint()

    @contextmanager
    def stopping_with(self, stop: Callable[[], None]) -> Iterator[None]:
        """While inside, a first signal calls `stop` and leaves some seconds before it cancels."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    @contextmanager
    def listening(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Signals come here rather than ending the process; `scope` is what they cancel."""
        self._scope = scope
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handler(number: int, frame: FrameType | None) -> None:
            # Armed here and not on the loop, which a blocking call may hold.
            self._signals += 1
            if self._signals <= 2:
                seconds = _LAST if self._signals == 1 else _LAST_AGAIN
                watchdog = threading.Timer(seconds, _end, (_code(number),))
                watchdog.daemon = True
                watchdog.start()
            loop.call_soon_threadsafe(self._arrived, number)

        try:
            for number in before:
                signal.signal(number, handler)
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _arrived(self, number: int) -> None:
        again = self.code is not None
        self.code = _code(number)
        if again or self._stop is None:
            self._scope.cancel()
        else:
            self._say(
                "Stopping: what is under way has some seconds to land. Again to stop at once."
            )
            self._stop()
            asyncio.get_running_loop().call_later(_GRACE, self._scope.cancel)


def _code(number: int) -> ExitCode:
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED


def _end(code: ExitCode) -> None:
    # Nobody may read the output, and then a write never returns.
    last_words = threading.Thread(target=_say_so, daemon=True)
    last_words.start()
    last_words.join(_LAST_WORDS)
    os._exit(code)


def _say_so() -> None:
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(Exception):
        os.write(2, b"customvision: did not stop in time and was ended\n")
