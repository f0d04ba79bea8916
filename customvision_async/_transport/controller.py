"""Control concurrency and rate by the responses. No clock and no waits: times are arguments.

Three limits apply at once. *Upload slots*: few bodies on the link at a time. *In flight*: grows by
one with each response, until Little's law says that more would only queue (2 x throughput x the
service's own time + 8). *Rate*: requests per second, from the first 429 on (`adaptive_rate.py`). A
service that refuses every request until its Retry-After is over is detected, and left alone for
that time.
"""

from __future__ import annotations

import math
from collections import deque

from .._options import Concurrency
from .adaptive_rate import AdaptiveRate, Call

__all__ = ["Call", "Controller"]

LOST = 0.7
"""Of the calls in flight, how many may go on after one that got no answer."""
LITTLES_LAW_FACTOR = 2.0
HEADROOM = 8.0
WINDOW = 24
"""Answers from which one mean of the service's time is taken (the first time a third of it,
before much can queue)."""
VERDICT = 3
"""Calls refused, all sent while a Retry-After was running and none taken up then, from which a
service that refuses every call is known."""


class _ServiceTime:
    """The service's own time for a request, from the end of the body:

    the least mean of recent windows.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._means: deque[float] = deque(maxlen=12)

    def add(self, seconds: float) -> None:
        self._sum += seconds
        self._count += 1
        if self._count == (WINDOW if self._means else WINDOW // 3):
            self._means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0

    @property
    def base(self) -> float | None:
        return min(self._means, default=None)


class _PauseDetector:
    """Whether the service refuses every request until a Retry-After is over.

    Requests that are sent meanwhile show it. If so, sending stops for the rest of the pause. Ever
    more rarely, one request in the middle of a pause checks whether that is still so.
    """

    def __init__(self, always: bool) -> None:
        self._always = always
        self._every = False
        self._some = False
        self._refused = 0
        self._began = -math.inf
        self._until = -math.inf
        self._surely_until = -math.inf
        self._asked = False
        self._rest = 0
        self._rests = 0

    @property
    def every(self) -> bool:
        return self._always or self._every

    def pause(self, now: float) -> float:
        """Seconds for which nothing should be sent."""
        if now >= self._until or not self.every:
            return 0.0
        if not self._always and not self._asked:
            return max(0.0, (self._began + self._until) / 2 - now)
        return self._until - now

    def started(self, now: float) -> None:
        self._asked = self._asked or now < self._until

    def refused(self, now: float, call: Call, retry_after: float) -> bool:
        """Record a refusal. Return whether it says anything of the rate.

        It does not while others that were sent during a pause are still in flight.
        """
        if self._began < call.started and call.arrived < self._until and not self._some:
            if self._every:
                self._rest = min(2 * self._rest + 1, 31)
                self._rests = self._rest
            self._refused += 1
            self._every = self._every or self._refused >= VERDICT
            self._until = max(self._until, now + retry_after)
            return False
        if call.started > self._began:
            self._began, self._asked = now, self._rests > 0
            self._rests = max(0, self._rests - 1)
            self._surely_until = (
                call.arrived + retry_after
            )  # by the service's clock, which began before ours
        self._until = max(self._until, now + retry_after)
        return True

    def accepted(self, call: Call) -> None:
        """Record that a request was accepted, which settles the question during a Retry-After."""
        if self._began < call.started and call.arrived < self._surely_until:
            self._every, self._some, self._refused, self._rest, self._rests = False, True, 0, 0, 0


class Controller:
    """Admission by the responses so far.

    Report each request: started, body sent, then accepted, refused or lost.
    """

    def __init__(self, options: Concurrency | None = None) -> None:
        options = options or Concurrency()
        self.requests = options.max_requests
        self.uploads = options.max_uploads
        self._limit = float(min(options.initial_requests, options.max_requests))
        self.in_flight = 0
        self.uploading = 0
        self._pace = AdaptiveRate(options.requests_per_second)
        self._flight_bound = False
        self._service = _ServiceTime()
        self._answers: deque[float] = deque(maxlen=32)
        self._verdict = _PauseDetector(options.on_throttle == "all")
        self._cut_at = -math.inf
        self._lost_at = -math.inf
        self._paused_since: float | None = None

    def tighten(self, options: Concurrency) -> None:
        """Add the options of another client: the lower limits apply, and a known rate is used."""
        self.requests = min(self.requests, options.max_requests)
        self.uploads = min(self.uploads, options.max_uploads)
        if options.requests_per_second is not None and self._pace.rate is None:
            self._pace = AdaptiveRate(options.requests_per_second)

    @property
    def rate(self) -> float | None:
        """The current rate in requests per second, or None."""
        return self._pace.rate

    @property
    def limit(self) -> int:
        """The current maximum of requests in flight."""
        limit = self._limit
        base = self._service.base
        if base is not None and len(self._answers) > 8:
            throughput = (len(self._answers) - 1) / max(1e-3, self._answers[-1] - self._answers[0])
            limit = min(limit, LITTLES_LAW_FACTOR * throughput * base + HEADROOM)
        return max(1, min(self.requests, int(limit)))

    def wait(self, now: float, *, upload: bool) -> float:
        """Return the seconds until a request may start: infinity if another must end first."""
        if upload and self.uploading >= self.uploads:
            return math.inf
        if self.in_flight >= self.limit:
            self._flight_bound = True
            return math.inf
        pause = self._verdict.pause(now)
        if pause > 0:
            if self._paused_since is None:
                self._paused_since = now
            return pause
        return self._pace.wait(now)

    def start(self, now: float, *, upload: bool) -> Call:
        """Record the start of a request."""
        if self._paused_since is not None:
            self._pace.paused(now, now - self._paused_since)
            self._paused_since = None
        call = Call(upload, now)
        self._pace.start(call)
        self._verdict.started(now)
        self.in_flight += 1
        self.uploading += upload
        return call

    def body_sent(self, now: float, call: Call) -> None:
        """Record that the body is out."""
        if call.open and call.sent is None:
            call.sent = now
            self.uploading -= call.upload

    def accepted(self, now: float, call: Call) -> None:
        """Record a response that is not a 429."""
        if not self._close(now, call):
            return
        if call.sent is not None:
            self._service.add(now - call.sent)
        self._answers.append(now)
        self._verdict.accepted(call)
        if self._flight_bound:
            self._limit = min(self.requests, self._limit + 1.0)
            self._flight_bound = False

    def lost(self, now: float, call: Call) -> None:
        """Record that there was no good response: the service may be overloaded."""
        if (
            self._close(now, call) and call.started > self._lost_at
        ):  # calls that were out together are one piece of news
            self._limit = max(1.0, self._limit * LOST)
            self._lost_at = now

    def abandoned(self, now: float, call: Call) -> None:
        """Record that the caller was cancelled. Learn nothing."""
        self._close(now, call)

    def refused(self, now: float, call: Call, retry_after: float | None) -> None:
        """Record a 429."""
        if not self._close(now, call):
            return
        telling = self._verdict.refused(now, call, retry_after or 0.0)
        telling = (
            telling and call.started > self._cut_at
        )  # else it was on its way when the last one was refused
        if telling:
            self._cut_at = now
        self._pace.refused(
            now, call, (retry_after or 0.0) * self._verdict.every if telling else None
        )

    def _close(self, now: float, call: Call) -> bool:
        if not call.open:
            return False
        call.open = False
        self.in_flight -= 1
        if call.sent is None:
            self.uploading -= call.upload
        return True
