"""Run the controller against a simulated service: ``python -m benchmarks.controller [--seed N]``.

The service is a token bucket that responds 429, a link shared by the uploads, a think time with a
long tail and, at times, a fixed number of workers with a silent queue or another client that takes
most of the quota. Scenarios are drawn from the seed. The oracle is a client that knows the bucket
and never exceeds it. The real :class:`Controller` runs unchanged, in virtual time.
"""

from __future__ import annotations

import argparse
import heapq
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median
from typing import Any

from customvision_async._options import Concurrency
from customvision_async._transport.controller import Call, Controller

ROUND_TRIP = 0.02
"""Seconds until a refusal arrives."""


@dataclass(frozen=True)
class Scenario:
    """A service and a link. Times are in seconds, sizes in bytes."""

    rate: float = 10.0
    burst: float = 10.0
    think: float = 0.5
    spread: float = 0.4
    link: float = 125e6
    size: float = 1e6
    workers: int | None = None
    retry_after: float | None = 1.0
    strict: bool = False
    """Every request is refused until a Retry-After has passed."""
    extends: bool = False
    """Each request refused meanwhile restarts the Retry-After."""
    window: bool = False
    """Instead of a bucket: at most `rate` requests within any second."""
    early: bool = False
    rival: tuple[float, float, float] | None = None
    """Start, end and share of the rate of another client."""
    seconds: float = 300.0
    calls: int | None = None
    """Requests of the job, or None for as many as time allows."""


@dataclass
class Outcome:
    """The outcome of a run."""

    accepted: int = 0
    refused: int = 0
    ended: float = 0.0
    rates: list[float] = field(default_factory=list[float])

    @property
    def wasted(self) -> float:
        """Refused requests, as a share of the accepted ones."""
        return self.refused / max(1, self.accepted)


class Oracle:
    """Knows the bucket: no request starts without a token. Has the interface of a controller."""

    def __init__(self, service: _Service, options: Concurrency) -> None:
        self._service = service
        self._options = options
        self._in_flight = 0
        self._uploading = 0

    def wait(self, now: float, *, upload: bool) -> float:
        """Return the seconds until there is a token, an upload slot and a request slot."""
        if (
            self._in_flight >= self._options.max_requests
            or self._uploading >= self._options.max_uploads
        ):
            return math.inf
        return self._service.until_token(now)

    def start(self, now: float, *, upload: bool) -> Call:
        """Take the token at once."""
        self._service.take(now)
        self._in_flight += 1
        self._uploading += 1
        return Call(upload, now)

    def body_sent(self, now: float, call: Call) -> None:
        """Free the upload slot."""
        call.sent = now
        self._uploading -= 1

    def accepted(self, now: float, call: Call) -> None:
        """Free the request slot."""
        self._in_flight -= 1

    def refused(self, now: float, call: Call, retry_after: float | None) -> None:
        """Never called."""
        raise AssertionError


class _Service:
    """The quota."""

    def __init__(self, scenario: Scenario) -> None:
        self._s = scenario
        self._tokens = scenario.burst
        self._at = 0.0
        self.blocked = 0.0
        self._seen: deque[float] = deque()
        self._second = max(1.0, 1.0 / scenario.rate)

    def _refill(self, now: float) -> None:
        self._tokens = min(self._s.burst, self._tokens + (now - self._at) * self._s.rate)
        self._at = now

    def until_token(self, now: float) -> float:
        """Return the seconds until a request would be accepted."""
        if self._s.window:
            while self._seen and self._seen[0] <= now - self._second:
                self._seen.popleft()
            full = len(self._seen) >= max(1, int(self._s.rate * self._second))
            return self._seen[0] + self._second - now + 1e-9 if full else 0.0
        self._refill(now)
        return 0.0 if self._tokens >= 1 - 1e-9 else (1 - self._tokens) / self._s.rate + 1e-9

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        if self.until_token(now) > 0:
            return False
        self._tokens -= 1
        self._seen.append(now)
        return True

    def admits(self, now: float) -> tuple[bool, float | None]:
        """Return whether a request is accepted, and its Retry-After if not."""
        wait = self._s.retry_after
        if self._s.strict and now < self.blocked:
            if self._s.extends:
                self.blocked = now + (wait or 0.0)
            return False, self.blocked - now
        if self.take(now):
            return True, None
        self.blocked = now + (wait or 0.0)
        return False, wait


class _Link:
    """Bandwidth in bytes per second, shared evenly by the bodies on it."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._served = 0.0
        self._at = 0.0
        self._bodies: list[tuple[float, int, Call]] = []
        self._count = 0

    def _advance(self, now: float) -> None:
        if self._bodies:
            self._served += (now - self._at) * self._speed / len(self._bodies)
        self._at = now

    def add(self, now: float, size: float, call: Call) -> None:
        self._advance(now)
        self._count += 1
        heapq.heappush(self._bodies, (self._served + size, self._count, call))

    def next_end(self, now: float) -> float:
        if not self._bodies:
            return math.inf
        self._advance(now)
        return now + max(0.0, self._bodies[0][0] - self._served) * len(self._bodies) / self._speed

    def ended(self, now: float) -> Iterator[Call]:
        self._advance(now)
        while self._bodies and self._bodies[0][0] <= self._served + 1e-6 * self._speed:
            yield heapq.heappop(self._bodies)[2]


class Simulation:
    """One run of a controller in a scenario."""

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        options: Concurrency | None = None,
        *,
        oracle: bool = False,
    ) -> None:
        self._s = scenario
        self._random = Random(f"{seed}")
        self._service = _Service(scenario)
        self._link = _Link(scenario.link)
        options = options or Concurrency()
        self.controller = Oracle(self._service, options) if oracle else Controller(options)
        self._oracle = oracle
        self._events: list[tuple[float, int, str, Call | None, float | None]] = []
        self._count = 0
        self._workers = [0.0] * (scenario.workers or 0)
        self._left = math.inf if scenario.calls is None else scenario.calls
        self.outcome = Outcome()

    def _at(
        self, when: float, what: str, call: Call | None = None, value: float | None = None
    ) -> None:
        self._count += 1
        heapq.heappush(self._events, (when, self._count, what, call, value))

    def run(self) -> Outcome:
        """Run until the time is over or the job is done."""
        now = 0.0
        if self._s.rival is not None:
            self._at(self._s.rival[0], "rival")
        wake = 0.0
        while now <= self._s.seconds and (
            self._s.calls is None or self.outcome.accepted < self._s.calls
        ):
            wake = self._start(now)
            body = self._link.next_end(now)
            event = self._events[0][0] if self._events else math.inf
            now = min(wake, body, event)
            if now > self._s.seconds:
                break
            if body <= now:
                for call in list(self._link.ended(now)):
                    self._arrive(now, call)
            while self._events and self._events[0][0] <= now:
                self._handle(now, *heapq.heappop(self._events)[2:])
        self.outcome.ended = now
        return self.outcome

    def _start(self, now: float) -> float:
        while self._left > 0:
            wait = self.controller.wait(now, upload=True)
            if wait > 0:
                return now + wait
            call = self.controller.start(now, upload=True)
            self._left -= 1
            if self._s.early and not self._oracle:
                admitted, retry_after = self._service.admits(now)
                if not admitted:
                    self._at(now + ROUND_TRIP, "refused", call, retry_after)
                    continue
            self._link.add(now, self._s.size, call)
        return math.inf

    def _arrive(self, now: float, call: Call) -> None:
        self.controller.body_sent(now, call)
        if not self._oracle and not self._s.early:
            admitted, retry_after = self._service.admits(now)
            if not admitted:
                self._at(now + ROUND_TRIP, "refused", call, retry_after)
                return
        think = self._s.think * math.exp(self._random.gauss(0.0, self._s.spread))
        begins = now
        if self._workers:
            begins = max(now, heapq.heappop(self._workers))
            heapq.heappush(self._workers, begins + think)
        self._at(begins + think + ROUND_TRIP, "accepted", call)

    def _handle(self, now: float, what: str, call: Call | None, value: float | None) -> None:
        if what == "rival":
            assert self._s.rival is not None
            _, until, share = self._s.rival
            self._service.take(now)
            if now < until:
                self._at(now + 1 / (share * self._s.rate), "rival")
        elif call is None:
            self._left += 1
        elif what == "accepted":
            self.controller.accepted(now, call)
            self.outcome.accepted += 1
        else:
            self.controller.refused(now, call, value)
            self.outcome.refused += 1
            self._at(now + (value or 0.0), "again")


def draw(random: Random) -> Scenario:
    """Draw a scenario.

    Rates, times and sizes are log-uniform over the range that users of the service may meet.
    """

    def between(low: float, high: float) -> float:
        return math.exp(random.uniform(math.log(low), math.log(high)))

    limited = random.random() < 0.8
    rate = between(1.5, 30.0) if limited else 10_000.0
    rival = None
    if limited and random.random() < 0.25:
        begin = random.uniform(60, 150)
        rival = (begin, begin + 100, random.uniform(0.3, 0.7))
    return Scenario(
        rate=rate,
        burst=max(1.0, rate * between(0.2, 3.0)),
        think=between(0.05, 5.0),
        spread=random.uniform(0.1, 0.8),
        link=between(1.25e6, 125e6),
        size=between(3e5, 16e6),
        workers=random.choice([None, None, None, 4, 8, 16, 32]),
        retry_after=random.choice([None, 1.0, random.uniform(0.5, 5.0), random.uniform(0.5, 5.0)]),
        early=random.random() < 0.4,
        rival=rival,
    )


NAMED = {
    "think 100 ms, 10 calls/s": Scenario(think=0.1, size=5e4, seconds=600),
    "think 2 s, 10 calls/s": Scenario(think=2.0, size=5e4, seconds=600),
    "F0: 2 calls/s": Scenario(rate=2.0, burst=2.0, size=5e4, seconds=600),
    "another takes 60 % for a third": Scenario(size=5e4, rival=(200.0, 400.0, 0.6), seconds=600),
}

KINDS: dict[str, dict[str, Any]] = {
    "bucket": {},
    "bucket, strict": {"strict": True},
    "window": {"window": True},
    "window, strict": {"window": True, "strict": True},
    "window, strict, extended": {"window": True, "strict": True, "extends": True},
}
"""Ways to count and refuse requests. It is not known which the service uses."""


def share_of_oracle(
    scenario: Scenario, seed: int, options: Concurrency | None = None
) -> tuple[float, float]:
    """Return the work done and the wasted requests, as shares of those of the oracle.

    For a job, the work is the time of the oracle by that of the controller.
    """
    ours = Simulation(scenario, seed, options).run()
    best = Simulation(scenario, seed, options, oracle=True).run()
    if scenario.calls is not None:
        return best.ended / ours.ended, ours.wasted
    return ours.accepted / max(1, best.accepted), ours.wasted


def ideal(scenario: Scenario) -> float:
    """Return the total requests that the quota allows, without its burst."""
    taken = (
        0.0
        if scenario.rival is None
        else (scenario.rival[1] - scenario.rival[0]) * scenario.rival[2]
    )
    return scenario.rate * (scenario.seconds - taken)


def quantile(values: list[float], share: float) -> float:
    """Return the value below which a `share` of `values` lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def campaign(
    seed: int,
    count: int,
    *,
    strict: bool,
    calls: int | None = None,
    options: Concurrency | None = None,
) -> list[tuple[float, float, Scenario]]:
    """Run `count` scenarios of `seed`."""
    random = Random(seed)
    rows: list[tuple[float, float, Scenario]] = []
    for number in range(count):
        scenario = replace(draw(random), strict=strict, calls=calls)
        if strict and scenario.retry_after is None:
            scenario = replace(scenario, retry_after=1.0)
        rows.append((*share_of_oracle(scenario, number, options), scenario))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description="The rate controller in simulation, against an oracle."
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument(
        "--worst", action="store_true", help="show the five worst scenarios of each run"
    )
    arguments = parser.parse_args()
    print(
        f"{arguments.count} scenarios of seed {arguments.seed}, share of the oracle: median / "
        "p10 / least; wasted calls: median / p90"
    )
    for calls, of in ((None, "300 s"), (32, "32 calls")):
        for strict in (False, True):
            rows = campaign(arguments.seed, arguments.count, strict=strict, calls=calls)
            shares, wasted = [row[0] for row in rows], [row[1] for row in rows]
            how = "every call refused until Retry-After" if strict else "refusals one by one"
            name = f"{of}, {how}"
            print(
                f"  {name:52s} {median(shares):.2f} / {quantile(shares, 0.1):.2f} / "
                f"{min(shares):.2f}"
                f"   {median(wasted):6.1%} / {quantile(wasted, 0.9):6.1%}"
            )
            if arguments.worst:
                for share, waste, scenario in sorted(rows, key=lambda row: row[0])[:5]:
                    print(f"      {share:.2f} {waste:.0%} {scenario}")
    print("share of the ideal rate; answered 429")
    for name, scenario in NAMED.items():
        for kind, changes in KINDS.items():
            runs = [Simulation(replace(scenario, **changes), number).run() for number in range(10)]
            got = median(run.accepted for run in runs) / ideal(scenario)
            refused = median(run.refused / (run.refused + run.accepted) for run in runs)
            print(f"  {name + ', ' + kind:52s} {got:.3f}   {refused:.1%}")


if __name__ == "__main__":
    main()
