"""What a person sees while a batch runs: a bar on a terminal, a line every few seconds elsewhere,
events with ``--json``.

The display reads the run's counters on its own clock; the work knows nothing of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

from rich.progress import BarColumn, Progress, TextColumn

from ._output import Output
from ._text import clock

__all__ = ["WORTH_SHOWING", "Counters", "Meter", "shown"]

_BAR_EVERY = 0.1
_LINE_EVERY = 3.0
_WINDOW = 6.0
"""Seconds over which the rates are taken: long enough to be steady, short enough to notice a change."""


WORTH_SHOWING = 500_000
"""Bytes sent from which a rate of megabytes says something: changes of tags send next to none."""


class Counters(Protocol):
    """What of a run's progress is shown."""

    @property
    def submitted(self) -> int: ...
    @property
    def done(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def skipped(self) -> int: ...
    @property
    def retries(self) -> int: ...
    @property
    def bytes_sent(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class Meter:
    """The figures of the moment: rates over the last few seconds, and the time that is left."""

    def __init__(self, counters: Counters, total: Callable[[], int | None]) -> None:
        self.counters = counters
        self._total = total
        self._samples: deque[tuple[float, int, int]] = deque()
        self.rate = self.byte_rate = 0.0
        self.total: int | None = None

    def sample(self) -> None:
        """Look at the counters."""
        now = self.counters
        self._samples.append((now.seconds, now.done, now.bytes_sent))
        while len(self._samples) > 2 and now.seconds - self._samples[1][0] >= _WINDOW:
            self._samples.popleft()
        seconds, done, sent = self._samples[0]
        if now.seconds > seconds:
            self.rate = (now.done - done) / (now.seconds - seconds)
            self.byte_rate = (now.bytes_sent - sent) / (now.seconds - seconds)
        total = self._total()
        self.total = None if total is None else max(total, now.submitted)

    @property
    def left(self) -> float | None:
        """Seconds to the end at this rate, or None where that is not known."""
        if self.total is None or self.rate <= 0:
            return None
        return (self.total - self.counters.done) / self.rate

    def figures(self, noun: str) -> str:
        """The figures on a line."""
        now = self.counters
        of = f"/{self.total:,}" if self.total is not None else ""
        parts = [f"{now.done:,}{of} {noun}s", f"{self.rate:,.1f}/s"]
        if now.bytes_sent >= WORTH_SHOWING:
            parts.append(f"{self.byte_rate / 1e6:,.1f} MB/s")
        parts.append(f"{now.failed:,} failed")
        if now.skipped:
            parts.append(f"{now.skipped:,} skipped")
        if self.left is not None:
            parts.append(f"{clock(self.left)} left")
        return "  ".join(parts)


@asynccontextmanager
async def shown(meter: Meter, output: Output, noun: str) -> AsyncIterator[None]:
    """While inside, the meter is on show."""
    show = _events if output.as_json else _bar if output.live else _lines
    task = asyncio.create_task(show(meter, output, noun))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _bar(meter: Meter, output: Output, noun: str) -> None:
    columns = (BarColumn(bar_width=None), TextColumn("{task.description}", markup=False))
    with Progress(
        *columns, console=output.console, auto_refresh=False, transient=True, expand=True
    ) as progress:
        task = progress.add_task("", total=None)
        while True:
            meter.sample()
            progress.update(
                task,
                total=meter.total,
                completed=meter.counters.done,
                description=meter.figures(noun),
            )
            progress.refresh()
            await asyncio.sleep(_BAR_EVERY)


async def _lines(meter: Meter, output: Output, noun: str) -> None:
    meter.sample()
    while True:
        await asyncio.sleep(_LINE_EVERY)
        meter.sample()
        output.note(meter.figures(noun))


async def _events(meter: Meter, output: Output, noun: str) -> None:
    meter.sample()
    while True:
        await asyncio.sleep(_LINE_EVERY)
        meter.sample()
        now = meter.counters
        output.event(
            "progress",
            done=now.done,
            total=meter.total,
            failed=now.failed,
            skipped=now.skipped,
            retries=now.retries,
            bytes_sent=now.bytes_sent,
            seconds=round(now.seconds, 3),
            per_second=round(meter.rate, 2),
        )
