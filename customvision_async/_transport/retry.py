"""Whether to send a request again, and after how long: pure decisions, to which the pipeline adds the sleeping.

What is certain not to have been taken up (no connection, a 429) may always be sent again; what may have taken effect
only where the request is repeatable. Waits are exponential with full jitter, so that clients which failed together
do not come back together, and never shorter than what the service asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random

from .._options import Retry
from ..errors import ConnectError, RequestTimeout, TransportError
from .base import Request, Response

__all__ = [
    "RETRIED_STATUSES",
    "CertificateError",
    "RetryBudget",
    "RetryPolicy",
    "maybe_taken_up",
    "never_sent",
    "parse_retry_after",
]

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
"""Answers that another try may change. Every other 4xx says that the request itself is wrong."""

SLOW_BODY_ATTEMPTS = 2
"""A 408 says that the body took too long: once may be the link, twice is the body, and whoever made it can make a smaller one."""

UNMET_ATTEMPTS = 3
"""An endpoint that cannot be reached and never answered is most often a typing error; one that answered before comes back."""


class CertificateError(ConnectError):
    """The host's certificate is not trusted. Trying again cannot help."""


_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SENTENCE = re.compile(rb"retry after ([0-9]{1,6}) (second|minute)", re.IGNORECASE)


def parse_retry_after(headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """The wait that an answer asks for, in seconds (0 or more), or None if it asks for none that can be read.

    `headers` has its names in lower case; `now` is seconds since 1970, for the form that is a date. Read in turn:
    ``retry-after-ms``, ``x-ms-retry-after-ms``, ``Retry-After`` as seconds or date, and the service's sentence
    "Please retry after 1 second." A value that is not a plain number ("inf", "1e9", "-5", "5, 6") is no value.
    """
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        text = headers.get(name, "").strip()
        if _SECONDS.fullmatch(text):
            return float(text) / 1000
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if text:
        try:
            date = parsedate_to_datetime(text)
            return max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now)
        except (ValueError, IndexError, OverflowError, TypeError):
            pass
    sentence = _SENTENCE.search(body, 0, 4096)
    if sentence is None:
        return None
    return float(sentence[1]) * (60 if sentence[2].lower() == b"minute" else 1)


def maybe_taken_up(outcome: Response | TransportError) -> bool:
    """Whether the service may have done what was asked although it did not say so."""
    if isinstance(outcome, Response):
        return outcome.status == 408 or outcome.status >= 500
    return not never_sent(outcome)


def never_sent(outcome: Response | TransportError) -> bool:
    """Whether nothing reached the service, so that sending again is safe and costs it nothing."""
    return isinstance(outcome, ConnectError) or (
        isinstance(outcome, RequestTimeout) and not outcome.sent
    )


class RetryBudget:
    """Retries as a share of the requests of one client: a service that is down is not also flooded.

    Each first attempt puts in `share`, each retry takes out 1, and there are `floor` to start with. What has gathered
    is cut at 500 (botocore's figure): good years do not pay for a storm.
    """

    MOST = 500.0

    def __init__(self, share: float, floor: int) -> None:
        self._share = share
        self._left = float(floor)
        self._most = max(self.MOST, float(floor))

    def request(self) -> None:
        """A first attempt."""
        self._left = min(self._most, self._left + self._share)

    def retry(self) -> bool:
        """Take one retry; False where none is left."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class RetryPolicy:
    """The decision. `random` is injected, so that a run can be repeated."""

    def __init__(self, options: Retry, random: Random) -> None:
        self._options = options
        self._random = random

    @property
    def deadline(self) -> float:
        """Seconds after the first send within which another one may start."""
        return self._options.deadline

    def decide(
        self,
        request: Request,
        outcome: Response | TransportError,
        *,
        attempts: int,
        refusals: int,
        elapsed: float,
        now: float,
        met: bool = True,
    ) -> float | None:
        """Seconds to wait before `request` is sent again, or None if `outcome` is to be taken as final.

        `attempts` counts the sends so far that were not refused for rate, `refusals` those that were, this one
        included; `elapsed` is seconds since the first; `now` is seconds since 1970; `met` says that the endpoint has answered
        before, this request or another.
        """
        options = self._options
        asked: float | None = None
        if isinstance(outcome, Response):
            if outcome.status not in RETRIED_STATUSES:
                return None
            asked = self.asked(outcome, now)
        if isinstance(outcome, Response) and outcome.status == 429:
            wait = self._jitter(options.throttle_backoff, refusals) if asked is None else asked
        else:
            if attempts >= self._most_attempts(request, outcome, met) or (
                maybe_taken_up(outcome) and not request.repeatable
            ):
                return None
            wait = max(self._jitter(options.initial_backoff, attempts), asked or 0.0)
        return wait if elapsed + wait <= options.deadline else None

    def asked(self, response: Response, now: float) -> float | None:
        """The wait that `response` asks for, cut to what is obeyed; None if it asks for none that can be read."""
        asked = parse_retry_after(response.headers, response.body, now)
        return None if asked is None else min(asked, self._options.max_retry_after)

    def _most_attempts(
        self, request: Request, outcome: Response | TransportError, met: bool
    ) -> int:
        if isinstance(outcome, CertificateError):
            return 1
        if isinstance(outcome, Response) and outcome.status == 408 and request.content is not None:
            return min(SLOW_BODY_ATTEMPTS, self._options.max_attempts)
        if never_sent(
            outcome
        ):  # a network that was there comes back: the deadline alone ends the waiting
            return 1_000_000 if met else min(UNMET_ATTEMPTS, self._options.max_attempts)
        return self._options.max_attempts

    def _jitter(self, scale: float, failures: int) -> float:
        """Uniform over 0 to scale x 2**failures, never more than `most`."""
        return self._random.uniform(
            0.0, min(self._options.max_backoff, scale * 2.0 ** min(failures, 30))
        )
