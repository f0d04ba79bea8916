"""Quotas of the pricing tiers: what a resource may hold, and how many calls a second it takes."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from ._refusals import GatewayRefusal
from ._routes import Match

__all__ = ["QUOTAS", "UNLIMITED", "Gate", "Quota"]

UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class Quota:
    """A tier (Microsoft Learn, limits and quotas). Rates are calls a second; None is no limit."""

    tier: str
    projects: int = UNLIMITED
    images: int = UNLIMITED
    tags: int = UNLIMITED
    iterations: int = UNLIMITED
    calls: float | None = None
    predictions: float | None = None
    predictions_nostore: float | None = None
    trainings: float | None = None


QUOTAS = {
    # The table says 10 calls a second for F0 too, but users of it met 2: the harder of the two is the default.
    "F0": Quota("F0", 2, 5_000, 50, 20, 2, 2, 2, 2),
    "S0": Quota("S0", 100, 100_000, 500, 20, 10, 10, 20, 10),
    None: Quota("S0"),
}


class Gate:
    """Counts calls over the last second and refuses those above the rate, in the gateway's words.

    Training, prediction and TrainProject have counts of their own.
    """

    def __init__(self, quota: Quota, calls_per_second: float | None, penalty: bool) -> None:
        self._quota = quota
        self._given = calls_per_second
        self._penalty = penalty
        self._seen: dict[str, deque[float]] = {}
        self._shut_until: dict[str, float] = {}

    def admit(self, match: Match, now: float) -> None:
        """Count a call at `now` (seconds of a monotonic clock). Raises GatewayRefusal 429 where the rate is passed."""
        lane, rate = self._lane(match)
        if rate is None:
            return
        seen = self._seen.setdefault(lane, deque())
        window = max(1.0, 1.0 / rate)
        while seen and seen[0] <= now - window:
            seen.popleft()
        if self._shut_until.get(lane, 0.0) > now or len(seen) >= max(1, int(rate * window)):
            if self._penalty:
                self._shut_until[lane] = max(self._shut_until.get(lane, 0.0), now + 1.0)
            raise GatewayRefusal(429, _words(match, self._quota.tier), headers={"Retry-After": "1"})
        seen.append(now)

    def _lane(self, match: Match) -> tuple[str, float | None]:
        quota = self._quota
        if match.route.api == "Prediction":
            nostore = match.route.operation.endswith("NoStore")
            return "prediction", self._given or (quota.predictions_nostore if nostore else quota.predictions)
        if match.route.operation == "TrainProject":
            return "train", self._given or quota.trainings
        return "training", self._given or quota.calls


def _words(match: Match, tier: str) -> str:
    """The text of a real 429 (cognitive-services-node-sdk-samples, issue 47)."""
    api = match.route.api
    number = re.sub(r"[^0-9.]", "", str(match.version))
    text = (
        f"Requests to the {match.route.operation} Operation under Custom_Vision_{api}_{number} have exceeded rate limit of your "
        f"current Custom_Vision.{api} {tier} pricing tier. Please retry after 1 second."
    )
    return text + (" To increase your rate limit switch to a paid tier." if tier == "F0" else "")
