"""Send a chunk until each of its work items has an outcome.

A work item has no outcome if the whole chunk was rejected, or if the response does not mention the
item or gives no reason. It is sent again in a chunk half as large, until it is alone and the
response can only be about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from enum import Enum
from typing import cast

import msgspec

from .cancellation import raise_foreign_cancellation
from .chunker import Chunker, ChunkLimits
from .work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem

__all__ = ["ErrorClassifier", "FailureAction", "Send", "Settled", "Settler", "settle_all"]

Send = Callable[[Sequence[WorkItem]], Awaitable[Sequence[Outcome]]]
"""``send(chunk)`` sends a chunk and returns one outcome per work item, in order. It updates
`attempts` and `in_doubt` of the work items."""

Settled = tuple[Sequence[WorkItem], Sequence[Done | Failed]]
"""Work items, and the outcome of each."""


class FailureAction(Enum):
    """How to continue after an exception of `send`."""

    DIVIDE = "One work item may be the cause: send smaller chunks to find it."
    DOWN = "As DIVIDE, but the service may be the cause too."
    TOO_LARGE = "The chunk is too large: divide it, and build smaller chunks from now on."
    FINAL = "This chunk fails."
    REFUSED = "This chunk was throttled for minutes and fails. After several such, the run ends."
    FATAL = "No item can succeed any more: the run ends."


ErrorClassifier = Callable[[Exception], FailureAction]

_MAX_SOLO_TRIES = 2
"""Requests for a work item that is alone. The first failure may have had a temporary cause."""
_SERIALIZE_AFTER = 16
"""After this many rejected chunks in a row, in the whole run, only one chunk at a time is divided.
If the service is the cause, dividing is useless, and one chunk is enough to show that."""
_STOP_BISECTING_AFTER = 128
"""After this many work items in a row were rejected alone, chunks are not divided until one
succeeds."""
_OUTAGE_WEIGHT = 8
"""A work item that was rejected alone counts this many times if the service may be the cause."""
_MAX_THROTTLED_CHUNKS = 8
"""The run ends after this many chunks in a row were throttled for minutes."""


class Settler:
    """Send chunks until each work item has an outcome.

    A run has one settler, which learns from all chunks whether dividing is useful.

    Attributes:
        fatal: The error after which no item can succeed, or None.
        cancelled: The tasks of the run have been cancelled. See :meth:`raise_if_cancelled`.
        on_fatal: Called with the fatal error.
    """

    def __init__(self, send: Send, classify_error: ErrorClassifier, limits: ChunkLimits) -> None:
        self._send = send
        self._classify_error = classify_error
        self._limits = limits
        self._rejected_chunks = 0
        self._rejected_alone = 0
        self._throttled_chunks = 0
        self._dividing = asyncio.Lock()
        self.fatal: Exception | None = None
        self.cancelled = False
        self.on_fatal: Callable[[Exception], None] = lambda _: None

    def give_up(self, error: Exception) -> Failed:
        """End the run because of `error`, and return the outcome of the affected items."""
        if self.fatal is None:
            self.fatal = error
            self.on_fatal(error)
        return _failure(error)

    def raise_if_cancelled(self) -> None:
        """Raise CancelledError if the run has been cancelled.

        Code that a task awaited may have swallowed its CancelledError. The task must still not send
        anything more, nor wait for a caller that has left.
        """
        if self.cancelled:
            raise asyncio.CancelledError

    async def settle(self, chunk: Sequence[WorkItem]) -> AsyncGenerator[Settled, None]:
        """Yield the work items of a chunk with their outcomes, each once, as they arrive."""
        queue: list[tuple[Sequence[WorkItem], int]] = [(chunk, 1)]
        failures: dict[int, Failed] = {}
        has_lock = False
        try:
            while queue:
                self.raise_if_cancelled()
                if failures and self._rejected_chunks >= _SERIALIZE_AFTER and not has_lock:
                    has_lock = await self._dividing.acquire()
                items, tries = queue.pop()
                if self._is_hopeless and all(item.index in failures for item in items):
                    settled: Settled = (
                        items,
                        [_untried(failures[item.index], tries) for item in items],
                    )
                else:
                    settled, smaller = self._sort(items, await self._outcomes(items), queue)
                    if len(items) == 1 and tries >= _MAX_SOLO_TRIES and smaller:
                        settled = items, [failure for _, failure in smaller]
                    elif smaller:
                        failures.update((item.index, failure) for item, failure in smaller)
                        queue += _halves(
                            [item for item, _ in smaller], tries + 1 if len(items) == 1 else 1
                        )
                if has_lock and self._rejected_chunks < _SERIALIZE_AFTER:
                    self._dividing.release()
                    has_lock = False
                if settled[0]:
                    yield settled
        finally:
            if has_lock:
                self._dividing.release()

    @property
    def _is_hopeless(self) -> bool:
        return self._rejected_alone >= _STOP_BISECTING_AFTER and self.fatal is None

    def _sort(
        self,
        items: Sequence[WorkItem],
        outcomes: Sequence[Outcome],
        queue: list[tuple[Sequence[WorkItem], int]],
    ) -> tuple[Settled, list[tuple[WorkItem, Failed]]]:
        """Return the settled work items, and those to send again in smaller chunks.

        Work items to send again together are added to `queue`.
        """
        # Fast path: most chunks succeed.
        if set(map(type, outcomes)) == {Done}:
            self._rejected_chunks = self._rejected_alone = self._throttled_chunks = 0
            self._limits.accept(sum([item.size for item in items]))
            return (items, cast("Sequence[Done]", outcomes)), []
        settled: list[WorkItem] = []
        final: list[Done | Failed] = []
        together: list[tuple[WorkItem, Failed]] = []
        smaller: list[tuple[WorkItem, Failed]] = []
        succeeded = False
        for item, outcome in zip(items, outcomes, strict=True):
            if not isinstance(outcome, Resend):
                settled.append(item)
                final.append(outcome)
                succeeded = succeeded or isinstance(outcome, Done)
            else:
                (together if outcome.together else smaller).append((item, outcome.failure))
        if settled and together:
            queue.append(([item for item, _ in together], 1))
        else:
            # Sending the same chunk again would give the same response.
            smaller += together
        if succeeded:
            self._rejected_chunks = self._rejected_alone = self._throttled_chunks = 0
            if len(settled) == len(items):
                self._limits.accept(sum([item.size for item in items]))
        elif not settled:
            self._rejected_chunks += 1
            self._rejected_alone += len(items) == 1
        return (settled, final), smaller

    async def _outcomes(self, items: Sequence[WorkItem]) -> Sequence[Outcome]:
        if self.fatal is not None:
            return [Failed(str(self.fatal), cause=self.fatal)] * len(items)
        try:
            with raise_foreign_cancellation("the request of the items"):
                outcomes = await self._send(items)
        except Exception as error:  # noqa: BLE001  # it is the outcome of these items only
            action = self._classify_error(error)
            self._throttled_chunks += action is FailureAction.REFUSED
            if action is FailureAction.FATAL or self._throttled_chunks >= _MAX_THROTTLED_CHUNKS:
                return [self.give_up(error)] * len(items)
            if len(items) == 1:
                self._rejected_chunks += 1
                self._rejected_alone += _OUTAGE_WEIGHT if action is FailureAction.DOWN else 1
            elif action is FailureAction.TOO_LARGE:
                self._limits.shrink(sum([item.size for item in items]))
            divide = len(items) > 1 and action not in (FailureAction.FINAL, FailureAction.REFUSED)
            return [Resend(_failure(error)) if divide else _failure(error)] * len(items)
        return outcomes if len(outcomes) == len(items) else [UNANSWERED] * len(items)


def _halves(items: Sequence[WorkItem], tries: int) -> list[tuple[Sequence[WorkItem], int]]:
    """Return the second half and the first half, because the queue is read from its end."""
    if len(items) == 1:
        return [(items, tries)]
    middle = (len(items) + 1) // 2
    return [(items[middle:], 1), (items[:middle], 1)]


def _untried(failed: Failed, tries: int) -> Failed:
    if tries > 1:
        return failed
    note = " (the chunk was rejected; the item was not sent alone, because too many failed alone)"
    return msgspec.structs.replace(failed, reason=failed.reason + note)


async def settle_all(
    work_items: Sequence[WorkItem], limits: ChunkLimits, send: Send, classify_error: ErrorClassifier
) -> list[tuple[WorkItem, Done | Failed]]:
    """Send a few work items, one chunk after another, and return their outcomes.

    This is for requests that are part of a larger work item.
    """
    chunker = Chunker(limits)
    settler = Settler(send, classify_error, limits)
    settled: list[tuple[WorkItem, Done | Failed]] = []
    for chunk in chunker.feed(work_items) + chunker.flush():
        async for items, outcomes in settler.settle(chunk):
            settled += zip(items, outcomes, strict=True)
    return settled


def _failure(error: Exception) -> Failed:
    return Failed(str(error) or repr(error), status=str(getattr(error, "code", "")), cause=error)
