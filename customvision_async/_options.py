"""How a client behaves, in three frozen records. Each default has its reason with it, where help() shows it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from . import limits

__all__ = ["Concurrency", "Retry", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent again, and after how long. Times are seconds.

    Args:
        max_attempts: sends of one request at the most, the first included (8: enough to outlast a short trouble, few enough to tell of a
            long one). A refusal for rate (429) does not count, nor does a connection that was not made to an endpoint that had
            answered before: neither was taken up, and `deadline` ends them.
        deadline: no attempt starts later than this many seconds after the first (300: long enough for a quota to come back, short
            enough to notice).
        initial_backoff: the scale of the wait after a failure, in seconds (0.25): uniform over 0 to ``backoff * 2**n`` after the n-th (full
            jitter, so that those who failed together do not come back together).
        throttle_backoff: the same after a 429 that does not say how long to wait (1.0: quotas are counted by the second).
        max_backoff: the longest wait of our own choosing, in seconds (30: a service that is back is not left idle for long).
        max_retry_after: the longest Retry-After that is obeyed, in seconds (120); a longer one is cut to this, so that a slip of the
            service does not stop a run for an hour.
        retry_ratio: retries are at most this share of the requests of the client (0.2: a fifth), so that a service that is down is not
            also flooded.
        min_retries: retries that are always allowed, whatever the share (64: one for each request in flight, for a link that breaks
            takes them all).
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
    """Seconds by phase. There is no total: a batch of tens of megabytes over a slow link may take minutes and be well.

    Args:
        connect: seconds to reach the host and finish the TLS handshake (15: a host that has not answered by then will not).
        write: seconds without the peer taking a single piece (128 KiB) of the body (60: so a link of 17 kbit/s is taken as alive).
        read: seconds from the end of the body to the first byte of the answer, and between two pieces of it (180: a full batch takes
            seconds, not minutes).
    """

    connect: float = 15.0
    write: float = 60.0
    read: float = 180.0


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How much is done at once. The limiter that applies this is one per (endpoint, key), shared by all clients of a process.

    Args:
        max_requests: requests in flight at the most (64). They are cheap: a request that waits for its answer holds no body.
        max_uploads: bodies being sent at once (4). These hold the link and the memory; four fill any link.
        initial_requests: requests in flight to start with (8); the limiter finds the rest.
        requests_per_second: calls a second that the tier allows, if you know it (None: not known; S0 allows 10, F0 2 to 10). Only a start: the limiter
            adapts to what it meets.
        on_throttle: what a 429 holds ("call"): "call" holds the refused call for its Retry-After and slows the rest, which
            may well have room in the quota; "all" holds every call.
        max_chunk_bytes: bytes of the body of one upload request at the most (16 MB: cheap to repeat, and at 10 calls a second no brake
            below 1.3 Gbit/s); never above 48 MB, where the service times out.
        prefetch_pages: pages of a list fetched ahead (4: enough to keep a reader busy, few enough to hold in memory).

    Raises:
        ValueError: it would let nothing through, ever.
    """

    max_requests: int = 64
    max_uploads: int = 4
    initial_requests: int = 8
    requests_per_second: float | None = None
    on_throttle: Literal["call", "all"] = "call"
    max_chunk_bytes: int = limits.DEFAULT_BODY_BYTES.value
    prefetch_pages: int = 4

    def __post_init__(self) -> None:
        """Raises ValueError for what would let nothing through, ever."""
        for name in (
            "max_requests",
            "max_uploads",
            "initial_requests",
            "max_chunk_bytes",
            "prefetch_pages",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.requests_per_second is not None and not 0 < self.requests_per_second < math.inf:
            raise ValueError(
                f"requests_per_second is more than 0, or None where it is not known; not {self.requests_per_second}"
            )
