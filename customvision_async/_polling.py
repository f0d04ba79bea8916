"""Long-running operations: training, export, import, and deleting all images.

:class:`StartOnce` starts an operation exactly once, even if the response is lost, because a second
training would cost money. It compares the state of the service before and after the request.

:class:`AsyncLROPoller` waits for the end. It polls at growing intervals and retries failed polls.
Another program can resume an operation by its id.
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

_MAX_RETRY_AFTER = 600.0
"""Maximum Retry-After between two polls, in seconds."""
_RECHECK_DELAY = 2.0
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

    Attributes:
        state: The model that the service returned.
        status: Status as reported by the service.
        end: "" while the operation is running.
        reason: Reason of a failure.
        fraction: Part that is done, from 0 to 1, or None if unknown.
        retry_after: Seconds to wait before the next poll, if the response asks for it.
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
    """Start and poll one kind of long-running operation."""

    operation: str
    """Name of the REST operation that starts it."""

    @abstractmethod
    async def begin(self) -> PollResult[S]:
        """Start the operation, or get the one to resume. Called until it succeeds once."""

    @abstractmethod
    async def poll(self, state: S) -> PollResult[S]:
        """Poll the operation."""

    @abstractmethod
    def result(self, state: S) -> R:
        """Return the result of the poller."""

    @abstractmethod
    def id(self, state: S) -> str:
        """Return the id that resumes the operation."""

    def resume_hint(self, state: S) -> str:
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

    # In Python 3.11, tracemalloc knows where an object was created only if it has no __dict__.
    __slots__ = (
        "__weakref__",
        "_began",
        "_due",
        "_ended",
        "_interval",
        "_last",
        "_lock",
        "_lost_since",
        "_method",
        "_polling",
        "_polls",
        "_used",
        "_wait",
    )

    def __init__(
        self, method: PollingMethod[S, R], polling: Polling | None = None, *, wait: bool = True
    ) -> None:
        self._method = method
        self._polling = polling or Polling()
        self._wait = wait
        self._interval = self._polling.initial_interval
        self._last: PollResult[S] | None = None
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
            f"<AsyncLROPoller {self._method.operation} {self.status}"
            f"{f' {self.id}' if self.id else ''}>"
        )

    # --- the last known state

    @property
    def id(self) -> str | None:
        """Id that resumes the operation, in this program or another. None before the start."""
        return None if self._last is None else self._method.id(self._last.state)

    @property
    def status(self) -> str:
        """Last status that the service reported ("Training", "Completed", ...), or "NotStarted"."""
        return "NotStarted" if self._last is None else self._last.status

    @property
    def done(self) -> bool:
        """Whether the operation has ended, with or without success."""
        return self._last is not None and self._last.end != ""

    @property
    def state(self) -> S | None:
        """Last known state, as a model. None before the start."""
        return None if self._last is None else self._last.state

    @property
    def progress(self) -> PollingProgress:
        """Progress at the last poll."""
        if self._last is None:
            return PollingProgress("NotStarted", False, 0.0, 0)
        end = anyio.current_time() if self._ended is None else self._ended
        return PollingProgress(
            self.status, self.done, end - self._began, self._polls, self._last.fraction
        )

    # --- polling

    def __await__(self) -> Generator[None, None, R]:
        self._used = True
        return self.result().__await__()

    async def start(self) -> S:
        """Start the operation, unless it has started, and return its last known state."""
        self._used = True
        async with self._lock:
            if self._last is None:
                began = anyio.current_time()
                result = await self._method.begin()
                self._began = began
                self._record(result)
            # _record() has set it, and nothing resets it.
            return self._last.state  # type: ignore[union-attr]

    async def result(self) -> R:
        """Return the result, as awaiting the poller does."""
        state = await self.start()
        while self._wait and not self.done:
            await self._next(self._polls)
        assert self._last is not None
        state = self._last.state
        self._raise_failure()
        return self._method.result(state)

    def __aiter__(self) -> AsyncIterator[S]:
        self._used = True
        return _States(self)

    async def _next_state(self, known: int | None) -> tuple[S, int] | None:
        """Return the state after more than `known` polls and the number of polls.

        Return None once the operation has ended. A cancelled call loses no state.
        """
        if known is None:
            return await self.start(), self._polls
        while self._polls == known:
            if self.done:
                self._raise_failure()
                return None
            await self._next(known)
        assert self._last is not None
        return self._last.state, self._polls

    async def _next(self, known: int) -> None:
        """Wait for the interval and poll, unless another task has made more than `known` polls."""
        async with self._lock:
            if self._polls != known or self._last is None or self.done:
                return
            await anyio.sleep(max(0.0, self._due - anyio.current_time()))
            try:
                result = await self._method.poll(self._last.state)
            except (TransportError, DecodeError, ServiceError) as error:
                self._retry_or_raise(error, self._last.state)
                return
            self._record(result)

    def _record(self, result: PollResult[S]) -> None:
        self._polls += self._last is not None
        self._last, self._lost_since = result, None
        if result.end:
            self._ended = anyio.current_time()
        self._schedule(result.retry_after)

    def _retry_or_raise(self, error: Exception, state: S) -> None:
        """Schedule the next poll after a failed one, or raise `error` if retries are pointless."""
        temporary = (
            not isinstance(error, ServiceError)
            or isinstance(error, RateLimitError)
            or meaning_of(error.status).may_have_effect
        )
        now = anyio.current_time()
        if self._lost_since is None:
            self._lost_since = now
        if temporary and now - self._lost_since < self._polling.max_outage:
            self._schedule(error.retry_after if isinstance(error, RateLimitError) else None)
            return
        # If the poller is awaited again, `max_outage` starts anew.
        self._lost_since = None
        if hint := self._method.resume_hint(state):
            error.add_note(f"It may still be running; resume it with {hint}.")
        raise error

    def _schedule(self, requested: float | None) -> None:
        interval = self._interval * random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        self._due = anyio.current_time() + max(interval, min(requested or 0.0, _MAX_RETRY_AFTER))
        self._interval = min(self._polling.max_interval, self._interval * self._polling.multiplier)

    def _raise_failure(self) -> None:
        result = self._last
        if result is not None and result.end == "failed":
            reason = result.reason or "the service gives no reason"
            raise OperationFailed(
                f"it ended as {result.status}: {reason}",
                operation=self._method.operation,
                status=result.status,
                state=result.state,
            )


class _States(Generic[S]):
    """The async iterator over the states of a poller.

    It is not an async generator, because a timeout around ``anext`` would end that.
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

    `send` is called a second time only if two calls of `find`, some time apart, return None. If the
    service rejects the second request ("already in progress"), `find` is called again.

    Args:
        send: Sends the request that starts the operation.
        remember: Records the state of the service. Called before the first `send`.
        find: Returns the operation that has started since `remember`, or None. Called while it is
            in doubt whether `send` had an effect.
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
        if self._in_doubt and (found := await self._find_twice()) is not None:
            return found
        for last in (False, True):
            doubted, self._in_doubt = self._in_doubt, True
            try:
                started = await self._send()
            except (TransportError, DecodeError, ServiceError) as error:
                self._in_doubt = doubted or may_have_taken_effect(error)
                refused_again = doubted and isinstance(error, BadRequestError)
                if not self._in_doubt and not refused_again:
                    raise
                found = await self._find_twice()
                if found is not None:
                    return found
                if last or not may_have_taken_effect(error):
                    raise
            else:
                self._in_doubt = False
                return started
        raise AssertionError("unreachable")

    async def _find_twice(self) -> S | None:
        """Return the operation if it has started, or None. Check twice before returning None."""
        found = await self._find()
        if found is None:
            await anyio.sleep(_RECHECK_DELAY)
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
