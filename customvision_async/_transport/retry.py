"""Decide whether to retry a request, and after how long.

A request that certainly had no effect (no connection, or a 429) may always be retried. A request
that may have had an effect is only retried if it is repeatable. Waits grow exponentially with full
jitter, so that clients do not retry in step. They are never shorter than the service asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random

from .._options import Retry
from .._statuses import meaning_of
from ..errors import ConnectError, RequestTimeout, TransportError
from .base import Request, Response

__all__ = [
    "CertificateError",
    "RetryBudget",
    "RetryPolicy",
    "may_have_effect_of",
    "never_sent",
    "parse_retry_after",
]

SLOW_BODY_ATTEMPTS = 2
"""Maximum attempts after a 408, which means that the body took too long. After the second one a
batch sends smaller bodies."""

UNMET_ATTEMPTS = 3
"""Maximum attempts for an endpoint that never responded, which is usually a typing error. An
endpoint that responded before may come back."""


class CertificateError(ConnectError):
    """The certificate of the host is not trusted. Retries are pointless."""


_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_SENTENCE = re.compile(rb"retry after ([0-9]{1,6}) (second|minute)", re.IGNORECASE)


def parse_retry_after(headers: Mapping[str, str], body: bytes, now: float) -> float | None:
    """Return the wait that a response asks for, in seconds, or None.

    The sources are, in this order: ``retry-after-ms``, ``x-ms-retry-after-ms``, ``Retry-After`` in
    seconds or as a date, and a sentence in the body such as "Please retry after 1 second."
    Values that are not plain numbers ("inf", "1e9", "-5", "5, 6") are ignored.

    Args:
        headers: Headers with names in lower case.
        body: Body of the response.
        now: Seconds since 1970, to interpret dates.
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


def may_have_effect_of(outcome: Response | TransportError) -> bool:
    """Return whether the service may have carried out the request."""
    if isinstance(outcome, Response):
        return meaning_of(outcome.status).may_have_effect
    return not never_sent(outcome)


def never_sent(outcome: Response | TransportError) -> bool:
    """Return whether nothing was sent to the service, so that another attempt is safe."""
    return isinstance(outcome, ConnectError) or (
        isinstance(outcome, RequestTimeout) and not outcome.sent
    )


class RetryBudget:
    """Limit retries to a share of a client's requests, to avoid flooding a failing service.

    Each request adds `share`, and each retry takes 1. The budget starts at `floor` and is capped at
    500, as in botocore.
    """

    MAX = 500.0

    def __init__(self, share: float, floor: int) -> None:
        self._share = share
        self._left = float(floor)
        self._max = max(self.MAX, float(floor))

    def request(self) -> None:
        """Count the first attempt of a request."""
        self._left = min(self._max, self._left + self._share)

    def retry(self) -> bool:
        """Take one retry from the budget. Return False if it is empty."""
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


class RetryPolicy:
    """Decide about retries. `random` is the source of jitter, so that runs are reproducible."""

    def __init__(self, options: Retry, random: Random) -> None:
        self._options = options
        self._random = random

    @property
    def deadline(self) -> float:
        """Seconds after the first attempt within which another may start."""
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
        reachable: bool = True,
    ) -> float | None:
        """Return the seconds to wait before a retry, or None if `outcome` is final.

        Args:
            request: The request.
            outcome: Response or error of the last attempt.
            attempts: Attempts so far that were not throttled.
            refusals: Attempts so far that were throttled.
            elapsed: Seconds since the first attempt.
            now: Seconds since 1970.
            reachable: The endpoint has responded before, to this or another request.
        """
        options = self._options
        asked: float | None = None
        if isinstance(outcome, Response):
            if not meaning_of(outcome.status).retried:
                return None
            asked = self.asked(outcome, now)
        if isinstance(outcome, Response) and outcome.status == 429:
            wait = self._jitter(options.throttle_backoff, refusals) if asked is None else asked
        else:
            if attempts >= self._max_attempts(request, outcome, reachable) or (
                may_have_effect_of(outcome) and not request.repeatable
            ):
                return None
            wait = max(self._jitter(options.initial_backoff, attempts), asked or 0.0)
        return wait if elapsed + wait <= options.deadline else None

    def asked(self, response: Response, now: float) -> float | None:
        """Return the wait that `response` asks for, capped at `max_retry_after`, or None."""
        asked = parse_retry_after(response.headers, response.body, now)
        return None if asked is None else min(asked, self._options.max_retry_after)

    def _max_attempts(
        self, request: Request, outcome: Response | TransportError, reachable: bool
    ) -> int:
        if isinstance(outcome, CertificateError):
            return 1
        if isinstance(outcome, Response) and outcome.status == 408 and request.content is not None:
            return min(SLOW_BODY_ATTEMPTS, self._options.max_attempts)
        if never_sent(outcome):
            # A network that worked before will come back. Only the deadline ends the retries.
            return 1_000_000 if reachable else min(UNMET_ATTEMPTS, self._options.max_attempts)
        return self._options.max_attempts

    def _jitter(self, scale: float, failures: int) -> float:
        """Return a random wait of up to ``scale * 2**failures``, capped at `max_backoff`."""
        return self._random.uniform(
            0.0, min(self._options.max_backoff, scale * 2.0 ** min(failures, 30))
        )
