"""How fast to go, learnt from what comes back. No clock and no waiting in here: time is passed in, in seconds.

Three bounds hold at once. *Upload slots*: few bodies on the link together. *In flight*: grows by one with each answer
until Little's law says that more would only queue (1.5 x throughput x the service's own time + 5). *Pace*: nothing
until the first 429; from then on calls start evenly, at a rate that follows CUBIC: cut to a little under what was
taken up, quickly back to near it, long there, then up in search of more.

What was taken up is measured between two refusals: a quota's bucket is empty at both, so what went through between
is its rate, burst or not. What a refusal costs sets how often another is risked: where a service refuses every call
until its Retry-After is over, the search is rarer.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from .._options import Concurrency

__all__ = ["Call", "Controller"]

CUT = 0.9
"""Of the rate that was taken up, where to go on after a refusal."""
CUT_MOST = 0.95
"""One cut takes away no more than down to this share of the rate: with a small bucket, chance alone refuses a call now and then."""
CUT_MOST_COSTLY = 0.5
"""The same where a refusal stops everything."""
CUT_SEARCHING = 0.97
"""The same for a refusal in the search beyond the last ceiling, which is slow: the limit is just here."""
PLATEAU = 6.0
"""Seconds from a cut back to the rate before it."""
PLATEAU_BY_COST = 15.0
"""The same, as a multiple of the time for which a refusal stops everything."""
SLOWEST = 0.05
"""Calls a second, at the least: a controller that stops cannot learn."""
LATE = 0.02
"""Seconds by which a timer may be late without the next call waiting for it; more would put three calls where two belong."""
LOST = 0.7
"""Of the calls in flight, how many may go on after one that got no answer."""
LITTLE = 2.0
SPARE = 8.0
WINDOW = 24
"""Answers from which one mean of the service's time is taken (the first time a third of it, before much can queue)."""
VERDICT = 3
"""Calls refused in a row, all sent while a Retry-After was running, from which a service that refuses every call is known."""


@dataclass(slots=True, eq=False)
class Call:
    """One admitted call."""

    upload: bool
    started: float
    sent: float | None = None
    """When the body was out."""
    open: bool = True


class _ServiceTime:
    """The service's own time for a call, from the end of the body: the least mean of the last windows."""

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


class _Verdict:
    """Whether the service refuses every call until a Retry-After is over: decided by calls that are sent meanwhile.

    Where it does, sending stops for the rest of it; now and then, ever more rarely, one call half way through such a
    pause asks whether it still does.
    """

    def __init__(self, always: bool) -> None:
        self._always = always
        self._every = False
        self._some = False
        self._refused = 0
        self._began = -math.inf
        self._until = -math.inf
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

    def refused(self, now: float, started: float, retry_after: float) -> bool:
        """A call that began at `started` was refused. Whether that says anything of the rate: not while others are running out."""
        meanwhile = self._began < started < self._until
        if meanwhile and not self._some:
            if self._every:
                self._rest = min(2 * self._rest + 1, 31)
                self._rests = self._rest
            self._refused += 1
            self._every = self._every or self._refused >= VERDICT
            self._until = max(self._until, now + retry_after)
            return False
        if started > self._began:
            self._began, self._refused, self._asked = now, 0, self._rests > 0
            self._rests = max(0, self._rests - 1)
        self._until = max(self._until, now + retry_after)
        return True

    def accepted(self, started: float) -> None:
        if self._began < started < self._until:
            self._every, self._some, self._refused, self._rest, self._rests = False, True, 0, 0, 0


class _Pace:
    """The paced rate: None until the first refusal (or a rate is given)."""

    def __init__(self, rate: float | None) -> None:
        self._ceiling = rate or 0.0
        self._cut = 1.0
        self._plateau = PLATEAU
        self._age = PLATEAU
        self.paced = rate is not None
        self._next = 0.0

    @property
    def searching(self) -> bool:
        """Beyond the last ceiling, slowly."""
        return self._age > self._plateau

    @property
    def rate(self) -> float:
        """Calls a second, now."""
        return max(SLOWEST, self._ceiling * (1.0 + (1.0 - CUT) * ((self._age / self._plateau) - 1.0) ** 3))

    def wait(self, now: float) -> float:
        return max(0.0, self._next - now) if self.paced else 0.0

    def start(self, now: float, *, bound: bool, since: float) -> None:
        """A call starts; `bound` says that the pace had kept one waiting since `since`."""
        if self.paced:
            if bound:
                self._age += min(since, 2.0 / self.rate)
            interval = 1.0 / self.rate
            self._next = max(self._next, now - min(interval / 8.0, LATE)) + interval

    def cut(self, ceiling: float, plateau: float) -> None:
        self._ceiling = max(SLOWEST, ceiling)
        self._plateau = plateau
        self._age = 0.0
        self.paced = True


class Controller:
    """Admission by what was learnt. Tell it of each call: started, body sent, then accepted, refused or lost."""

    def __init__(self, options: Concurrency | None = None) -> None:
        options = options or Concurrency()
        self.requests = options.requests
        self.uploads = options.uploads
        self._limit = float(min(options.start, options.requests))
        self.in_flight = 0
        self.uploading = 0
        self._pace = _Pace(options.rate)
        self._pace_bound = False
        self._flight_bound = False
        self._last_start = -math.inf
        self._service = _ServiceTime()
        self._answers: deque[float] = deque(maxlen=32)
        self._verdict = _Verdict(options.on_refusal == "all")
        self._cut_at = -math.inf
        self._lost_at = -math.inf
        self._empty_at: float | None = None
        self._taken = self._starts = 0
        self._paused = 0.0
        self._paused_since: float | None = None
        self._began: float | None = None

    def restrain(self, options: Concurrency) -> None:
        """Another client joins: the lower caps hold, and a rate that it knows is better than none."""
        self.requests = min(self.requests, options.requests)
        self.uploads = min(self.uploads, options.uploads)
        if options.rate is not None and not self._pace.paced:
            self._pace = _Pace(options.rate)

    @property
    def rate(self) -> float | None:
        """The pace in calls a second; None while there is none."""
        return self._pace.rate if self._pace.paced else None

    @property
    def limit(self) -> int:
        """Calls in flight at the most, now."""
        limit = self._limit
        base = self._service.base
        if base is not None and len(self._answers) > 8:
            throughput = (len(self._answers) - 1) / max(1e-3, self._answers[-1] - self._answers[0])
            limit = min(limit, LITTLE * throughput * base + SPARE)
        return max(1, min(self.requests, int(limit)))

    def wait(self, now: float, *, upload: bool) -> float:
        """Seconds until a call that stands ready may start: 0 for now, infinity for when another ends or its body is out."""
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
        pause = self._pace.wait(now)
        if pause > 0:
            self._pace_bound = True
        return pause

    def start(self, now: float, *, upload: bool) -> Call:
        """A call starts."""
        self._pace.start(now, bound=self._pace_bound, since=now - self._last_start)
        self._pace_bound = False
        self._verdict.started(now)
        if self._paused_since is not None:
            self._paused += now - self._paused_since
            self._paused_since = None
        self._last_start = now
        if self._began is None:
            self._began = now
        self.in_flight += 1
        self.uploading += upload
        self._taken += 1
        self._starts += 1
        return Call(upload, now)

    def body_sent(self, now: float, call: Call) -> None:
        """The body of `call` is out: its upload slot is free."""
        if call.open and call.sent is None:
            call.sent = now
            self.uploading -= call.upload

    def accepted(self, now: float, call: Call) -> None:
        """`call` was answered, and not refused for rate."""
        if not self._close(now, call):
            return
        if call.sent is not None:
            self._service.add(now - call.sent)
        self._answers.append(now)
        self._verdict.accepted(call.started)
        if self._flight_bound:
            self._limit = min(self.requests, self._limit + 1.0)
            self._flight_bound = False

    def lost(self, now: float, call: Call) -> None:
        """`call` has no good answer: the service may be at its end."""
        if self._close(now, call) and call.started > self._lost_at:  # calls that were out together are one piece of news
            self._limit = max(1.0, self._limit * LOST)
            self._lost_at = now

    def abandoned(self, now: float, call: Call) -> None:
        """`call` was given up by its caller: that teaches nothing."""
        self._close(now, call)

    def refused(self, now: float, call: Call, retry_after: float | None) -> None:
        """`call` was answered 429."""
        if not self._close(now, call):
            return
        self._taken -= 1
        telling = self._verdict.refused(now, call.started, retry_after or 0.0)
        if telling and call.started > self._cut_at:  # else it was on its way when the last one was refused
            self._cut(now, retry_after or 0.0)

    def _cut(self, now: float, retry_after: float) -> None:
        rate = self._pace.rate if self._pace.paced else math.inf
        cost = retry_after if self._verdict.every else 0.0
        plateau = PLATEAU_BY_COST * cost
        if self._empty_at is None:  # the bucket's burst is in what was taken; quotas are counted by the second
            ceiling = min(0.8 * rate, max(1, self._taken) / max(1.0, now - (self._began or now)))
        else:
            elapsed = max(1e-3, now - self._empty_at)
            going = max(0.05 * elapsed, elapsed - self._paused)  # a bucket fills during a pause, but for what runs over
            rate = min(rate, 1.2 * (self._starts + 1) / going)  # the link may have been slower than the pace
            taken = self._taken + 0.5
            most = CUT_SEARCHING if self._pace.searching else CUT_MOST_COSTLY if cost else CUT_MOST
            ceiling = min(rate, max(taken / math.sqrt(elapsed * going), most * rate))
            plateau = min(plateau, 2.0 * elapsed)
        self._pace.cut(ceiling, max(PLATEAU, plateau))
        self._cut_at = self._empty_at = now
        self._paused = 0.0
        self._taken = self._starts = 0

    def _close(self, now: float, call: Call) -> bool:
        if not call.open:
            return False
        call.open = False
        self.in_flight -= 1
        if call.sent is None:
            self.uploading -= call.upload
        return True
