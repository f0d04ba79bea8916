"""Control the rate of requests: unlimited until the first refusal, then just below the quota.

A refusal shows where the limit was, not how it is counted. The rate goes a little below it and
stays there, for as long as another refusal would cost, times a factor. Then it rises: first slowly,
because the limit has probably stayed, then ever faster, because it has probably gone, as when
another client has left. A refusal in the slow part confirms the limit. Refusals before it mean that
the limit is lower, and each lowers the rate more than the one before. A refusal at a rate far above
the accepted one means that a bucket was emptied or that the limit rose, so the truth is between.

Requests start evenly. A late timer is made up for, but no second has one request more than the
rate, because services count in sliding seconds as well as in buckets.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

__all__ = ["AdaptiveRate", "Call"]

SLOWEST = 0.05
"""Minimum rate. A client that stops learns nothing."""
SAFETY_MARGIN = 0.02
"""Share of the ceiling to stay below it at first."""
STEP = 0.03
"""Share of the rate that a refusal takes away near the limit."""
STEP_AGAIN, STEP_MOST = 0.05, 0.15
"""The same below the limit: times the number of refusals in a row, up to the second value. A small
bucket refuses some requests by chance."""
PROBE_SECONDS, RISE_BY_CALLS = 6.0, 25.0
"""Seconds, or requests if that is longer, in which the rate rises to 10 % above the ceiling. In
twice that it rises to four times the ceiling."""
HOLD_SECONDS, STAY_MOST = 6.0, 90.0
"""Minimum and maximum seconds below the ceiling."""
STAY_UNKNOWN, RISE_UNKNOWN = 2.0, 2.0
"""The same after the first refusal, because a burst says little of the rate."""
STAY_KNOWN = 20.0
"""Seconds below a rate that was given, at first."""
STAY_BY_PAUSE, STAY_BY_CALLS = 60.0, 30.0
"""Seconds below the ceiling by the cost of a refusal: factors of the pause and of the interval."""
SLOW = 2.0
"""Rate below which times are in seconds and not in requests, so that a higher limit is noticed."""
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
    """Time at which the body was out."""
    open: bool = True
    refused: bool = False

    @property
    def arrived(self) -> float:
        """Approximate time at which the service had the whole request."""
        return self.started if self.sent is None else self.sent


@dataclass(slots=True)
class _Burst:
    """The requests before the first refusal.

    Those of them that are accepted show the quota of a second.
    """

    taken: int
    seconds: float
    until: float


class AdaptiveRate:
    """The rate of requests. `rate` is the rate known from the start, or None for no limit yet."""

    def __init__(self, rate: float | None = None) -> None:
        self._ceiling = rate or 1.0
        self._stay = HOLD_SECONDS if rate is None else STAY_KNOWN
        self._age = 0.0
        """Seconds since the last cut in which the rate kept a request waiting. Others prove
        nothing."""
        self._paced = rate is not None
        self._next = 0.0
        self._kept_waiting = False
        self._calls: deque[Call] = deque(maxlen=64)
        self._taken = 0
        self._since: float | None = None
        """Time of the last cut, or of the first request. Accepted requests are counted from
        here, without pauses of `_paused` seconds in total."""
        self._span = 0.0
        self._paused = 0.0
        self._resumed = -math.inf
        self._again = 0
        """Refusals before the rate rose again."""
        self._burst: _Burst | None = None
        self._rise = max(PROBE_SECONDS, RISE_BY_CALLS / self._ceiling)

    @property
    def rate(self) -> float | None:
        """Return the current rate in requests per second, or None for no limit."""
        return self._rate if self._paced else None

    @property
    def _rate(self) -> float:
        ahead = self._age - self._stay
        change = (
            0.1 * (ahead / self._rise) ** 5
            if ahead > 0
            else SAFETY_MARGIN * (ahead / self._stay) ** 3
        )
        return max(SLOWEST, self._ceiling * (1.0 + change))

    def wait(self, now: float) -> float:
        """Return the seconds until the next request is due."""
        pause = max(0.0, self._next - now) if self._paced else 0.0
        self._kept_waiting = self._kept_waiting or pause > 0
        return pause

    def paused(self, now: float, seconds: float) -> None:
        """Record that nothing was allowed to start for the last `seconds`."""
        self._paused += seconds
        self._resumed = now

    def start(self, call: Call) -> None:
        """Record the start of a request."""
        now = call.started
        self._taken += 1
        if self._since is None:
            self._since = now
        if self._paced:
            interval = 1.0 / self._rate
            if self._kept_waiting:
                self._age += min(
                    now - self._calls[-1].started if self._calls else 0.0, 2.0 * interval
                )
            self._next = (self._next if now - self._next < LATE else now) + interval
        self._kept_waiting = False
        self._calls.append(call)
        if self._paced and (number := math.ceil(self._rate)) <= len(self._calls):
            self._next = max(self._next, self._calls[-number].started + number / self._rate)

    def refused(self, now: float, call: Call, pause: float | None) -> None:
        """Record a refusal of `call`.

        `pause` is its cost in seconds, or None if it says nothing of the rate.
        """
        call.refused = True
        if self._since is not None and call.started >= self._since:
            self._taken -= 1
        if pause is not None:
            self._cut(now, pause)
        elif (
            self._burst is not None and call.started <= self._burst.until
        ):  # it was out together with the first one refused
            self._burst.taken -= 1
            self._ceiling = (self._burst.taken + 1) / self._burst.seconds

    def _cut(self, now: float, pause: float) -> None:
        """Lower the ceiling, and return how long to stay below it."""
        since = now if self._since is None else self._since
        elapsed = max(1e-3, now - since)
        if self._paced:
            rate = self._rate
            if self._age < 0.5 * (elapsed - self._paused):  # the link is slower than the pace
                rate = min(rate, 1.2 * self._speed(max(since, self._resumed)))
            self._ceiling, known = self._lowered(rate, elapsed, pause)
            second = 1 + sum(call.started > now - 1.0 and not call.refused for call in self._calls)
            if (
                second < NEAR * rate - 1
            ):  # most of a second's calls were refused: it is clear what is left
                self._ceiling = second
            stay = STAY_BY_PAUSE * pause + STAY_BY_CALLS / max(rate, SLOW) if known else 0.0
            self._stay = max(HOLD_SECONDS, min(stay, STAY_MOST, 2.0 * (elapsed + self._span)))
            self._span = elapsed
            self._burst = None
            self._rise = max(PROBE_SECONDS, RISE_BY_CALLS / max(SLOW, self._ceiling))
        else:  # a bucket's burst is in what was taken up; quotas are counted by the second
            self._burst = _Burst(max(1, self._taken), max(1.0, elapsed), now)
            self._ceiling = self._burst.taken / self._burst.seconds
            self._stay, self._rise = STAY_UNKNOWN, RISE_UNKNOWN
            self._paced = True
        self._ceiling = max(SLOWEST, self._ceiling)
        self._age = self._paused = 0.0
        self._taken = 0
        self._since = now

    def _lowered(self, rate: float, elapsed: float, pause: float) -> tuple[float, bool]:
        """Return the new ceiling, and whether it is reliable."""
        if self._age > self._stay:
            self._again = 0
            going = max(
                0.05 * elapsed, elapsed - self._paused
            )  # a bucket fills in a pause, but for what runs over
            measured = (max(0, self._taken) + 0.5) / math.sqrt(elapsed * going)
            if measured > NEAR * rate:
                return (1 - STEP) * rate, True
            return (
                max(0.5 * rate, math.sqrt(measured * rate)) if pause else (1 - STEP) * rate
            ), False
        self._again += 1
        step = min(STEP_AGAIN * self._again, STEP_MOST)
        return max(
            (1 - step) * rate, min(rate, (max(0, self._taken) + 0.5) / elapsed)
        ), self._again < 2

    def _speed(self, since: float) -> float:
        """Return the recent rate of starts."""
        starts = [call.started for call in self._calls if call.started >= since][-16:]
        if len(starts) < 5:
            return math.inf
        return len(starts) / max(1e-3, starts[-1] - starts[0])
