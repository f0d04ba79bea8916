"""The limiter."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakKeyDictionary, WeakValueDictionary

from .._options import Concurrency
from .retry import RetryBudget

__all__ = ["Limiter", "Ticket", "shared_limiter"]


class Ticket:
    """The right to one send."""

    def __init__(self, limiter: Limiter, upload: bool) -> None:
        self._limiter = limiter
        self._upload = upload
        self._open = True
        self.body_is_sent = False

    def body_sent(self) -> None:
        if not self.body_is_sent:
            self.body_is_sent = True
            if self._upload:
                self._limiter._leave_upload()

    def accepted(self) -> None:
        self._close()

    def lost(self) -> None:
        self._close()

    def refused(self, retry_after: float | None) -> None:
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            if self._upload and not self.body_is_sent:
                self._limiter._leave_upload()
            self._limiter._leave()


class Limiter:
    def __init__(self, options: Concurrency | None = None) -> None:
        self.options = options or Concurrency()
        self.budget = RetryBudget(0.2, 10)
        self._in_flight = 0
        self._uploads = 0
        self._waiting: deque[tuple[asyncio.Future[None], bool]] = deque()

    async def admit(self, *, upload: bool, again: bool = False) -> Ticket:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (future, upload)
        if again:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        self._wake()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                if upload:
                    self._leave_upload()
                self._leave()
            else:
                self._waiting.remove(entry)
            raise
        return Ticket(self, upload)

    def _wake(self) -> None:
        kept: deque[tuple[asyncio.Future[None], bool]] = deque()
        while self._waiting and self._in_flight < self.options.requests:
            future, upload = self._waiting.popleft()
            if upload and self._uploads >= self.options.uploads:
                kept.append((future, upload))
                continue
            self._in_flight += 1
            self._uploads += upload
            if not future.done():
                future.set_result(None)
        self._waiting.extendleft(reversed(kept))

    def _leave_upload(self) -> None:
        self._uploads -= 1
        self._wake()

    def _leave(self) -> None:
        self._in_flight -= 1
        self._wake()


_limiters: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[tuple[str, str], Limiter]] = WeakKeyDictionary()


def shared_limiter(host: str, fingerprint: str, options: Concurrency) -> Limiter:
    here = _limiters.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    return here.setdefault((host, fingerprint), Limiter(options))
