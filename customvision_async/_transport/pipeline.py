"""A request on its way: admitted by the limiter, sent, judged, and sent again where that is right."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Protocol

from .._content import ContentError
from .._events import Observer, RequestCompleted, RetryScheduled, notify
from .._options import Retry
from ..errors import RequestTimeout, ResponseLost, TransportError
from .base import ClientClosed, Meter, Request, Response, Transport
from .retry import RetryBudget, RetryPolicy, maybe_taken_up, never_sent
from .throttle import Limiter, Permit

__all__ = ["Auth", "Pipeline"]


class Auth(Protocol):
    """What adds the credential to a request."""

    async def headers(self) -> Mapping[str, str]:
        """The headers that carry the credential."""
        ...

    async def renewed(self, refused: Mapping[str, str]) -> bool:
        """After a 401 to `refused`: whether there is another credential to try."""
        ...


class _RequestState:
    """What one request has met so far."""

    def __init__(self) -> None:
        self.started = 0.0
        self.sends = 0
        self.refusals = 0
        self.in_doubt = False
        self.renewed = False
        self.headers: Mapping[str, str] = {}

    def sent(self, now: float, meter: Meter | None) -> None:
        """One more send begins."""
        if not self.sends:
            self.started = now
        self.sends += 1
        if meter is not None:
            meter.requests += 1
            meter.retries += self.sends > 1

    @property
    def attempts(self) -> int:
        """Sends that were not refused for rate: a refused one was never taken up."""
        return self.sends - self.refusals


class Pipeline:
    """Sends requests until they have a final answer.

    `limiter` gives the limiter that applies in the running event loop (``functools.partial(shared_limiter, ...)``);
    it is asked at the first request. `clock` is seconds since 1970, for a Retry-After that is a date.
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
        self._met = False
        self._observers = tuple(observers)
        self._clock = clock

    async def send(self, request: Request) -> Response:
        """Send `request`, waiting for admission and sending again as the retry options allow.

        The answer is the last one, whatever its status; `attempts` and `in_doubt` are filled in.

        Raises:
            TransportError: the last attempt had no answer. It is a ResponseLost where an earlier attempt may have
                taken effect although the last one cannot have.
            DecodeError: the answer is too long, or a redirect.
            ContentError: a part of the body could not be read.
        """
        if self._limiter is None:
            self._limiter = self._make_limiter()
        limiter = self._limiter
        journey = _RequestState()
        ticket = await limiter.admit(upload=request.content is not None)
        while True:
            outcome = await self._attempt(request, journey, ticket)
            delay = await self._judge(request, outcome, journey)
            taken_up = maybe_taken_up(outcome)
            if request.meter is not None and taken_up:
                request.meter.in_doubt = True
            if delay is None:
                return _final(request, outcome, journey)
            journey.in_doubt = journey.in_doubt or taken_up
            notify(
                self._observers,
                RetryScheduled(request.operation, journey.sends, delay, _reason(outcome)),
            )
            await asyncio.sleep(delay)
            ticket = await limiter.admit(upload=request.content is not None, again=True)
            if (
                limiter.now() - journey.started > self._policy.deadline
            ):  # the pace has become slow meanwhile
                ticket.abandoned()
                return _final(request, outcome, journey)

    async def _attempt(
        self, request: Request, journey: _RequestState, ticket: Permit
    ) -> Response | TransportError:
        """One send."""
        outcome: Response | TransportError
        now = asyncio.get_running_loop().time
        try:
            journey.headers = await self._auth.headers()
        except BaseException:
            ticket.abandoned()
            raise
        if not journey.sends:
            self._budget.request()
        began = now()
        journey.sent(began, request.meter)
        try:
            outcome = await self._transport.send(request, journey.headers, on_sent=ticket.body_sent)
        except TransportError as error:
            outcome = error
        except BaseException as error:
            if request.meter is not None and not isinstance(error, (ContentError, ClientClosed)):
                request.meter.in_doubt = (
                    True  # given up, or an answer that cannot be read: it may have been taken up
                )
            self._report(request, journey, type(error).__name__, now() - began, ticket)
            ticket.abandoned()
            raise
        self._settle(ticket, outcome)
        if isinstance(outcome, Response) and outcome.status == 429:
            journey.refusals += 1
        self._report(request, journey, outcome, now() - began, ticket)
        return outcome

    def _settle(self, ticket: Permit, outcome: Response | TransportError) -> None:
        """Tell the limiter how it went."""
        if not isinstance(outcome, Response) or outcome.status in {408, 502, 503, 504}:
            ticket.lost()
        elif outcome.status == 429:
            ticket.refused(self._policy.asked(outcome, self._clock()))
        else:
            ticket.accepted()

    async def _judge(
        self, request: Request, outcome: Response | TransportError, journey: _RequestState
    ) -> float | None:
        self._met = self._met or isinstance(outcome, Response)
        if isinstance(outcome, Response) and outcome.status == 401 and not journey.renewed:
            journey.renewed = True
            return 0.0 if await self._auth.renewed(journey.headers) else None
        elapsed = asyncio.get_running_loop().time() - journey.started
        delay = self._policy.decide(
            request,
            outcome,
            attempts=journey.attempts,
            refusals=journey.refusals,
            elapsed=elapsed,
            now=self._clock(),
            met=self._met,
        )
        if (
            delay is None
            or never_sent(outcome)
            or (isinstance(outcome, Response) and outcome.status == 429)
        ):
            return delay  # the budget spares a service that fails: one that was not reached needs none, and refusals the limiter minds
        return delay if self._budget.retry() else None

    def _report(
        self,
        request: Request,
        journey: _RequestState,
        outcome: Response | TransportError | str,
        seconds: float,
        ticket: Permit,
    ) -> None:
        sent = request.content.length if request.content is not None and ticket.body_is_sent else 0
        if request.meter is not None:
            request.meter.bytes_sent += sent
        status, error = (outcome.status, "") if isinstance(outcome, Response) else (0, str(outcome))
        notify(
            self._observers,
            RequestCompleted(request.operation, journey.sends, status, seconds, sent, error),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


def _reason(outcome: Response | TransportError) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Response) else str(outcome)


def _final(
    request: Request, outcome: Response | TransportError, journey: _RequestState
) -> Response:
    attempts = max(1, journey.attempts)
    if isinstance(outcome, Response):
        return Response(outcome.status, outcome.headers, outcome.body, attempts, journey.in_doubt)
    if journey.in_doubt and not maybe_taken_up(outcome):
        said = str(outcome).removeprefix(f"{request.operation}: ")
        raise ResponseLost(
            f"an earlier attempt may have taken effect, its answer was lost; then: {said}",
            operation=request.operation,
        )
    if isinstance(outcome, RequestTimeout | ResponseLost) and attempts > 1:
        outcome.add_note(f"sent {attempts} times")
    raise outcome
