"""Quotas of the pricing tiers: the size of a resource, and its rate of requests."""

from __future__ import annotations

import re
import time
from collections import deque
from dataclasses import dataclass
from email.utils import formatdate

from ._routes import Match
from ._service_fault import GatewayFault
from ._switches import Switches

__all__ = ["QUOTAS", "UNLIMITED", "Gate", "Quota"]

UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Quota:
    """A tier (Microsoft Learn, limits and quotas).

    Rates are requests per second. None means no limit.
    """

    tier: str
    projects: int = UNLIMITED
    images: int = UNLIMITED
    tags: int = UNLIMITED
    iterations: int = UNLIMITED
    requests: float | None = None
    predictions: float | None = None
    predictions_nostore: float | None = None
    trainings: float | None = None


QUOTAS = {
    # The documented rate of F0 is 10 requests a second, but users met 2, which is harder.
    "F0": Quota("F0", 2, 5_000, 50, 20, 2, 2, 2, 2),
    "S0": Quota("S0", 100, 100_000, 500, 20, 10, 10, 20, 10),
    None: Quota("S0"),
}


class _SlidingWindow:
    """A limit on the requests within any second, or within the time of one request if that is
    longer.
    """

    def __init__(self) -> None:
        self._seen: deque[float] = deque()

    def try_acquire(self, now: float, rate: float) -> bool:
        """Count a request if the rate permits it, and return whether it does."""
        window = max(1.0, 1.0 / rate)
        while self._seen and self._seen[0] <= now - window:
            self._seen.popleft()
        if len(self._seen) >= max(1, int(rate * window)):
            return False
        self._seen.append(now)
        return True


class _TokenBucket:
    """A bucket that holds the requests of one second, at least one, and refills evenly."""

    def __init__(self) -> None:
        self._full_at = 0.0

    def try_acquire(self, now: float, rate: float) -> bool:
        """Count a request if the rate permits it, and return whether it does."""
        full_at = max(now, self._full_at) + 1.0 / rate
        if full_at - now > max(1.0, 1.0 / rate) + 1e-9:
            return False
        self._full_at = full_at
        return True


class Gate:
    """Count requests and reject those above the rate, with the gateway's message.

    Training, prediction and TrainProject are counted separately.
    """

    def __init__(self, quota: Quota, calls_per_second: float | None, switches: Switches) -> None:
        self._quota = quota
        self._rate_override = calls_per_second
        self._penalty = switches.penalty
        self._retry_after = switches.retry_after
        self._counter = _TokenBucket if switches.counting == "bucket" else _SlidingWindow
        self._counters: dict[str, _TokenBucket | _SlidingWindow] = {}
        self._blocked_until: dict[str, float] = {}

    def admit(self, match: Match, now: float) -> None:
        """Count a request at `now`, in seconds of a monotonic clock.

        Raises:
            GatewayFault: 429, the rate is exceeded.
        """
        name, rate = self._counter_and_rate(match)
        if rate is None:
            return
        counter = self._counters.setdefault(name, self._counter())
        if self._blocked_until.get(name, 0.0) > now or not counter.try_acquire(now, rate):
            if self._penalty:
                self._blocked_until[name] = max(self._blocked_until.get(name, 0.0), now + 1.0)
            raise GatewayFault(
                429, _throttle_message(match, self._quota.tier), headers=self._headers()
            )

    def _headers(self) -> dict[str, str]:
        if self._retry_after == "none":
            return {}
        if self._retry_after == "seconds":
            return {"Retry-After": "1"}
        # A date has whole seconds, so this is at least one second from now.
        return {"Retry-After": formatdate(int(time.time()) + 2, usegmt=True)}

    def _counter_and_rate(self, match: Match) -> tuple[str, float | None]:
        quota = self._quota
        if match.route.api == "Prediction":
            nostore = match.route.operation.endswith("NoStore")
            return "prediction", self._rate_override or (
                quota.predictions_nostore if nostore else quota.predictions
            )
        if match.route.operation == "TrainProject":
            return "train", self._rate_override or quota.trainings
        return "training", self._rate_override or quota.requests


def _throttle_message(match: Match, tier: str) -> str:
    """Return the text of a real 429 (cognitive-services-node-sdk-samples, issue 47)."""
    api = match.route.api
    number = re.sub(r"[^0-9.]", "", str(match.version))
    text = (
        f"Requests to the {match.route.operation} Operation under Custom_Vision_{api}_{number} "
        "have exceeded rate limit of your "
        f"current Custom_Vision.{api} {tier} pricing tier. Please retry after 1 second."
    )
    return text + (" To increase your rate limit switch to a paid tier." if tier == "F0" else "")
