"""Stop a command at Ctrl-C or SIGTERM, within ten seconds.

The first signal stops the source of a batch, and requests in flight have a few seconds to finish.
After that the batch is cancelled. Other work is cancelled at once, and so is everything at a second
signal. A watchdog thread ends a process that does not react: 9 s after the first signal, or 1.5 s
after the second.
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

_GRACE_SECONDS = 4.0
"""Seconds that requests in flight may take to finish."""
_FIRST_WATCHDOG_SECONDS = 9.0
"""Seconds from the first signal until the watchdog ends the process."""
_SECOND_WATCHDOG_SECONDS = 1.5
"""Seconds from a second signal until the watchdog ends the process."""
_MESSAGE_SECONDS = 0.3
"""Seconds for the watchdog to write its message."""


class Interrupt:
    """The signal handling of a command.

    Args:
        notify: Called with a message for the user.

    Attributes:
        code: The exit code for the signal, or None if no signal has arrived.
    """

    def __init__(self, notify: Callable[[str], None]) -> None:
        self.code: ExitCode | None = None
        self._notify = notify
        self._stop: Callable[[], None] | None = None
        self._signals = 0

    async def raise_if_stopped(self) -> None:
        """Cancel the command if a signal has arrived."""
        if self.code is not None:
            self._scope.cancel()
            await anyio.lowlevel.checkpoint()

    @contextmanager
    def stopping_with(self, stop: Callable[[], None]) -> Iterator[None]:
        """Let the first signal call `stop` inside the block, and cancel a few seconds later."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    @contextmanager
    def listening(self, scope: anyio.CancelScope) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block by cancelling `scope`."""
        self._scope = scope
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def handler(number: int, frame: FrameType | None) -> None:
            # Start the watchdog here, because a blocking call may hold the event loop.
            self._signals += 1
            if self._signals <= 2:
                seconds = (
                    _FIRST_WATCHDOG_SECONDS if self._signals == 1 else _SECOND_WATCHDOG_SECONDS
                )
                watchdog = threading.Timer(seconds, _exit_process, (_code(number),))
                watchdog.daemon = True
                watchdog.start()
            loop.call_soon_threadsafe(self._on_signal, number)

        try:
            for number in before:
                signal.signal(number, handler)
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _on_signal(self, number: int) -> None:
        again = self.code is not None
        self.code = _code(number)
        if again or self._stop is None:
            self._scope.cancel()
        else:
            self._notify(
                "Stopping: what is under way has some seconds to land. Again to stop at once."
            )
            self._stop()
            asyncio.get_running_loop().call_later(_GRACE_SECONDS, self._scope.cancel)


def _code(number: int) -> ExitCode:
    return ExitCode.INTERRUPTED if number == signal.SIGINT else ExitCode.TERMINATED


def _exit_process(code: ExitCode) -> None:
    # If nobody reads the output, a write blocks for ever.
    message = threading.Thread(target=_write_message, daemon=True)
    message.start()
    message.join(_MESSAGE_SECONDS)
    os._exit(code)


def _write_message() -> None:
    with suppress(Exception):
        sys.stdout.flush()
    with suppress(Exception):
        os.write(2, b"customvision: did not stop in time and was ended\n")
