"""How a client behaves, in three frozen records. Each default has its reason beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from . import limits

__all__ = ["Concurrency", "Retry", "Timeouts"]


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is sent again, and after how long. Times are seconds."""

    attempts: int = 8
    """Sends of one request at the most, the first included. A refusal for rate (429) does not count, nor does a connection that was not
    made to an endpoint that had answered before: neither was taken up, and `deadline` ends them."""
    deadline: float = 300.0
    """No attempt starts later than this after the first. Long enough for a quota to come back, short enough to notice."""
    backoff: float = 0.25
    """The scale of the wait after a failure: uniform over 0 to backoff x 2**n (full jitter)."""
    throttle_backoff: float = 1.0
    """The same after a 429 that does not say how long to wait: quotas are counted by the second."""
    most: float = 30.0
    """The longest wait of our own choosing."""
    retry_after_most: float = 120.0
    """The longest Retry-After that is obeyed; a longer one is cut to this."""
    budget: float = 0.2
    """Retries are at most this share of the requests of the client, so that a service that is down is not also flooded."""
    budget_floor: int = 64
    """Retries that are always allowed, whatever the share: one for each request in flight, for a link that breaks takes them all."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds by phase. There is no total: a batch of tens of megabytes over a slow link may take minutes and be well."""

    connect: float = 15.0
    """To reach the host and finish the TLS handshake."""
    write: float = 60.0
    """Without the peer taking a single piece (128 KiB) of the body: 17 kbit/s is taken as alive."""
    read: float = 180.0
    """From the end of the body to the first byte of the answer, and between two pieces of it: a full batch takes seconds, not minutes."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How much is done at once. The limiter that applies this is one per (endpoint, key), shared by all clients of a process."""

    requests: int = 64
    """Requests in flight at the most. They are cheap: a request that waits for its answer holds no body."""
    uploads: int = 4
    """Bodies being sent at once. These hold the link and the memory; four fill any link."""
    start: int = 8
    """Requests in flight to start with; the limiter finds the rest."""
    rate: float | None = None
    """Calls a second that the tier allows, if you know it (S0: 10; F0: 2 to 10). Only a start: the limiter adapts to what it meets."""
    on_refusal: Literal["call", "all"] = "call"
    """After a 429: "call" holds the refused call for its Retry-After and slows the rest; "all" holds every call."""
    chunk_bytes: int = limits.BODY_BYTES.value
    """Body of one upload request at the most (never above 48 MB, where the service times out)."""
    pages: int = 4
    """Pages of a list fetched ahead."""

    def __post_init__(self) -> None:
        """Raises ValueError for what would let nothing through, ever."""
        for name in ("requests", "uploads", "start", "chunk_bytes", "pages"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate is more than 0 calls a second, or None where it is not known; not {self.rate}")
