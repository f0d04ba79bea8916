"""Measure the throughput under a rate limit in virtual time. Client, engine and limiter run
unchanged.

The service is a token bucket that holds the requests of one second. It responds 429 with
``Retry-After: 1`` when the bucket is empty. The ideal client knows the bucket and uses every token
as it arrives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from customvision_async import TrainingClient
from customvision_async._transport.base import Request, Response
from tests.support.virtual_loop import run

from .worker import PROJECT, Task

__all__ = ["through"]


@dataclass
class _Quota:
    """The service. `rival` is the share of another client in the middle third of `seconds`."""

    rate: float
    think: float
    rival: float
    seconds: float
    tokens: float = 0.0
    at: float = 0.0
    ideal: float = 0.0
    accepted: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.tokens = self.ideal = self.rate

    def _left(self, moment: float) -> float:
        """Return the requests per second that the rival leaves."""
        return (
            self.rate * (1 - self.rival)
            if self.seconds / 3 <= moment < self.seconds * 2 / 3
            else self.rate
        )

    def _fill(self, now: float) -> None:
        while self.at < now:
            step = min(0.01, now - self.at)
            more = self._left(self.at) * step
            self.tokens = min(self.rate, self.tokens + more)
            if self.at < self.seconds:
                self.ideal += more
            self.at += step

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Handle one request."""
        loop = asyncio.get_running_loop()
        if on_sent is not None:
            on_sent()
        self._fill(loop.time())
        if self.tokens < 1:
            self.refused += 1
            await asyncio.sleep(0.02)
            return Response(429, {"retry-after": "1"}, b"")
        self.tokens -= 1
        self.accepted += loop.time() < self.seconds
        await asyncio.sleep(self.think)
        return Response(204, {}, b"")

    async def aclose(self) -> None:
        """Do nothing."""


def through(task: Task) -> dict[str, float]:
    """Delete images for `seconds`. Return the share of the ideal, and the share of refused
    requests.
    """
    quota = _Quota(task.rate, task.think, task.rival, task.seconds)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def images() -> Iterator[str]:
            number = 0
            while loop.time() < quota.seconds:
                number += 1
                yield f"{number:08x}-95b2-4c0b-8a2c-1c3f0c1d2e3f"

        async with TrainingClient("https://example.invalid", "0" * 32, transport=quota) as training:
            await training.get_project_client(PROJECT).delete_images(images())

    run(main())
    return {
        "share": quota.accepted / quota.ideal,
        "refused": quota.refused / max(1, quota.accepted + quota.refused),
    }
