"""Count the items of a run, and deliver their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, cast

from ..errors import CustomVisionError, ItemError, attempt
from .kept import Kept, without_frames
from .outbox import Outbox
from .report import BatchReport, ItemResult, Progress, T, V
from .work_item import Done, Failed, WorkItem

__all__ = ["Account"]


class Account(Generic[T, V]):
    """The state of each item of a run.

    An item is being prepared, waits in an open chunk, is in flight, or has settled. It changes
    state without an await in between, so :meth:`report` is exact at any time:
    ``submitted == succeeded + failed + skipped + pending``.

    Args:
        progress: The counts to update.
        outbox: Receives the results if `watched` is set.
        waiting: Returns the work items in open chunks.
    """

    def __init__(
        self,
        progress: Progress,
        outbox: Outbox[ItemResult[T, V]],
        waiting: Callable[[], list[WorkItem]],
    ) -> None:
        self.progress = progress
        self.watched = False
        self.abort_cause: Exception | None = None
        self._outbox = outbox
        self._waiting = waiting
        self._preparing: tuple[int, Sequence[Any]] = (0, ())
        self._in_flight: dict[int, Sequence[WorkItem]] = {}
        self._kept = Kept()

    def report(self) -> BatchReport[T, V]:
        """Return the current report."""
        progress = self.progress
        pending = [
            (work_item.index, work_item.item)
            for chunk in (*self._in_flight.values(), self._waiting())
            for work_item in chunk
            if not work_item.settled
        ]
        start, items = self._preparing
        pending += enumerate(items, start)
        return BatchReport(
            submitted=progress.submitted,
            succeeded=progress.succeeded,
            failed=progress.failed,
            skipped=progress.skipped,
            pending=progress.pending,
            duplicates=progress.duplicates,
            in_doubt=progress.in_doubt,
            requests=progress.requests,
            retries=progress.retries,
            bytes_sent=progress.bytes_sent,
            seconds=progress.seconds,
            failures=tuple(self._kept.failures),
            skipped_items=tuple(self._kept.skips),
            causes=self._kept.causes,
            pending_items=tuple(sorted(pending, key=lambda pair: pair[0])),
            abort_cause=self.abort_cause,
        )

    def abort(self, error: Exception) -> None:
        """Record the error that ends the run, unless there is one already."""
        if self.abort_cause is None:
            self.abort_cause = error

    # --- states before an item has settled

    def begin_preparing(self, items: Sequence[Any]) -> int:
        """Count items taken from the source, and return the index of the first."""
        progress = self.progress
        start = progress.submitted
        self._preparing = (start, items)
        progress.submitted += len(items)
        if progress.total is not None and progress.submitted > progress.total:
            progress.total = None
        return start

    def add_unprepared(self, items: Sequence[Any]) -> None:
        """Count items taken from the source that will not be prepared."""
        if items:
            start, preparing = self._preparing
            if not preparing:
                start = self.progress.submitted
            self._preparing = (start, [*preparing, *items])
            self.progress.submitted += len(items)

    def mark_in_flight(self, chunks: list[Sequence[WorkItem]]) -> list[Sequence[WorkItem]]:
        """Record that chunks have left the chunker, and return them."""
        self._in_flight.update((id(chunk), chunk) for chunk in chunks)
        return chunks

    def end_flight(self, chunk: Sequence[WorkItem]) -> None:
        """Record that every work item of a chunk has settled."""
        self._in_flight.pop(id(chunk), None)

    # --- outcomes

    def settle(
        self,
        chunk: Sequence[WorkItem],
        work_items: Sequence[WorkItem],
        outcomes: Sequence[Done | Failed],
    ) -> None:
        """Count outcomes of a chunk, and deliver the results.

        Args:
            chunk: The chunk in flight.
            work_items: The work items of the chunk that have settled. All of them, for most chunks.
            outcomes: The outcome of each.
        """
        if len(work_items) == len(chunk):
            self.end_flight(chunk)
        else:
            for work_item in work_items:
                work_item.settled = True
        # Fast path: most chunks succeed.
        if set(map(type, outcomes)) == {Done}:
            self._deliver(self._succeed(work_items, cast("Sequence[Done]", outcomes)))
            return
        done = [
            (work_item, outcome)
            for work_item, outcome in zip(work_items, outcomes, strict=True)
            if isinstance(outcome, Done)
        ]
        results = [
            _failed_result(work_item, outcome)
            for work_item, outcome in zip(work_items, outcomes, strict=True)
            if isinstance(outcome, Failed)
        ]
        self._count(results)
        results += self._succeed(
            [work_item for work_item, _ in done], [outcome for _, outcome in done]
        )
        self._deliver(results)

    def end_preparing(self, results: Sequence[ItemResult[T, V]]) -> None:
        """Count and deliver results of the items being prepared.

        The items without a result have become work items in the chunker.
        """
        self._count(results)
        self._deliver(results)
        self._preparing = (0, ())

    def fail_unprepared(self, failure: Failed) -> None:
        """Fail the items that are being prepared, or will not be prepared."""
        self.end_preparing(self.failed_results(*self._preparing, failure))

    @staticmethod
    def failed_results(start: int, items: Sequence[Any], failure: Failed) -> list[ItemResult[T, V]]:
        """Return a failed result for each item."""
        return [
            _failed_result(WorkItem(index, item, None), failure)
            for index, item in enumerate(items, start)
        ]

    def _deliver(self, results: Sequence[ItemResult[T, V]]) -> None:
        if self.watched:
            self._outbox.put(results)

    def _succeed(
        self, work_items: Sequence[WorkItem], outcomes: Sequence[Done]
    ) -> list[ItemResult[T, V]]:
        """Count successes, and return their results if the run is watched."""
        progress = self.progress
        progress.succeeded += len(outcomes)
        progress.duplicates += sum([outcome.duplicate for outcome in outcomes])
        progress.in_doubt += sum([work_item.in_doubt for work_item in work_items])
        if not self.watched:
            return []
        return [
            ItemResult(
                work_item.index,
                work_item.item,
                True,
                outcome.status,
                outcome.value,
                None,
                work_item.attempts,
                outcome.duplicate,
                work_item.in_doubt,
            )
            for work_item, outcome in zip(work_items, outcomes, strict=True)
        ]

    def _count(self, results: Sequence[ItemResult[T, V]]) -> None:
        progress = self.progress
        for result in results:
            if result.ok:
                progress.succeeded += 1
            elif result.skipped:
                progress.skipped += 1
                self._keep(result)
            else:
                progress.failed += 1
                self._keep(result)
            progress.duplicates += result.duplicate
            progress.in_doubt += result.in_doubt

    def _keep(self, result: ItemResult[T, V]) -> None:
        """Keep a result for the report, without the frames of its error's traceback.

        The error that ends the run keeps its traceback, because it is raised, unless it is one of
        this package.
        """
        cause = result.error.__cause__ if result.error is not None else None
        if cause is not self.abort_cause or isinstance(cause, CustomVisionError):
            # The class of the error may be the caller's, and raise.
            attempt(without_frames, cause)
        self._kept.add(result)


def _failed_result(work_item: WorkItem, failed: Failed) -> ItemResult[Any, Any]:
    error = ItemError(
        failed.reason, index=work_item.index, item=work_item.item, status=failed.status
    )
    error.__cause__ = failed.cause
    return ItemResult(
        work_item.index,
        work_item.item,
        False,
        failed.status,
        failed.value,
        error,
        work_item.attempts,
        False,
        work_item.in_doubt,
    )
