"""Send requests: wait for a permit, send an attempt, and retry if the policy allows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Protocol

from .._content import ContentError
from .._events import Observer, RequestCompleted, RetryScheduled, notify
from .._options import Retry
from .._statuses import meaning_of
from ..errors import RequestTimeout, ResponseLost, TransportError
from .base import ClientClosed, Meter, Request, Response, Transport
from .retry import RetryBudget, RetryPolicy, may_have_effect_of, never_sent
from .throttle import Limiter, Permit

__all__ = ["Auth", "Pipeline"]


class Auth(Protocol):
    """Provide the headers with the credential."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers with the credential."""
        ...

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Return whether to try again with another credential after a 401 for `refused`."""
        ...


class _RequestState:
    """The state of one request over its attempts."""

    def __init__(self) -> None:
        self.started = 0.0
        self.sends = 0
        self.refusals = 0
        self.in_doubt = False
        self.credential_refreshed = False
        self.headers: Mapping[str, str] = {}

    def sent(self, now: float, meter: Meter | None) -> None:
        """Count an attempt."""
        if not self.sends:
            self.started = now
        self.sends += 1
        if meter is not None:
            meter.requests += 1
            meter.retries += self.sends > 1

    @property
    def attempts(self) -> int:
        """Attempts that were not throttled. A throttled attempt had no effect."""
        return self.sends - self.refusals


class Pipeline:
    """Send requests, and retry until there is a final response.

    Args:
        transport: Sends single attempts.
        auth: Provides the credential.
        retry: When to retry.
        limiter: Called at the first request to get the limiter of the running event loop, such as
            ``functools.partial(shared_limiter, ...)``. Defaults to an own limiter.
        observers: Called with each event.
        rng: Source of jitter.
        clock: Returns seconds since 1970, for a Retry-After that is a date.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        auth: Auth,
        retry: Retry | None = None,
        limiter: Callable[[], Limiter] | None = None,
        observers: Iterable[Observer] = (),
        rng: Random | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._transport = transport
        self._auth = auth
        retry = retry or Retry()
        self._policy = RetryPolicy(retry, rng or Random())  # noqa: S311  # jitter, not secrets
        self._budget = RetryBudget(retry.retry_ratio, retry.min_retries)
        self._make_limiter: Callable[[], Limiter] = limiter or Limiter
        self._limiter: Limiter | None = None
        self._reachable = False
        self._observers = tuple(observers)
        self._clock = clock

    async def send(self, request: Request) -> Response:
        """Send `request`, and retry as the options allow.

        Return the last response, whatever its status, with `attempts` and `in_doubt`.

        Raises:
            TransportError: The last attempt had no response. The error is a ResponseLost if the
                last attempt had no effect, but an earlier one may have had.
            DecodeError: The response is too large, or is a redirect.
            ContentError: A part of the body could not be read.
        """
        if self._limiter is None:
            self._limiter = self._make_limiter()
        limiter = self._limiter
        state = _RequestState()
        permit = await limiter.acquire(upload=request.content is not None)
        while True:
            outcome = await self._attempt(request, state, permit)
            delay = await self._next_delay(request, outcome, state)
            may_have_effect = may_have_effect_of(outcome)
            if request.meter is not None and may_have_effect:
                request.meter.in_doubt = True
            if delay is None:
                return _final(request, outcome, state)
            state.in_doubt = state.in_doubt or may_have_effect
            notify(
                self._observers,
                RetryScheduled(request.operation, state.sends, delay, _reason(outcome)),
            )
            await asyncio.sleep(delay)
            permit = await limiter.acquire(upload=request.content is not None, again=True)
            if limiter.now() - state.started > self._policy.deadline:
                # Waiting for the permit took too long.
                permit.abandoned()
                return _final(request, outcome, state)

    async def _attempt(
        self, request: Request, state: _RequestState, permit: Permit
    ) -> Response | TransportError:
        """Send one attempt, and return the response or the error."""
        outcome: Response | TransportError
        now = asyncio.get_running_loop().time
        try:
            state.headers = await self._auth.headers()
        except BaseException:
            permit.abandoned()
            raise
        if not state.sends:
            self._budget.request()
        began = now()
        state.sent(began, request.meter)
        try:
            outcome = await self._transport.send(request, state.headers, on_sent=permit.body_sent)
        except TransportError as error:
            outcome = error
        except BaseException as error:
            if request.meter is not None and not isinstance(error, (ContentError, ClientClosed)):
                # It was cancelled, or the response cannot be read. It may have had an effect.
                request.meter.in_doubt = True
            self._report(request, state, type(error).__name__, now() - began, permit)
            permit.abandoned()
            raise
        self._settle(permit, outcome)
        if isinstance(outcome, Response) and outcome.status == 429:
            state.refusals += 1
        self._report(request, state, outcome, now() - began, permit)
        return outcome

    def _settle(self, permit: Permit, outcome: Response | TransportError) -> None:
        """Report the outcome to the limiter."""
        if not isinstance(outcome, Response) or meaning_of(outcome.status).overload:
            permit.lost()
        elif outcome.status == 429:
            permit.refused(self._policy.asked(outcome, self._clock()))
        else:
            permit.accepted()

    async def _next_delay(
        self, request: Request, outcome: Response | TransportError, state: _RequestState
    ) -> float | None:
        self._reachable = self._reachable or isinstance(outcome, Response)
        if (
            isinstance(outcome, Response)
            and outcome.status == 401
            and not state.credential_refreshed
        ):
            state.credential_refreshed = True
            return 0.0 if await self._auth.refresh(state.headers) else None
        elapsed = asyncio.get_running_loop().time() - state.started
        delay = self._policy.decide(
            request,
            outcome,
            attempts=state.attempts,
            refusals=state.refusals,
            elapsed=elapsed,
            now=self._clock(),
            reachable=self._reachable,
        )
        if (
            delay is None
            or never_sent(outcome)
            or (isinstance(outcome, Response) and outcome.status == 429)
        ):
            # The budget protects a failing service. The limiter handles throttling.
            return delay
        return delay if self._budget.retry() else None

    def _report(
        self,
        request: Request,
        state: _RequestState,
        outcome: Response | TransportError | str,
        seconds: float,
        permit: Permit,
    ) -> None:
        sent = request.content.length if request.content is not None and permit.body_is_sent else 0
        if request.meter is not None:
            request.meter.bytes_sent += sent
        status, error = (outcome.status, "") if isinstance(outcome, Response) else (0, str(outcome))
        notify(
            self._observers,
            RequestCompleted(request.operation, state.sends, status, seconds, sent, error),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def _reason(outcome: Response | TransportError) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Response) else str(outcome)


def _final(request: Request, outcome: Response | TransportError, state: _RequestState) -> Response:
    attempts = max(1, state.attempts)
    if isinstance(outcome, Response):
        return Response(outcome.status, outcome.headers, outcome.body, attempts, state.in_doubt)
    if state.in_doubt and not may_have_effect_of(outcome):
        said = str(outcome).removeprefix(f"{request.operation}: ")
        raise ResponseLost(
            f"an earlier attempt may have taken effect, and its response was lost; then: {said}",
            operation=request.operation,
        )
    if isinstance(outcome, RequestTimeout | ResponseLost) and attempts > 1:
        outcome.add_note(f"sent {attempts} times")
    raise outcome
