"""Ctrl-C and SIGTERM: stop in good order, and never later than ten seconds after.

The first signal asks the work to stop: a batch takes nothing more from its source and what is under way may land; work that has
no such way, and a batch that has had its time, is cancelled. A second signal cancels at once. A watchdog thread ends
the process if even that does not come to an end.
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
"""Seconds after which the process ends whatever happens."""


class Interrupt:
    """The signals of a command. `code` is the exit code once one has come, else None."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.code: ExitCode | None = None
        self._say = say
        self._stop: Callable[[], None] | None = None

    async def obey(self) -> None:
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
            loop.call_soon_threadsafe(self._arrived, signal.Signals(number))

        try:
            for number in before:
                try:
                    loop.add_signal_handler(number, self._arrived, number)
                except NotImplementedError:  # Windows
                    signal.signal(number, handler)
            yield
        finally:
            for number, old in before.items():
                with suppress(NotImplementedError):
                    loop.remove_signal_handler(number)
                signal.signal(number, old)

    def _arrived(self, number: signal.Signals) -> None:
        again = self.code is not None
        self.code = ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED
        if again or self._stop is None:
            self._scope.cancel()
        else:
            self._say(
                "Stopping: what is under way has some seconds to land. Again to stop at once."
            )
            self._stop()
            asyncio.get_running_loop().call_later(_GRACE, self._scope.cancel)
        if not again:
            watchdog = threading.Timer(_LAST, _end, (self.code,))
            watchdog.daemon = True
            watchdog.start()


def _end(code: ExitCode) -> None:
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(Exception):
        os.write(2, b"customvision: did not come to an end in time and was ended\n")
    os._exit(code)
