"""Limit when requests start, as the controller decides.

All clients of a process that share a quota share a limiter. Retries are admitted first, then the
oldest requests. A request that waits for an upload slot does not hold up one without a body. All
waits are timers of the event loop, so a virtual clock can drive them.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from weakref import WeakKeyDictionary, WeakValueDictionary

from .._options import Concurrency
from .controller import Call, Controller

__all__ = ["Limiter", "Permit", "shared_limiter"]


class Permit:
    """Permission for one attempt.

    The holder reports when the body has been sent, and then the outcome, once.
    """

    __slots__ = ("_call", "_limiter")

    def __init__(self, limiter: Limiter, call: Call) -> None:
        self._limiter = limiter
        self._call = call

    @property
    def body_is_sent(self) -> bool:
        """Whether the whole body was sent."""
        return self._call.sent is not None

    def body_sent(self) -> None:
        """Free the upload slot after the body was sent, and start to time the service."""
        self._limiter.controller.body_sent(self._limiter.now(), self._call)
        self._limiter.pump()

    def accepted(self) -> None:
        """Report a response other than 429."""
        self._limiter.controller.accepted(self._limiter.now(), self._call)
        self._limiter.pump()

    def refused(self, retry_after: float | None) -> None:
        """Report a 429. `retry_after` is the wait that it asks for, in seconds."""
        self._limiter.controller.refused(self._limiter.now(), self._call, retry_after)
        self._limiter.pump()

    def lost(self) -> None:
        """Report that there was no response, or one that means an overloaded service."""
        self._limiter.controller.lost(self._limiter.now(), self._call)
        self._limiter.pump()

    def abandoned(self) -> None:
        """Report an attempt without an outcome, as after a cancellation."""
        self._limiter.controller.abandoned(self._limiter.now(), self._call)
        self._limiter.pump()


class _Waiter:
    """A request that is ready to start."""

    __slots__ = ("future", "order")

    def __init__(self, order: tuple[bool, int], future: asyncio.Future[Call]) -> None:
        self.order = order
        self.future = future

    def __lt__(self, other: _Waiter) -> bool:
        return self.order < other.order


class Limiter:
    """Admission to one quota, in one event loop."""

    def __init__(
        self, options: Concurrency | None = None, controller: Controller | None = None
    ) -> None:
        self.controller = controller or Controller(options)
        self._queues: dict[bool, list[_Waiter]] = {True: [], False: []}
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def now(self) -> float:
        """Return the time of the running loop."""
        return asyncio.get_running_loop().time()

    async def acquire(self, *, upload: bool, again: bool = False) -> Permit:
        """Wait until an attempt may start.

        The holder must end the permit with `accepted`, `refused`, `lost` or `abandoned`.

        Args:
            upload: The request has a body.
            again: The attempt is a retry, which is admitted first.
        """
        loop = asyncio.get_running_loop()
        queue = self._queues[upload]
        if (
            not queue
            and not self._queues[not upload]
            and self.controller.wait(loop.time(), upload=upload) <= 0
        ):
            return Permit(self, self.controller.start(loop.time(), upload=upload))
        self._count += 1
        waiter = _Waiter((not again, self._count), loop.create_future())
        heapq.heappush(queue, waiter)
        self.pump()
        try:
            return Permit(self, await waiter.future)
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled():
                # Admitted and cancelled in the same step of the loop.
                Permit(self, waiter.future.result()).abandoned()
            raise

    def pump(self) -> None:
        """Admit the requests that may start now, and set the timer for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.now()
        while (pause := self._admit_one(now)) <= 0:
            pass
        if math.isfinite(pause):
            self._timer = asyncio.get_running_loop().call_at(now + pause, self.pump)

    def _admit_one(self, now: float) -> float:
        """Admit the first request in line and return 0.

        If none may start yet, return the seconds until one may, or infinity if another request must
        end first.
        """
        for upload in self._by_age():
            pause = self.controller.wait(now, upload=upload)
            if pause <= 0:
                waiter = heapq.heappop(self._queues[upload])
                waiter.future.set_result(self.controller.start(now, upload=upload))
                return 0.0
            if math.isfinite(pause):
                return pause  # rates and pauses apply to both queues
        return math.inf

    def _by_age(self) -> list[bool]:
        """Return the queues that are not empty, the one with the oldest request first."""
        for queue in self._queues.values():
            while queue and queue[0].future.done():
                heapq.heappop(queue)
        return sorted(
            (upload for upload, queue in self._queues.items() if queue),
            key=lambda upload: self._queues[upload][0],
        )


_limiters: WeakKeyDictionary[
    asyncio.AbstractEventLoop, WeakValueDictionary[tuple[str, str], Limiter]
] = WeakKeyDictionary()


def shared_limiter(host: str, fingerprint: str, options: Concurrency) -> Limiter:
    """Return the limiter of the running event loop for a host and the fingerprint of a key.

    The limiter exists as long as a client holds it. If clients with different options share it, the
    lower limits apply to all, because they share the quota.
    """
    here = _limiters.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    limiter = here.get((host, fingerprint))
    if limiter is None:
        here[host, fingerprint] = limiter = Limiter(options)
    else:
        limiter.controller.tighten(options)
    return limiter
