"""Driving a batch run from the command line: show it, stop it when asked, and account for every
item at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import anyio
from anyio import get_cancelled_exc_class

from .. import BatchReport, BatchRun, ItemResult, SkippedItem
from ..errors import called
from ._exit import ExitCode, explain
from ._output import Output
from ._progress import WORTH_SHOWING, Meter, shown
from ._signals import Interrupt
from ._stoppable_source import StoppableSource
from ._text import duration, megabytes, plural

__all__ = ["BatchRunner", "RunOutcome"]

_SHOWN = 10
"""Lines about failed items, and about skipped ones, that go to the screen; the rest is counted there and whole in the file."""
_Take: TypeAlias = Callable[[ItemResult[Any, Any]], None]
_LOOKING = 3.0
"""Seconds that a stopped run may spend on finding out what it had not reached."""


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended.

    `rest` are the items that it never took, `rest_whole` whether these are all of them.
    """

    report: BatchReport
    not_begun: list[Any] = field(default_factory=list)
    not_begun_complete: bool = True
    error: Exception | None = None


@dataclass(frozen=True)
class BatchRunner:
    """Takes a run to its end.

    `noun` is what its items are; `describe` gives the fields of an item for people and programs.
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
        settled: Callable[[ItemResult[Any, Any]], None] = lambda _: None,
        conclude: Callable[[RunOutcome], None],
    ) -> RunOutcome:
        """Run `start(feed)` to the end, or until it is stopped.

        `settled` gets each result, and then `conclude` the account, also if the run is cancelled.
        """
        run = start(source)
        error: Exception | None = None
        told: dict[str, int] = {}

        def take(result: ItemResult[Any, Any]) -> None:
            settled(result)
            self._tell(result, told)

        try:
            error = await self._watch(run, source, take)
        except get_cancelled_exc_class():
            conclude(await self._collect_outcome(run, source, None, take))
            raise
        outcome = await self._collect_outcome(run, source, error, take)
        conclude(outcome)
        await self.interrupt.raise_if_stopped()
        return outcome

    async def _watch(
        self, run: BatchRun[Any, Any], source: StoppableSource, take: _Take
    ) -> Exception | None:
        meter = Meter(
            run.progress,
            lambda: run.progress.total if run.progress.total is not None else self.total(),
        )
        try:
            with self.interrupt.stopping_with(source.stop):
                async with run, shown(meter, self.output, self.noun):
                    async for result in run:
                        take(result)
        except Exception as error:  # noqa: BLE001  # after the summary it is raised again, by whoever asked for the run
            return error
        return None

    async def _collect_outcome(
        self,
        run: BatchRun[Any, Any],
        source: StoppableSource,
        error: Exception | None,
        take: _Take,
    ) -> RunOutcome:
        report = run.report
        if self.interrupt.code is None and error is None:
            return RunOutcome(report)
        found: list[Any] = []
        whole = False
        with anyio.CancelScope(shield=True):
            with suppress(Exception):  # the error of the run: it is told already
                async for result in run:  # what had settled when the run was left
                    take(result)
            found, whole = await source.remaining(report.submitted, _LOOKING)
            await source.aclose()
        return RunOutcome(
            report, [item for item in found if not isinstance(item, SkippedItem)], whole, error
        )

    def _tell(self, result: ItemResult[Any, Any], told: dict[str, int]) -> None:
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
            told[outcome] = told.get(outcome, 0) + 1
            if told[outcome] <= _SHOWN:
                self.output.note(
                    f"{outcome}: {self._cause(result)}", style="yellow" if result.skipped else "red"
                )
            elif told[outcome] == _SHOWN + 1:
                self.output.note(f"{outcome}: more, not shown here (--json tells of every one)")

    def _cause(self, result: ItemResult[Any, Any]) -> str:
        """The item and what became of it."""
        if called(result.item):
            return str(result)
        name, cause = (
            str(next(iter(self.describe(result.item).values()), "")),
            str(result.error or result.status),
        )
        return cause if cause.startswith(name) else f"{name}: {cause}"

    def lines(self, outcome: RunOutcome) -> list[str]:
        """The account in a few lines for people."""
        report = outcome.report
        taken = report.submitted - report.skipped
        first = f"{report.succeeded:,} of {plural(taken + len(outcome.not_begun), self.noun)} {self.verb}"
        if report.duplicates:
            first += f" ({report.duplicates:,} there already)"
        first += f" in {duration(report.seconds)}"
        if report.seconds > 0 and report.succeeded:
            first += f": {report.succeeded / report.seconds:,.1f} {self.noun}s/s"
            if report.bytes_sent >= WORTH_SHOWING:
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
        told = ", ".join(f"{count:,} {what}" for count, what in counts if count)
        return [*lines, told] if told else lines

    def summarize(
        self, outcome: RunOutcome, lines: Sequence[str], code: ExitCode, **fields: Any
    ) -> None:
        """Print the account; `code` is the exit code where neither a signal nor an error set
        another.
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
        """The account as the fields of the JSON summary."""
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
