"""The limiter: lets calls start when the controller says so. One for all clients of a process that share a quota.

Who waits is let in by age, calls that were refused or failed before first; a body that waits for an upload slot does
not keep back a call without one. All waiting is by timers of the event loop, so that a loop in virtual time drives it.
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
    """The right to send once. Whoever holds it says when the body is out, and then, once, how it ended."""

    __slots__ = ("_call", "_limiter")

    def __init__(self, limiter: Limiter, call: Call) -> None:
        self._limiter = limiter
        self._call = call

    @property
    def body_is_sent(self) -> bool:
        """Whether the whole body went out."""
        return self._call.sent is not None

    def body_sent(self) -> None:
        """The body is out: the upload slot is free, the service's time begins."""
        self._limiter.controller.body_sent(self._limiter.now(), self._call)
        self._limiter.pump()

    def accepted(self) -> None:
        """There was an answer, and it was no refusal for rate."""
        self._limiter.controller.accepted(self._limiter.now(), self._call)
        self._limiter.pump()

    def refused(self, retry_after: float | None) -> None:
        """The answer was 429."""
        self._limiter.controller.refused(self._limiter.now(), self._call, retry_after)
        self._limiter.pump()

    def lost(self) -> None:
        """There was no answer, or one that says that the service is at its end."""
        self._limiter.controller.lost(self._limiter.now(), self._call)
        self._limiter.pump()

    def abandoned(self) -> None:
        """The caller gave up: nothing is learnt."""
        self._limiter.controller.abandoned(self._limiter.now(), self._call)
        self._limiter.pump()


class _Waiter:
    """One call that stands ready."""

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
        """The time of the running loop."""
        return asyncio.get_running_loop().time()

    async def admit(self, *, upload: bool, again: bool = False) -> Permit:
        """Wait for the right to send. `upload`: there is a body; `again`: it has been sent before, and goes first.

        Whoever is given a ticket must end it (accepted, refused, lost or abandoned), whatever happens.
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
            if (
                waiter.future.done() and not waiter.future.cancelled()
            ):  # let in at the moment of giving up
                Permit(self, waiter.future.result()).abandoned()
            raise

    def pump(self) -> None:
        """Let in who may start now, and set the timer for who may start next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self.now()
        while (pause := self._let_in_one(now)) <= 0:
            pass
        if math.isfinite(pause):
            self._timer = asyncio.get_running_loop().call_at(now + pause, self.pump)

    def _let_in_one(self, now: float) -> float:
        """Let the first in line start: 0. Else the seconds until somebody may, infinity where only an ended call helps."""
        for upload in self._by_age():
            pause = self.controller.wait(now, upload=upload)
            if pause <= 0:
                waiter = heapq.heappop(self._queues[upload])
                waiter.future.set_result(self.controller.start(now, upload=upload))
                return 0.0
            if math.isfinite(pause):
                return pause  # the pace, or a pause: it holds for all
        return math.inf

    def _by_age(self) -> list[bool]:
        """The queues that somebody waits in, the one with the first in line first."""
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
    """The limiter of the running event loop for a resource: `host` with the `fingerprint` of the key.

    It lives while a client holds it. A client that joins brings its own options: of two caps the lower holds for both,
    since the quota is one.
    """
    here = _limiters.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    limiter = here.get((host, fingerprint))
    if limiter is None:
        here[host, fingerprint] = limiter = Limiter(options)
    else:
        limiter.controller.restrain(options)
    return limiter
