"""Control the rate of requests: unlimited until the first refusal, then just below the quota.

A refusal shows where the limit was, not how the service counts. The rate goes a little below the
limit and stays there. It stays longer if refusals are costly. Then it rises: first slowly, because
the limit is probably the same, then ever faster, because the limit has probably gone, as when
another client has left.

A refusal in the slow part of the rise confirms the limit. A refusal before the rise means that the
limit is lower, and each further one lowers the rate more. If the rate was far above the rate of
accepted requests, a token bucket was emptied or the limit has risen. Then the new limit is between
the two rates.

Requests start at even intervals. Delays of timers are made up for. But no second has more requests
than the rate, because some services count in sliding seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

__all__ = ["AdaptiveRate", "Call"]

SLOWEST = 0.05
"""Minimum rate in requests per second. Without requests a higher limit would not be noticed."""
SAFETY_MARGIN = 0.02
"""Share of the ceiling by which the rate is below it after a refusal."""
STEP = 0.03
"""Share by which a refusal near the limit lowers the rate."""
REPEATED_STEP, MAX_STEP = 0.05, 0.15
"""The same for refusals below the limit: the first value times the number of refusals in a row, up
to the second. The first step is small, because a small bucket refuses some requests by chance."""
PROBE_SECONDS, PROBE_REQUESTS = 6.0, 25.0
"""Seconds, or requests if they take longer, in which the rate rises to 10 % above the ceiling. In
twice that time it rises to four times the ceiling."""
HOLD_SECONDS, MAX_HOLD_SECONDS = 6.0, 90.0
"""Minimum and maximum seconds for which the rate stays below the ceiling."""
FIRST_HOLD_SECONDS, FIRST_PROBE_SECONDS = 2.0, 2.0
"""The same after the first refusal, and the seconds to rise. They are short, because a burst says
little about the rate."""
KNOWN_RATE_HOLD_SECONDS = 20.0
"""Seconds for which a rate from the options is kept at first."""
HOLD_PER_PAUSE, HOLD_PER_INTERVAL = 60.0, 30.0
"""Seconds below the ceiling for each second of pause that a refusal costs, and for each second
between requests."""
SLOW = 2.0
"""Rate below which times do not grow with the interval, so that a higher limit is noticed."""
NEAR = 0.8
"""Share of the rate that must have been accepted for the limit to be reliable."""
LATE = 0.02
"""Seconds by which a timer may be late without delaying the requests after it."""


@dataclass(slots=True, eq=False)
class Call:
    """An admitted request. Times are in seconds."""

    upload: bool
    started: float
    sent: float | None = None
    """Time at which the body was sent."""
    open: bool = True
    refused: bool = False

    @property
    def arrived(self) -> float:
        """Approximate time at which the service had the whole request."""
        return self.started if self.sent is None else self.sent


@dataclass(slots=True)
class _Burst:
    """The requests before the first refusal. The accepted ones show the quota of a second."""

    accepted: int
    seconds: float
    until: float


class AdaptiveRate:
    """Control the rate of requests.

    `rate` is the initial rate in requests per second, or None for no limit until a refusal.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._ceiling = rate or 1.0
        self._hold = HOLD_SECONDS if rate is None else KNOWN_RATE_HOLD_SECONDS
        self._tested = 0.0
        """Seconds since the last cut during which the rate delayed requests. Only these count,
        because a slower caller does not test the rate."""
        self._paced = rate is not None
        self._next = 0.0
        self._kept_waiting = False
        self._calls: deque[Call] = deque(maxlen=64)
        self._accepted = 0
        self._since: float | None = None
        """Time of the last cut, or of the first request, from which requests are counted.
        `_paused` is the total of the pauses since then, in seconds."""
        self._span = 0.0
        self._paused = 0.0
        self._resumed = -math.inf
        self._refusals_in_a_row = 0
        """Refusals in a row, without a rise between them."""
        self._burst: _Burst | None = None
        self._rise = max(PROBE_SECONDS, PROBE_REQUESTS / self._ceiling)

    @property
    def rate(self) -> float | None:
        """The current rate in requests per second, or None for no limit."""
        return self._rate if self._paced else None

    @property
    def _rate(self) -> float:
        ahead = self._tested - self._hold
        change = (
            0.1 * (ahead / self._rise) ** 5
            if ahead > 0
            else SAFETY_MARGIN * (ahead / self._hold) ** 3
        )
        return max(SLOWEST, self._ceiling * (1.0 + change))

    def wait(self, now: float) -> float:
        """Return the seconds until the next request is due."""
        pause = max(0.0, self._next - now) if self._paced else 0.0
        self._kept_waiting = self._kept_waiting or pause > 0
        return pause

    def paused(self, now: float, seconds: float) -> None:
        """Record that no request was allowed to start for the last `seconds`."""
        self._paused += seconds
        self._resumed = now

    def start(self, call: Call) -> None:
        """Record the start of a request."""
        now = call.started
        self._accepted += 1
        if self._since is None:
            self._since = now
        if self._paced:
            interval = 1.0 / self._rate
            if self._kept_waiting:
                self._tested += min(
                    now - self._calls[-1].started if self._calls else 0.0, 2.0 * interval
                )
            self._next = (self._next if now - self._next < LATE else now) + interval
        self._kept_waiting = False
        self._calls.append(call)
        if self._paced and (number := math.ceil(self._rate)) <= len(self._calls):
            self._next = max(self._next, self._calls[-number].started + number / self._rate)

    def refused(self, now: float, call: Call, pause: float | None) -> None:
        """Record a refusal of `call`.

        `pause` is its cost in seconds, or None if it says nothing about the rate.
        """
        call.refused = True
        if self._since is not None and call.started >= self._since:
            self._accepted -= 1
        if pause is not None:
            self._cut(now, pause)
        elif self._burst is not None and call.started <= self._burst.until:
            # It was in flight together with the first one that was refused.
            self._burst.accepted -= 1
            self._ceiling = (self._burst.accepted + 1) / self._burst.seconds

    def _cut(self, now: float, pause: float) -> None:
        """Lower the ceiling, and set how long to stay below it."""
        since = now if self._since is None else self._since
        elapsed = max(1e-3, now - since)
        if self._paced:
            rate = self._rate
            if self._tested < 0.5 * (elapsed - self._paused):
                # The caller was slower than the rate, which says little then.
                rate = min(rate, 1.2 * self._speed(max(since, self._resumed)))
            self._ceiling, known = self._lowered(rate, elapsed, pause)
            second = 1 + sum(call.started > now - 1.0 and not call.refused for call in self._calls)
            if second < NEAR * rate - 1:
                # Many requests of this second were refused. The accepted ones show the limit.
                self._ceiling = second
            hold = HOLD_PER_PAUSE * pause + HOLD_PER_INTERVAL / max(rate, SLOW) if known else 0.0
            hold = min(hold, MAX_HOLD_SECONDS, 2.0 * (elapsed + self._span))
            self._hold = max(HOLD_SECONDS, hold)
            self._span = elapsed
            self._burst = None
            self._rise = max(PROBE_SECONDS, PROBE_REQUESTS / max(SLOW, self._ceiling))
        else:
            # The accepted requests include the burst of a bucket. Quotas are per second, so a
            # shorter time counts as one.
            self._burst = _Burst(max(1, self._accepted), max(1.0, elapsed), now)
            self._ceiling = self._burst.accepted / self._burst.seconds
            self._hold, self._rise = FIRST_HOLD_SECONDS, FIRST_PROBE_SECONDS
            self._paced = True
        self._ceiling = max(SLOWEST, self._ceiling)
        self._tested = self._paused = 0.0
        self._accepted = 0
        self._since = now

    def _lowered(self, rate: float, elapsed: float, pause: float) -> tuple[float, bool]:
        """Return the new ceiling, and whether it is reliable."""
        if self._tested > self._hold:
            self._refusals_in_a_row = 0
            # A bucket fills during pauses, but may overflow. So take the geometric mean of the
            # rates with and without the pauses.
            active = max(0.05 * elapsed, elapsed - self._paused)
            measured = (max(0, self._accepted) + 0.5) / math.sqrt(elapsed * active)
            if measured > NEAR * rate:
                return (1 - STEP) * rate, True
            return (
                max(0.5 * rate, math.sqrt(measured * rate)) if pause else (1 - STEP) * rate
            ), False
        self._refusals_in_a_row += 1
        step = min(REPEATED_STEP * self._refusals_in_a_row, MAX_STEP)
        return max(
            (1 - step) * rate, min(rate, (max(0, self._accepted) + 0.5) / elapsed)
        ), self._refusals_in_a_row < 2

    def _speed(self, since: float) -> float:
        """Return the recent rate of starts in requests per second, or infinity if unknown."""
        starts = [call.started for call in self._calls if call.started >= since][-16:]
        if len(starts) < 5:
            return math.inf
        return len(starts) / max(1e-3, starts[-1] - starts[0])
