"""How many calls a second: nothing until the first refusal, then a rate that stays just under what is allowed.

What is known after a refusal at some rate is where the limit was, not how it is counted. So the rate goes a little
under it and stays there, for as long as another refusal would cost times a factor; then it rises, at first slowly,
since the limit has most likely stayed, then ever faster, since it has most likely gone (another client has left). A
refusal in the slow part says the same again. Refusals before that say that the limit has come down: each takes away
more than the last. One at a rate far above what was ever taken up says that a bucket has run empty, or that the limit
went up: the truth is between.

Calls start evenly. A timer that was late is caught up with, but not so that some second sees one call more than the
rate: services count calls in a sliding second as well as by buckets.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

__all__ = ["AdaptiveRate", "Call"]

SLOWEST = 0.05
"""Calls a second, at the least: who stops cannot learn."""
SAFETY_MARGIN = 0.02
"""Share of the ceiling by which to stay under it at first."""
STEP = 0.03
"""Share of the rate that a refusal takes away where the limit was looked for."""
STEP_AGAIN, STEP_MOST = 0.05, 0.15
"""The same for each one in a row before that: once, twice ... as much, up to the second. A small bucket refuses some by chance."""
PROBE_SECONDS, RISE_BY_CALLS = 6.0, 25.0
"""Seconds, or calls if that is longer, in which the search gets 10 % above the ceiling; in twice that, four times the ceiling."""
HOLD_SECONDS, STAY_MOST = 6.0, 90.0
"""Seconds for which to stay under the ceiling, at the least and at the most."""
STAY_UNKNOWN, RISE_UNKNOWN = 2.0, 2.0
"""The same two after the first refusal: a burst says little of the rate."""
STAY_KNOWN = 20.0
"""Seconds to stay, at first, under a rate that was given."""
STAY_BY_PAUSE, STAY_BY_CALLS = 60.0, 30.0
"""Seconds to stay by what a refusal costs: so many times the pause, if there is one, and so many calls."""
SLOW = 2.0
"""Calls a second below which nothing is counted in calls: it would take too long to notice that there may be more."""
NEAR = 0.8
"""What was taken up, as a share of the rate, from which the limit is known well."""
LATE = 0.02
"""Seconds by which a timer may be late without the calls after it being late too."""


@dataclass(slots=True, eq=False)
class Call:
    """One admitted call. Times are seconds."""

    upload: bool
    started: float
    sent: float | None = None
    """When the body was out."""
    open: bool = True
    refused: bool = False

    @property
    def arrived(self) -> float:
        """About when the service had it, whole."""
        return self.started if self.sent is None else self.sent


@dataclass(slots=True)
class _Burst:
    """What went out before the first refusal: as far as it is not refused too, it is what a second allows."""

    taken: int
    seconds: float
    until: float


class AdaptiveRate:
    """The rate of calls, from the refusals. `rate` is one that is known from the start, or None for no bound as yet."""

    def __init__(self, rate: float | None = None) -> None:
        self._ceiling = rate or 1.0
        self._stay = HOLD_SECONDS if rate is None else STAY_KNOWN
        self._age = 0.0
        """Seconds since the last cut, but for those in which the pace kept nobody waiting: they prove nothing."""
        self._paced = rate is not None
        self._next = 0.0
        self._kept_waiting = False
        self._calls: deque[Call] = deque(maxlen=64)
        self._taken = 0
        self._since: float | None = None
        """Of the last cut, or the first call: what was taken up is counted from here, without pauses of `_paused` seconds in all."""
        self._span = 0.0
        self._paused = 0.0
        self._resumed = -math.inf
        self._again = 0
        """Refusals before the limit was looked for again."""
        self._burst: _Burst | None = None
        self._rise = max(PROBE_SECONDS, RISE_BY_CALLS / self._ceiling)

    @property
    def rate(self) -> float | None:
        """Calls a second, now; None for no bound."""
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
        """Seconds until the next call is due."""
        pause = max(0.0, self._next - now) if self._paced else 0.0
        self._kept_waiting = self._kept_waiting or pause > 0
        return pause

    def paused(self, now: float, seconds: float) -> None:
        """Nothing was allowed to start for the last `seconds`."""
        self._paused += seconds
        self._resumed = now

    def start(self, call: Call) -> None:
        """A call starts."""
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
        """`call` was refused for rate. `pause` is what that costs in seconds, or None where the call says nothing of the rate."""
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
        """Lower the ceiling, and say for how long to stay there."""
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
        """The new ceiling, and whether it is a good one."""
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
        """Calls started a second, lately."""
        starts = [call.started for call in self._calls if call.started >= since][-16:]
        if len(starts) < 5:
            return math.inf
        return len(starts) / max(1e-3, starts[-1] - starts[0])
