"""Run a batch from the command line: show its progress, stop it on a signal, report every item."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
from anyio import get_cancelled_exc_class

from .. import BatchReport, BatchRun, ItemResult, SkippedItem
from ..errors import display_name
from ._exit import ExitCode, explain
from ._output import Output
from ._progress import MIN_BYTES_SHOWN, Meter, show_progress
from ._signals import Interrupt
from ._stoppable_source import StoppableSource
from ._text import duration, megabytes, plural

__all__ = ["BatchRunner", "RunOutcome"]

_MAX_LINES = 10
"""Maximum lines about failed items, and about skipped items."""
_Handler: TypeAlias = Callable[[ItemResult[Any, Any]], None]
_REMAINING_SECONDS = 3.0
"""Seconds to read the remaining items of a stopped run."""


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of a batch run.

    Attributes:
        report: The report of the run.
        not_begun: Items that the run never took from its source.
        not_begun_complete: Whether `not_begun` lists all of them.
        error: The error that ended the run, if any.
    """

    report: BatchReport
    not_begun: list[Any] = field(default_factory=list)
    not_begun_complete: bool = True
    error: Exception | None = None


@dataclass(frozen=True)
class BatchRunner:
    """Run batches, and report their items to the user.

    Attributes:
        noun: The singular noun for an item, such as "image".
        verb: The past participle for a successful item, such as "uploaded".
        describe: Returns the output fields of an item. The first field is its display name.
        total: Returns the total number of items, or None while it is unknown.
    """

    output: Output
    interrupt: Interrupt
    noun: str
    verb: str
    describe: Callable[[Any], Mapping[str, Any]]
    total: Callable[[], int | None] = lambda: None

    async def run(
        self,
        start: Callable[[StoppableSource], BatchRun[Any, Any]],
        source: StoppableSource,
        *,
        on_result: Callable[[ItemResult[Any, Any]], None] = lambda _: None,
        on_end: Callable[[RunOutcome], None],
    ) -> RunOutcome:
        """Run a batch until it ends or a signal stops it.

        Args:
            start: Starts the run over the source.
            source: The items of the run.
            on_result: Called with each result.
            on_end: Called with the outcome at the end, even if the run is cancelled.
        """
        run = start(source)
        error: Exception | None = None
        counts: dict[str, int] = {}

        def handle(result: ItemResult[Any, Any]) -> None:
            on_result(result)
            self._show(result, counts)

        try:
            error = await self._watch(run, source, handle)
        except get_cancelled_exc_class():
            on_end(await self._collect_outcome(run, source, None, handle))
            raise
        outcome = await self._collect_outcome(run, source, error, handle)
        on_end(outcome)
        await self.interrupt.raise_if_stopped()
        return outcome

    async def _watch(
        self, run: BatchRun[Any, Any], source: StoppableSource, handle: _Handler
    ) -> Exception | None:
        meter = Meter(
            run.progress,
            lambda: run.progress.total if run.progress.total is not None else self.total(),
        )
        try:
            with self.interrupt.stopping_with(source.stop):
                async with run, show_progress(meter, self.output, self.noun):
                    async for result in run:
                        handle(result)
        except Exception as error:  # noqa: BLE001  # raised by the command after the summary
            return error
        return None

    async def _collect_outcome(
        self,
        run: BatchRun[Any, Any],
        source: StoppableSource,
        error: Exception | None,
        handle: _Handler,
    ) -> RunOutcome:
        report = run.report
        if self.interrupt.code is None and error is None:
            return RunOutcome(report)
        found: list[Any] = []
        complete = False
        with anyio.CancelScope(shield=True):
            with suppress(Exception):  # the error of the run, which is reported already
                async for result in run:  # results that arrived before the run was stopped
                    handle(result)
            found, complete = await source.remaining(report.submitted, _REMAINING_SECONDS)
            await source.aclose()
        not_begun = [item for item in found if not isinstance(item, SkippedItem)]
        return RunOutcome(report, not_begun, complete, error)

    def _show(self, result: ItemResult[Any, Any], counts: dict[str, int]) -> None:
        outcome = "skipped" if result.skipped else "ok" if result.ok else "failed"
        if self.output.as_json:
            self.output.event(
                "item",
                index=result.index,
                outcome=outcome,
                **{"id": getattr(result.value, "id", None), **self.describe(result.item)},
                status=result.status,
                duplicate=result.duplicate,
                attempts=result.attempts,
                error=str(result.error) if result.error is not None else None,
            )
        elif not result.ok:
            counts[outcome] = counts.get(outcome, 0) + 1
            if counts[outcome] <= _MAX_LINES:
                self.output.note(
                    f"{outcome}: {self._cause(result)}", style="yellow" if result.skipped else "red"
                )
            elif counts[outcome] == _MAX_LINES + 1:
                self.output.note(f"{outcome}: more, not shown here (--json tells of every one)")

    def _cause(self, result: ItemResult[Any, Any]) -> str:
        """Return the name of the item and the cause of its outcome."""
        if display_name(result.item):
            return str(result)
        name = str(next(iter(self.describe(result.item).values()), ""))
        cause = str(result.error or result.status)
        return cause if cause.startswith(name) else f"{name}: {cause}"

    def lines(self, outcome: RunOutcome) -> list[str]:
        """Return the outcome as one or two lines for the user."""
        report = outcome.report
        taken = report.submitted - report.skipped
        total = taken + len(outcome.not_begun)
        first = f"{report.succeeded:,} of {plural(total, self.noun)} {self.verb}"
        if report.duplicates:
            first += f" ({report.duplicates:,} there already)"
        first += f" in {duration(report.seconds)}"
        if report.seconds > 0 and report.succeeded:
            first += f": {report.succeeded / report.seconds:,.1f} {self.noun}s/s"
            if report.bytes_sent >= MIN_BYTES_SHOWN:
                first += f", {megabytes(report.bytes_sent / report.seconds)}/s"
        lines = [first]
        counts = (
            (report.failed, "failed"),
            (report.skipped, "skipped"),
            (report.pending, "without an outcome when it stopped (some may have landed)"),
            (
                len(outcome.not_begun),
                "not begun" if outcome.not_begun_complete else "or more not begun",
            ),
            (report.in_doubt, "sent twice after a lost answer"),
            (report.retries, "requests repeated"),
        )
        second = ", ".join(f"{count:,} {label}" for count, label in counts if count)
        return [*lines, second] if second else lines

    def summarize(
        self, outcome: RunOutcome, lines: Sequence[str], code: ExitCode, **fields: Any
    ) -> None:
        """Print the summary.

        Args:
            outcome: The outcome of the run.
            lines: The summary for the user.
            code: The exit code, unless a signal or an error determines another one.
            fields: Further fields of the JSON summary.
        """
        if self.interrupt.code is not None:
            code = self.interrupt.code
        elif outcome.error is not None:
            code = explain(outcome.error)[1]
        error = str(outcome.error) if outcome.error is not None else None
        self.output.summary(
            lines,
            ok=code == ExitCode.OK,
            exit_code=int(code),
            **self._fields(outcome),
            **fields,
            error=error,
        )

    @staticmethod
    def _fields(outcome: RunOutcome) -> dict[str, Any]:
        """Return the outcome as fields of the JSON summary."""
        report = outcome.report
        return {
            "submitted": report.submitted,
            "succeeded": report.succeeded,
            "duplicates": report.duplicates,
            "failed": report.failed,
            "skipped": report.skipped,
            "pending": report.pending,
            "not_begun": len(outcome.not_begun),
            "in_doubt": report.in_doubt,
            "requests": report.requests,
            "retries": report.retries,
            "bytes_sent": report.bytes_sent,
            "seconds": round(report.seconds, 3),
        }
