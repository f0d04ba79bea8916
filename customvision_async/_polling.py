"""Work that the service begins at once and ends later: training, export, import, deleting all images.

Two things make it delicate. What begins it must not be sent twice (a training costs money), although its answer may be lost:
:class:`StartOnce` looks at what is there before and after, and so finds out. And it takes minutes to hours, in which connections
break and programs end: :class:`AsyncLROPoller` asks at growing intervals, goes on after failures of the connection, and whatever it
watches can be taken up again by its id.
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

import anyio

from .errors import (
    BadRequestError,
    ConnectError,
    DecodeError,
    OperationFailed,
    RateLimitError,
    RequestTimeout,
    ServiceError,
    TransportError,
)

__all__ = [
    "AsyncLROPoller",
    "PollResult",
    "Polling",
    "PollingMethod",
    "PollingProgress",
    "StartOnce",
]

S = TypeVar("S")
R = TypeVar("R")

_RETRY_AFTER_MOST = 600.0
"""The longest wait between two looks that the service may ask for, in seconds."""
_SETTLING = 2.0
"""Seconds between two looks for something whose beginning is in doubt: a list may lag behind."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How often to look. Times are seconds; each interval is varied by a tenth, so that many pollers do not look at once."""

    initial_interval: float = 1.0
    """Until the first look."""
    multiplier: float = 1.5
    """Each interval is so many times the one before."""
    max_interval: float = 30.0
    """The longest interval, unless the service asks for more (Retry-After)."""
    max_outage: float = 1800.0
    """How long no look may succeed (the network is gone, the service is down) before the poller gives up. The work goes on by itself."""


@dataclass(frozen=True, slots=True)
class PollResult(Generic[S]):
    """What one look has shown. `end` is "" while the work goes on; `fraction` is how much is done, where that can be known."""

    state: S
    status: str
    end: Literal["", "done", "failed"] = ""
    reason: str = ""
    fraction: float | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class PollingProgress:
    """How far something is. `fraction` is None where the service gives no way to know; `seconds` counts from when this poller began."""

    status: str
    done: bool
    seconds: float
    polls: int
    fraction: float | None = None


class PollingMethod(ABC, Generic[S, R]):
    """What a poller needs to know of the work: how to begin it, to look at it, and what its result is."""

    operation: str
    """The REST operation that begins it."""

    @abstractmethod
    async def begin(self) -> PollResult[S]:
        """Begin it (or find it, where it is to be taken up again). Called until it succeeds, then never again."""

    @abstractmethod
    async def look(self, state: S) -> PollResult[S]:
        """How it is now."""

    @abstractmethod
    def result(self, state: S) -> R:
        """What a person gets for it."""

    @abstractmethod
    def id(self, state: S) -> str:
        """By what it can be taken up again."""

    def again(self, state: S) -> str:
        """How to take it up again, in words."""
        return ""


class AsyncLROPoller(Generic[S, R]):
    """Something the service is busy with. Nothing is sent before the poller is awaited, started or iterated over.

    * ``await poller`` begins it, waits for its end and gives the result (with ``wait=False`` of the verb that made it: does not wait);
    * ``async for state in poller`` gives its state at each look, and ends when it does;
    * ``await poller.start()`` begins it and returns at once.

    It may be awaited again, by several tasks, or after a timeout (``async with asyncio.timeout(60): await poller``): it is begun once.
    Connections that fail meanwhile are survived for as long as `Polling.patience`.

    Raises (from all three):
        OperationFailed: the service ended it without success.
        ServiceError, TransportError: it could not be begun; or no look has succeeded for too long, or the project or key is gone.
    """

    def __init__(
        self, work: PollingMethod[S, R], polling: Polling | None = None, *, wait: bool = True
    ) -> None:
        self._work = work
        self._polling = polling or Polling()
        self._wait = wait
        self._interval = self._polling.initial_interval
        self._seen: PollResult[S] | None = None
        self._scan_budget = 0
        self._began = self._due = 0.0
        self._ended: float | None = None
        self._lost_since: float | None = None
        self._lock = anyio.Lock()

    def __repr__(self) -> str:
        return f"<AsyncLROPoller {self._work.operation} {self.status}{f' {self.id}' if self.id else ''}>"

    # --- what is known without asking

    @property
    def id(self) -> str | None:
        """By what it can be taken up again, in this program or another; None before it has begun."""
        return None if self._seen is None else self._work.id(self._seen.state)

    @property
    def status(self) -> str:
        """The service's word at the last look ("Training", "Completed", ...), or "NotStarted"."""
        return "NotStarted" if self._seen is None else self._seen.status

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._seen is not None and self._seen.end != ""

    @property
    def state(self) -> S | None:
        """What the last look has shown, as the service's model."""
        return None if self._seen is None else self._seen.state

    @property
    def progress(self) -> PollingProgress:
        """How far it is."""
        if self._seen is None:
            return PollingProgress("NotStarted", False, 0.0, 0)
        end = anyio.current_time() if self._ended is None else self._ended
        return PollingProgress(
            self.status, self.done, end - self._began, self._scan_budget, self._seen.fraction
        )

    # --- asking

    def __await__(self) -> Generator[None, None, R]:
        return self.result().__await__()

    async def start(self) -> S:
        """Begin it, if that has not been done, and give its state as last seen."""
        async with self._lock:
            if self._seen is None:
                began = anyio.current_time()
                seen = await self._work.begin()
                self._began = began
                self._enter(seen)
            return self._seen.state  # type: ignore[union-attr]  # entered above, and never taken back

    async def result(self) -> R:
        """The same as awaiting the poller."""
        state = await self.start()
        while self._wait and not self.done:
            await self._next(self._scan_budget)
        assert self._seen is not None
        state = self._seen.state
        self._raise_failure()
        return self._work.result(state)

    async def __aiter__(self) -> AsyncGenerator[S, None]:
        yield await self.start()
        while not self.done:
            looks = self._scan_budget
            await self._next(looks)
            if self._scan_budget != looks and self._seen is not None:
                yield self._seen.state
        self._raise_failure()

    async def _next(self, known: int) -> None:
        """Look once more when it is time, unless another task has looked since `known` looks were made."""
        async with self._lock:
            if self._scan_budget != known or self._seen is None or self.done:
                return
            await anyio.sleep(max(0.0, self._due - anyio.current_time()))
            try:
                seen = await self._work.look(self._seen.state)
            except (TransportError, DecodeError, ServiceError) as error:
                self._survive(error, self._seen.state)
                return
            self._enter(seen)

    def _enter(self, seen: PollResult[S]) -> None:
        self._scan_budget += self._seen is not None
        self._seen, self._lost_since = seen, None
        if seen.end:
            self._ended = anyio.current_time()
        self._schedule(seen.retry_after)

    def _survive(self, error: Exception, state: S) -> None:
        """Let a look have failed, or raise what says that no other will succeed."""
        passing = (
            not isinstance(error, ServiceError)
            or isinstance(error, RateLimitError)
            or error.status == 408
            or error.status >= 500
        )
        now = anyio.current_time()
        if self._lost_since is None:
            self._lost_since = now
        if passing and now - self._lost_since < self._polling.max_outage:
            self._schedule(error.retry_after if isinstance(error, RateLimitError) else None)
            return
        self._lost_since = None  # whoever awaits the poller again is patient anew
        if again := self._work.again(state):
            error.add_note(f"The service may be at it still: {again} takes it up again.")
        raise error

    def _schedule(self, asked: float | None) -> None:
        interval = self._interval * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        self._due = anyio.current_time() + max(interval, min(asked or 0.0, _RETRY_AFTER_MOST))
        self._interval = min(self._polling.max_interval, self._interval * self._polling.multiplier)

    def _raise_failure(self) -> None:
        seen = self._seen
        if seen is not None and seen.end == "failed":
            reason = seen.reason or "the service does not say why"
            raise OperationFailed(
                f"it ended as {seen.status}: {reason}",
                operation=self._work.operation,
                status=seen.status,
                state=seen.state,
            )


class StartOnce(Generic[S]):
    """Begins something once, although an answer may be lost (or the waiting for it cancelled) on the way.

    `remember` is called before the first request: it looks at what is there. `send` begins. `find` is called when the effect
    of `send` is in doubt, and gives what has begun since, or None. Only if two looks, some time apart, show nothing is
    `send` called a second time, and what the service then says of it ("already in progress") is looked into as well.
    """

    def __init__(
        self,
        send: Callable[[], Awaitable[S]],
        remember: Callable[[], Awaitable[None]],
        find: Callable[[], Awaitable[S | None]],
    ) -> None:
        self._send = send
        self._remember = remember
        self._find = find
        self._remembered = self._in_doubt = False

    async def __call__(self) -> S:
        """What has begun.

        Raises what `send` raised, where nothing has.
        """
        if not self._remembered:
            await self._remember()
            self._remembered = True
        if self._in_doubt and (found := await self._look()) is not None:
            return found
        for last in (False, True):
            doubted, self._in_doubt = self._in_doubt, True
            try:
                begun = await self._send()
            except (TransportError, DecodeError, ServiceError) as error:
                self._in_doubt = doubted or may_have_taken_effect(error)
                refused_again = doubted and isinstance(error, BadRequestError)
                if not self._in_doubt and not refused_again:
                    raise
                found = await self._look()
                if found is not None:
                    return found
                if last or not may_have_taken_effect(error):
                    raise
            else:
                self._in_doubt = False
                return begun
        raise AssertionError("unreachable")

    async def _look(self) -> S | None:
        found = await self._find()
        if found is None:
            await anyio.sleep(_SETTLING)
            found = await self._find()
        if found is not None:
            self._in_doubt = False
        return found


def may_have_taken_effect(error: Exception) -> bool:
    """Whether a request may have had its effect although it ended in `error`."""
    match error:
        case ConnectError():
            return False
        case RequestTimeout():
            return error.sent
        case ServiceError():
            return error.status == 408 or error.status >= 500
        case _:
            return True
