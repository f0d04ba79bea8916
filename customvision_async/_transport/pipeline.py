"""Send a request: wait for admission, attempt, and retry if that is right."""

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
    """Add the credential to a request."""

    async def headers(self) -> Mapping[str, str]:
        """Return the headers with the credential."""
        ...

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Return whether there is another credential to try after a 401 for `refused`."""
        ...


class _RequestState:
    """The attempts of one request so far."""

    def __init__(self) -> None:
        self.started = 0.0
        self.sends = 0
        self.refusals = 0
        self.in_doubt = False
        self.renewed = False
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
        """Attempts that were not throttled. A throttled one had no effect."""
        return self.sends - self.refusals


class Pipeline:
    """Send requests until they have a final response.

    `limiter` returns the limiter of the running event loop (``functools.partial(shared_limiter,
    ...)``) and is called at the first request. `clock` returns seconds since 1970, for a
    Retry-After that is a date.
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

        Raises: TransportError: The last attempt had no response. It is a ResponseLost if an earlier
            attempt may have had an effect although the last one cannot have. DecodeError: The
            response is too long, or is a redirect. ContentError: A part of the body could not be
            read.
        """
        if self._limiter is None:
            self._limiter = self._make_limiter()
        limiter = self._limiter
        state = _RequestState()
        permit = await limiter.acquire(upload=request.content is not None)
        while True:
            outcome = await self._attempt(request, state, permit)
            delay = await self._judge(request, outcome, state)
            taken_up = may_have_effect_of(outcome)
            if request.meter is not None and taken_up:
                request.meter.in_doubt = True
            if delay is None:
                return _final(request, outcome, state)
            state.in_doubt = state.in_doubt or taken_up
            notify(
                self._observers,
                RetryScheduled(request.operation, state.sends, delay, _reason(outcome)),
            )
            await asyncio.sleep(delay)
            permit = await limiter.acquire(upload=request.content is not None, again=True)
            if (
                limiter.now() - state.started > self._policy.deadline
            ):  # the pace has become slow meanwhile
                permit.abandoned()
                return _final(request, outcome, state)

    async def _attempt(
        self, request: Request, state: _RequestState, permit: Permit
    ) -> Response | TransportError:
        """Send once."""
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

    async def _judge(
        self, request: Request, outcome: Response | TransportError, state: _RequestState
    ) -> float | None:
        self._reachable = self._reachable or isinstance(outcome, Response)
        if isinstance(outcome, Response) and outcome.status == 401 and not state.renewed:
            state.renewed = True
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
            # The budget spares a service that fails. The limiter handles refusals.
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
            f"an earlier attempt may have taken effect, its answer was lost; then: {said}",
            operation=request.operation,
        )
    if isinstance(outcome, RequestTimeout | ResponseLost) and attempts > 1:
        outcome.add_note(f"sent {attempts} times")
    raise outcome
