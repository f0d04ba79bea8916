"""Transports without a socket, for virtual time: one follows a script, one enforces a quota."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from customvision_async._transport.base import Request, Response
from customvision_async.errors import TransportError

Outcome = Response | TransportError | Exception


class Scripted:
    """A transport with scripted outcomes. It repeats the last one and records the times of
    requests.
    """

    def __init__(self, *outcomes: Outcome, seconds: float = 0.0) -> None:
        self._outcomes = list(outcomes)
        self._seconds = seconds
        self.times: list[float] = []
        self.headers: list[Mapping[str, str]] = []
        self.closed = False

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Return or raise the next outcome after `seconds`."""
        self.times.append(asyncio.get_running_loop().time())
        self.headers.append(dict(headers))
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if on_sent is not None:
            on_sent()
        await asyncio.sleep(self._seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def aclose(self) -> None:
        """Record the call."""
        self.closed = True


class Quota:
    """A transport to a service that allows `rate` requests per second. It counts concurrent
    requests.
    """

    def __init__(
        self, rate: float = 10.0, burst: float = 10.0, think: float = 1.0, upload: float = 0.05
    ) -> None:
        self.rate, self.burst, self.think, self.upload = rate, burst, think, upload
        self._tokens = burst
        self._at = 0.0
        self.accepted = 0
        self.refused = 0
        self.in_flight = 0
        self.uploading = 0
        self.most_in_flight = 0
        self.most_uploading = 0
        self.admitted: list[str] = []

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Return 200, or 429 if the bucket is empty."""
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.admitted.append(request.operation)
        try:
            if request.content is not None:
                self.uploading += 1
                self.most_uploading = max(self.most_uploading, self.uploading)
                try:
                    await asyncio.sleep(self.upload)
                finally:
                    self.uploading -= 1
            if on_sent is not None:
                on_sent()
            now = asyncio.get_running_loop().time()
            self._tokens, self._at = (
                min(self.burst, self._tokens + (now - self._at) * self.rate),
                now,
            )
            if self._tokens < 1:
                self.refused += 1
                await asyncio.sleep(0.02)
                return Response(429, {"retry-after": "1"}, b"")
            self._tokens -= 1
            await asyncio.sleep(self.think)
            self.accepted += 1
            return Response(200, {}, b"{}")
        finally:
            self.in_flight -= 1

    async def aclose(self) -> None:
        """Do nothing."""
