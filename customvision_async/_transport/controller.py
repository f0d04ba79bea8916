"""Control concurrency and rate by the responses. This module does no I/O: times are arguments.

Three limits apply at once:

* Upload slots: few bodies are sent at a time.
* Requests in flight: the limit grows by one with each response, until Little's law says that more
  requests would only queue (2 x throughput x the service's own time + 8).
* Rate: requests per second, from the first 429 on (`adaptive_rate.py`).

Some services refuse every request until a Retry-After is over. That is detected, and then nothing
is sent during the pause.
"""

from __future__ import annotations

import math
from collections import deque

from .._options import Concurrency
from .adaptive_rate import AdaptiveRate, Call

__all__ = ["Call", "Controller"]

LOSS_FACTOR = 0.7
"""Factor of the limit in flight after a request without a response."""
LITTLES_LAW_FACTOR = 2.0
"""Requests in flight for each one that throughput and service time account for."""
HEADROOM = 8.0
"""Further requests in flight, so that a slow start can grow."""
WINDOW = 24
"""Responses per mean of the service's time. The first mean uses a third, before much can queue."""
DETECT_AFTER = 3
"""Requests refused during a Retry-After, with none accepted, after which the service is taken to
refuse every request in a pause."""


class _ServiceTime:
    """Estimate the service's own time for a request, from the end of the body.

    The estimate is the least mean of recent windows.
    """

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0
        self._means: deque[float] = deque(maxlen=12)

    def add(self, seconds: float) -> None:
        """Add the time of one request."""
        self._sum += seconds
        self._count += 1
        if self._count == (WINDOW if self._means else WINDOW // 3):
            self._means.append(self._sum / self._count)
            self._sum, self._count = 0.0, 0

    @property
    def base(self) -> float | None:
        """The estimate in seconds, or None if there are too few requests."""
        return min(self._means, default=None)


class _PauseDetector:
    """Detect whether the service refuses every request until a Retry-After is over.

    Requests that are sent during a pause show it. If so, sending stops for the rest of the pause.
    In some later pauses, less and less often, one request checks whether that is still so.

    `always` states that the service does so, without detection.
    """

    def __init__(self, always: bool) -> None:
        self._always = always
        self._refuses_all = False
        self._accepts_some = False
        self._refused = 0
        self._pause_start = -math.inf
        self._pause_end = -math.inf
        self._surely_refused_until = -math.inf
        self._probed = False
        self._skip = 0
        self._skips_left = 0

    @property
    def every(self) -> bool:
        """Whether the service refuses every request during a pause."""
        return self._always or self._refuses_all

    def pause(self, now: float) -> float:
        """Return the seconds for which nothing should be sent."""
        if now >= self._pause_end or not self.every:
            return 0.0
        if not self._always and not self._probed:
            return max(0.0, (self._pause_start + self._pause_end) / 2 - now)
        return self._pause_end - now

    def started(self, now: float) -> None:
        """Record the start of a request."""
        self._probed = self._probed or now < self._pause_end

    def refused(self, now: float, call: Call, retry_after: float) -> bool:
        """Record a refusal. Return whether it says anything about the rate.

        It says nothing if the request was sent during a pause, which may be why it was refused.
        """
        if (
            self._pause_start < call.started
            and call.arrived < self._pause_end
            and not self._accepts_some
        ):
            if self._refuses_all:
                self._skip = min(2 * self._skip + 1, 31)
                self._skips_left = self._skip
            self._refused += 1
            self._refuses_all = self._refuses_all or self._refused >= DETECT_AFTER
            self._pause_end = max(self._pause_end, now + retry_after)
            return False
        if call.started > self._pause_start:
            self._pause_start, self._probed = now, self._skips_left > 0
            self._skips_left = max(0, self._skips_left - 1)
            # The service counts from the arrival of the request, which is earlier than `now`.
            self._surely_refused_until = call.arrived + retry_after
        self._pause_end = max(self._pause_end, now + retry_after)
        return True

    def accepted(self, call: Call) -> None:
        """Record an accepted request. One during a pause shows that not all are refused."""
        if self._pause_start < call.started and call.arrived < self._surely_refused_until:
            self._refuses_all, self._accepts_some = False, True
            self._refused = self._skip = self._skips_left = 0


class Controller:
    """Decide when requests may start, by the responses so far.

    The caller reports each request: `start`, `body_sent`, then one of `accepted`, `refused`, `lost`
    and `abandoned`. Times are in seconds of any clock.
    """

    def __init__(self, options: Concurrency | None = None) -> None:
        options = options or Concurrency()
        self.requests = options.max_requests
        self.uploads = options.max_uploads
        self._limit = float(min(options.initial_requests, options.max_requests))
        self.in_flight = 0
        self.uploading = 0
        self._rate = AdaptiveRate(options.requests_per_second)
        self._flight_bound = False
        self._service = _ServiceTime()
        self._response_times: deque[float] = deque(maxlen=32)
        self._pauses = _PauseDetector(options.on_throttle == "all")
        self._cut_at = -math.inf
        self._lost_at = -math.inf
        self._paused_since: float | None = None

    def tighten(self, options: Concurrency) -> None:
        """Add the options of another client: the lower limits apply.

        A `requests_per_second` is used unless a rate is known.
        """
        self.requests = min(self.requests, options.max_requests)
        self.uploads = min(self.uploads, options.max_uploads)
        if options.requests_per_second is not None and self._rate.rate is None:
            self._rate = AdaptiveRate(options.requests_per_second)

    @property
    def rate(self) -> float | None:
        """The current rate in requests per second, or None."""
        return self._rate.rate

    @property
    def limit(self) -> int:
        """The current maximum of requests in flight."""
        limit = self._limit
        base = self._service.base
        if base is not None and len(self._response_times) > 8:
            throughput = (len(self._response_times) - 1) / max(
                1e-3, self._response_times[-1] - self._response_times[0]
            )
            limit = min(limit, LITTLES_LAW_FACTOR * throughput * base + HEADROOM)
        return max(1, min(self.requests, int(limit)))

    def wait(self, now: float, *, upload: bool) -> float:
        """Return the seconds until a request may start, or infinity if another must end first."""
        if upload and self.uploading >= self.uploads:
            return math.inf
        if self.in_flight >= self.limit:
            self._flight_bound = True
            return math.inf
        pause = self._pauses.pause(now)
        if pause > 0:
            if self._paused_since is None:
                self._paused_since = now
            return pause
        return self._rate.wait(now)

    def start(self, now: float, *, upload: bool) -> Call:
        """Record the start of a request."""
        if self._paused_since is not None:
            self._rate.paused(now, now - self._paused_since)
            self._paused_since = None
        call = Call(upload, now)
        self._rate.start(call)
        self._pauses.started(now)
        self.in_flight += 1
        self.uploading += upload
        return call

    def body_sent(self, now: float, call: Call) -> None:
        """Record that the body was sent."""
        if call.open and call.sent is None:
            call.sent = now
            self.uploading -= call.upload

    def accepted(self, now: float, call: Call) -> None:
        """Record a response that is not a 429."""
        if not self._close(now, call):
            return
        if call.sent is not None:
            self._service.add(now - call.sent)
        self._response_times.append(now)
        self._pauses.accepted(call)
        if self._flight_bound:
            self._limit = min(self.requests, self._limit + 1.0)
            self._flight_bound = False

    def lost(self, now: float, call: Call) -> None:
        """Record a missing or bad response: the service may be overloaded."""
        # Requests that were in flight together lower the limit once.
        if self._close(now, call) and call.started > self._lost_at:
            self._limit = max(1.0, self._limit * LOSS_FACTOR)
            self._lost_at = now

    def abandoned(self, now: float, call: Call) -> None:
        """Record the end of a request without an outcome. It changes no limit."""
        self._close(now, call)

    def refused(self, now: float, call: Call, retry_after: float | None) -> None:
        """Record a 429. `retry_after` is the wait that it asks for."""
        if not self._close(now, call):
            return
        significant = self._pauses.refused(now, call, retry_after or 0.0)
        # A request that was in flight at the last refusal says nothing new.
        significant = significant and call.started > self._cut_at
        if significant:
            self._cut_at = now
        cost = (retry_after or 0.0) * self._pauses.every
        self._rate.refused(now, call, cost if significant else None)

    def _close(self, now: float, call: Call) -> bool:
        """Record the end of a request. Return False if it has ended before."""
        if not call.open:
            return False
        call.open = False
        self.in_flight -= 1
        if call.sent is None:
            self.uploading -= call.upload
        return True
