"""Long-running operations: training, export, import, and deleting all images.

:class:`StartOnce` starts an operation exactly once, even if the response is lost, because a second
training costs money. It compares the state of the service before and after the request.

:class:`AsyncLROPoller` waits for the end. It polls at growing intervals and retries after failures
of the connection. Another program can resume an operation by its id.
"""

from __future__ import annotations

import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import anyio

from ._statuses import meaning_of
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
"""Maximum Retry-After between two polls, in seconds."""
_SETTLING = 2.0
"""Seconds between two checks whether an operation has started, because lists may be stale."""


@dataclass(frozen=True, slots=True)
class Polling:
    """How often to poll. Times are in seconds.

    Each interval varies at random by up to 10 %, so that pollers do not poll in step.
    """

    initial_interval: float = 1.0
    """Wait before the first poll."""
    multiplier: float = 1.5
    """Factor between successive intervals."""
    max_interval: float = 30.0
    """Maximum interval, unless the service asks for a longer one (Retry-After)."""
    max_outage: float = 1800.0
    """Maximum time without a successful poll before the poller raises.

    The operation itself continues.
    """


@dataclass(frozen=True, slots=True)
class PollResult(Generic[S]):
    """The result of one poll.

    `end` is "" while the operation is running. `fraction` is the part that is done, from 0 to 1, or
    None if unknown.
    """

    state: S
    status: str
    end: Literal["", "done", "failed"] = ""
    reason: str = ""
    fraction: float | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class PollingProgress:
    """The progress of a long-running operation.

    Attributes:
        status: Status as reported by the service.
        done: Whether the operation has ended, with or without success.
        seconds: Time since this poller started.
        polls: Number of polls.
        fraction: Part that is done, from 0 to 1, or None if unknown.
    """

    status: str
    done: bool
    seconds: float
    polls: int
    fraction: float | None = None


class PollingMethod(ABC, Generic[S, R]):
    """How to start and poll one kind of long-running operation."""

    operation: str
    """Name of the REST operation that starts it."""

    @abstractmethod
    async def begin(self) -> PollResult[S]:
        """Start the operation, or get the one to resume. Called until it succeeds once."""

    @abstractmethod
    async def look(self, state: S) -> PollResult[S]:
        """Poll the operation."""

    @abstractmethod
    def result(self, state: S) -> R:
        """Return the result of the poller."""

    @abstractmethod
    def id(self, state: S) -> str:
        """Return the id that resumes the operation."""

    def again(self, state: S) -> str:
        """Return the call that resumes the operation, for error messages, or ""."""
        return ""


class AsyncLROPoller(Generic[S, R]):
    """A long-running operation.

    Nothing is sent before the poller is awaited, started or iterated over:

    * ``await poller`` starts the operation, waits for its end and returns the result. With
      ``wait=False`` it does not wait for the end.
    * ``async for state in poller`` yields the state at the start and after each poll, until the
      operation ends.
    * ``await poller.start()`` starts the operation and returns its state.

    The operation is started once, even if several tasks await the poller, or one awaits it again
    after a timeout. Failed polls are retried for `Polling.max_outage` seconds.

    Raises (from all three):
        OperationFailed: The operation ended without success.
        ServiceError, TransportError: The operation could not be started, no poll has succeeded for
            `Polling.max_outage`, or the service refused a poll.
    """

    # Python 3.11 knows the line at which an object was made only if it has no __dict__.
    __slots__ = (
        "__weakref__",
        "_began",
        "_due",
        "_ended",
        "_interval",
        "_lock",
        "_lost_since",
        "_polling",
        "_polls",
        "_seen",
        "_used",
        "_wait",
        "_work",
    )

    def __init__(
        self, work: PollingMethod[S, R], polling: Polling | None = None, *, wait: bool = True
    ) -> None:
        self._work = work
        self._polling = polling or Polling()
        self._wait = wait
        self._interval = self._polling.initial_interval
        self._seen: PollResult[S] | None = None
        self._polls = 0
        self._began = self._due = 0.0
        self._ended: float | None = None
        self._lost_since: float | None = None
        self._lock = anyio.Lock()
        self._used = False

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(
                f"{self!r} was never awaited: nothing was sent",
                RuntimeWarning,
                source=self,
                stacklevel=2,
            )

    def __repr__(self) -> str:
        return (
            f"<AsyncLROPoller {self._work.operation} {self.status}"
            f"{f' {self.id}' if self.id else ''}>"
        )

    # --- the last known state

    @property
    def id(self) -> str | None:
        """Id that resumes the operation, in this program or another. None before the start."""
        return None if self._seen is None else self._work.id(self._seen.state)

    @property
    def status(self) -> str:
        """Last status that the service reported ("Training", "Completed", ...), or "NotStarted"."""
        return "NotStarted" if self._seen is None else self._seen.status

    @property
    def done(self) -> bool:
        """Whether the operation has ended, with or without success."""
        return self._seen is not None and self._seen.end != ""

    @property
    def state(self) -> S | None:
        """Last known state, as a model. None before the start."""
        return None if self._seen is None else self._seen.state

    @property
    def progress(self) -> PollingProgress:
        """Progress at the last poll."""
        if self._seen is None:
            return PollingProgress("NotStarted", False, 0.0, 0)
        end = anyio.current_time() if self._ended is None else self._ended
        return PollingProgress(
            self.status, self.done, end - self._began, self._polls, self._seen.fraction
        )

    # --- polling

    def __await__(self) -> Generator[None, None, R]:
        self._used = True
        return self.result().__await__()

    async def start(self) -> S:
        """Start the operation, unless it has started, and return its last known state."""
        self._used = True
        async with self._lock:
            if self._seen is None:
                began = anyio.current_time()
                seen = await self._work.begin()
                self._began = began
                self._enter(seen)
            # _enter() has set it, and nothing resets it.
            return self._seen.state  # type: ignore[union-attr]

    async def result(self) -> R:
        """Return the result, as awaiting the poller does."""
        state = await self.start()
        while self._wait and not self.done:
            await self._next(self._polls)
        assert self._seen is not None
        state = self._seen.state
        self._raise_failure()
        return self._work.result(state)

    def __aiter__(self) -> AsyncIterator[S]:
        self._used = True
        return _States(self)

    async def _next_state(self, known: int | None) -> tuple[S, int] | None:
        """Return the state after more than `known` polls and their number, or None at the end.

        A cancelled call loses no state.
        """
        if known is None:
            return await self.start(), self._polls
        while self._polls == known:
            if self.done:
                self._raise_failure()
                return None
            await self._next(known)
        assert self._seen is not None
        return self._seen.state, self._polls

    async def _next(self, known: int) -> None:
        """Poll once the interval has passed, unless another task has polled since `known` polls."""
        async with self._lock:
            if self._polls != known or self._seen is None or self.done:
                return
            await anyio.sleep(max(0.0, self._due - anyio.current_time()))
            try:
                seen = await self._work.look(self._seen.state)
            except (TransportError, DecodeError, ServiceError) as error:
                self._survive(error, self._seen.state)
                return
            self._enter(seen)

    def _enter(self, seen: PollResult[S]) -> None:
        self._polls += self._seen is not None
        self._seen, self._lost_since = seen, None
        if seen.end:
            self._ended = anyio.current_time()
        self._schedule(seen.retry_after)

    def _survive(self, error: Exception, state: S) -> None:
        """Schedule the next poll after a failed one, or raise if retries are pointless."""
        passing = (
            not isinstance(error, ServiceError)
            or isinstance(error, RateLimitError)
            or meaning_of(error.status).may_have_effect
        )
        now = anyio.current_time()
        if self._lost_since is None:
            self._lost_since = now
        if passing and now - self._lost_since < self._polling.max_outage:
            self._schedule(error.retry_after if isinstance(error, RateLimitError) else None)
            return
        # Awaiting the poller again restarts the time of `max_outage`.
        self._lost_since = None
        if again := self._work.again(state):
            error.add_note(f"It may still be running; resume it with {again}.")
        raise error

    def _schedule(self, asked: float | None) -> None:
        interval = self._interval * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        self._due = anyio.current_time() + max(interval, min(asked or 0.0, _RETRY_AFTER_MOST))
        self._interval = min(self._polling.max_interval, self._interval * self._polling.multiplier)

    def _raise_failure(self) -> None:
        seen = self._seen
        if seen is not None and seen.end == "failed":
            reason = seen.reason or "the service gives no reason"
            raise OperationFailed(
                f"it ended as {seen.status}: {reason}",
                operation=self._work.operation,
                status=seen.status,
                state=seen.state,
            )


class _States(Generic[S]):
    """The async iterator over the states of a poller.

    It is not a generator, because a timeout around ``anext`` would end a generator.
    """

    def __init__(self, poller: AsyncLROPoller[S, Any]) -> None:
        self._poller = poller
        self._known: int | None = None

    def __aiter__(self) -> _States[S]:
        return self

    async def __anext__(self) -> S:
        found = await self._poller._next_state(self._known)
        if found is None:
            raise StopAsyncIteration
        state, self._known = found
        return state


class StartOnce(Generic[S]):
    """Start an operation once, even if a response is lost or the call is cancelled.

    Args:
        send: Send the request that starts the operation.
        remember: Record the state of the service. Called before the first `send`.
        find: Return the operation that has started since `remember`, or None. Called while the
            effect of `send` is in doubt.

    `send` is called a second time only if two calls of `find`, some time apart, return None. If the
    service refuses the second request ("already in progress"), `find` is called again.
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
        """Return the operation that has started, or raise the error of `send` if none has."""
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
    """Return whether a request that failed with `error` may have taken effect."""
    match error:
        case ConnectError():
            return False
        case RequestTimeout():
            return error.sent
        case ServiceError():
            return meaning_of(error.status).may_have_effect
        case _:
            return True
