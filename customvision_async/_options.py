"""Client options: retries, timeouts and concurrency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from . import limits

__all__ = ["Concurrency", "Retry", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Retry:
    """When to retry a request, and how long to wait before. Times are in seconds.

    Args:
        max_attempts: Maximum attempts of one request, including the first (8: survives a short
            outage, and reports a long one soon). Two kinds of failure do not count, because the
            service did not process the request: a 429, and a failed connection to an endpoint that
            has responded before. `deadline` limits both.
        deadline: Start no attempt later than this after the first (300: a quota recovers in less).
        initial_backoff: Scale of the wait after a failure (0.25). The wait after the n-th failure
            is random between 0 and ``initial_backoff * 2**n``. This is full jitter: requests that
            failed together are not retried together.
        throttle_backoff: The same after a 429 without Retry-After (1.0: quotas are per second).
        max_backoff: Maximum computed wait (30: a recovered service is soon used again).
        max_retry_after: Maximum Retry-After to respect (120). A longer one is cut to this value, so
            that a wrong header does not stop a run for an hour.
        retry_ratio: Maximum number of retries per request of the client (0.2: retries must not
            overload a service that is down).
        min_retries: Retries allowed regardless of `retry_ratio` (64: one for each request in
            flight, because a broken link fails them all).
    """

    max_attempts: int = 8
    deadline: float = 300.0
    initial_backoff: float = 0.25
    throttle_backoff: float = 1.0
    max_backoff: float = 30.0
    max_retry_after: float = 120.0
    retry_ratio: float = 0.2
    min_retries: int = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of the phases of a request, in seconds.

    There is no total timeout, because a large batch over a slow link may take minutes.

    Args:
        connect: Time to connect and finish the TLS handshake (15: a reachable host needs less).
        write: Time to send one 128 KiB part of the body (60: allows a link of 17 kbit/s).
        read: Time from the end of the body to the first byte of the response, and between two reads
            of it (180: a full batch takes seconds, not minutes).
    """

    connect: float = 15.0
    write: float = 60.0
    read: float = 180.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Limits on concurrent work.

    One limiter per endpoint and key applies them. All clients of a process share it.

    Args:
        max_requests: Maximum requests in flight (64). A request that waits for its response holds
            no body in memory.
        max_uploads: Maximum request bodies being sent at once (4: enough to fill any link).
        initial_requests: Requests in flight at the start (8). The limiter adapts the number.
        requests_per_second: Request rate that the pricing tier allows (None: unknown). S0 allows
            10, F0 2 to 10. This is a starting value, which the limiter adapts.
        on_throttle: The requests that a 429 delays ("call"). "call" delays the throttled request
            for its Retry-After and slows the others, whose quota may not be used up. "all" delays
            every request.
        max_chunk_bytes: Maximum body of one upload request (16 MB: cheap to retry, and no
            bottleneck below 1.3 Gbit/s at 10 requests per second). Never above 48 MB, where the
            service times out.
        prefetch_pages: Pages of a list to fetch ahead (4: keeps the reader busy in little memory).

    Raises:
        ValueError: A value is out of range.
    """

    max_requests: int = 64
    max_uploads: int = 4
    initial_requests: int = 8
    requests_per_second: float | None = None
    on_throttle: Literal["call", "all"] = "call"
    max_chunk_bytes: int = limits.DEFAULT_BODY_BYTES.value
    prefetch_pages: int = 4

    def __post_init__(self) -> None:
        for name in (
            "max_requests",
            "max_uploads",
            "initial_requests",
            "max_chunk_bytes",
            "prefetch_pages",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.requests_per_second is not None and not 0 < self.requests_per_second < math.inf:
            raise ValueError(
                "requests_per_second must be more than 0, or None if unknown, "
                f"not {self.requests_per_second}"
            )
