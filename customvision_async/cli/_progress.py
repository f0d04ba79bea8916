"""Show the progress of a batch run.

A terminal gets a progress bar, other streams a line every few seconds, and ``--json`` events. The
display polls the counters of the run, so the run does not depend on it.
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

__all__ = ["MIN_BYTES_SHOWN", "Counters", "Meter", "show_progress"]

_BAR_SECONDS = 0.1
"""Seconds between two updates of the bar."""
_LINE_SECONDS = 3.0
"""Seconds between two lines or events."""
_WINDOW_SECONDS = 6.0
"""Seconds over which the rates are averaged."""

MIN_BYTES_SHOWN = 500_000
"""Bytes sent from which the byte rate is shown. Changes of tags send very little."""


class Counters(Protocol):
    """The counters of a run that are shown."""

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
    """Compute the rates of the last few seconds, and the time left."""

    def __init__(self, counters: Counters, total: Callable[[], int | None]) -> None:
        self.counters = counters
        self._total = total
        self._samples: deque[tuple[float, int, int]] = deque()
        self.rate = self.byte_rate = 0.0
        self.total: int | None = None

    def sample(self) -> None:
        """Read the counters and update the rates."""
        now = self.counters
        self._samples.append((now.seconds, now.done, now.bytes_sent))
        while len(self._samples) > 2 and now.seconds - self._samples[1][0] >= _WINDOW_SECONDS:
            self._samples.popleft()
        seconds, done, sent = self._samples[0]
        if now.seconds > seconds:
            self.rate = (now.done - done) / (now.seconds - seconds)
            self.byte_rate = (now.bytes_sent - sent) / (now.seconds - seconds)
        total = self._total()
        self.total = None if total is None else max(total, now.submitted)

    @property
    def left(self) -> float | None:
        """Seconds to the end at the current rate, or None if unknown."""
        if self.total is None or self.rate <= 0:
            return None
        return (self.total - self.counters.done) / self.rate

    def figures(self, noun: str) -> str:
        """Return the current figures as one line."""
        now = self.counters
        of = f"/{self.total:,}" if self.total is not None else ""
        parts = [f"{now.done:,}{of} {noun}s", f"{self.rate:,.1f}/s"]
        if now.bytes_sent >= MIN_BYTES_SHOWN:
            parts.append(f"{self.byte_rate / 1e6:,.1f} MB/s")
        parts.append(f"{now.failed:,} failed")
        if now.skipped:
            parts.append(f"{now.skipped:,} skipped")
        if self.left is not None:
            parts.append(f"{clock(self.left)} left")
        return "  ".join(parts)


@asynccontextmanager
async def show_progress(meter: Meter, output: Output, noun: str) -> AsyncIterator[None]:
    """Show the meter inside the block."""
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
            await asyncio.sleep(_BAR_SECONDS)


async def _lines(meter: Meter, output: Output, noun: str) -> None:
    meter.sample()
    while True:
        await asyncio.sleep(_LINE_SECONDS)
        meter.sample()
        output.note(meter.figures(noun))


async def _events(meter: Meter, output: Output, noun: str) -> None:
    meter.sample()
    while True:
        await asyncio.sleep(_LINE_SECONDS)
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
