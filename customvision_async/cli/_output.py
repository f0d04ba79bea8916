"""The output of a command: data and summaries on stdout, everything else on stderr.

With ``--json``, stdout has one JSON object per line: events first, and a summary last. Text goes
through :func:`~._text.printable` before it reaches a terminal. JSON is pure ASCII and does not need
that.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._exit import CommandError
from ._text import printable

__all__ = ["Output", "redirect_to_null"]


def redirect_to_null(stream: TextIO) -> None:
    """Redirect a standard stream to the null device, after a write error."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class Output:
    """Print to the two output streams of a command.

    If stdout cannot be written (a full disk), the command ends with a CommandError, and later
    output goes to stderr. Write errors of stderr are ignored.

    Attributes:
        as_json: Whether ``--json`` was given.
        concluded: Whether the summary was printed.
        trouble: The write error of stdout, unless a CommandError reported it.
        console: The console on stderr.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.concluded: bool = False
        self.trouble: str = ""
        self._stdout_lost = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # Print an escape for a character that the encoding lacks.
                stream.reconfigure(errors="backslashreplace")
        self._console = Console(highlight=False, markup=False, emoji=False)
        self.console: Console = Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that can show a progress bar."""
        return self.console.is_terminal and not self.as_json and not self.console.is_dumb_terminal

    def line(self, text: str) -> None:
        """Print a line of data to stdout. Do nothing with ``--json``."""
        if not self.as_json:
            self._write(printable(text) + "\n")

    def note(self, text: str, style: str = "") -> None:
        """Print a line to stderr, above the progress bar if there is one."""
        try:
            # Both streams may go to the same terminal, so keep the lines in order.
            self._write("", flush=True)
        except CommandError as error:  # the next line of data or the end of the command reports it
            self.trouble = str(error)
        try:
            self.console.print(Text(printable(text), style=style), soft_wrap=True)
        except OSError:
            redirect_to_null(sys.stderr)

    def error(self, text: str) -> None:
        """Print an error message to stderr, with a prefix for each line of `text`."""
        for part in text.splitlines() or [""]:
            self.note(f"customvision: {part}", style="bold red")

    def event(self, kind: str, **fields: Any) -> None:
        """Print an event to stdout with ``--json``. Otherwise do nothing."""
        if self.as_json:
            # Flush, because programs act on events as they arrive.
            self._write(json.dumps({"event": kind, **fields}, default=str) + "\n", flush=True)

    def summary(self, lines: Sequence[str], **fields: Any) -> None:
        """Print the summary, the last output on stdout."""
        for text in lines:
            self.line(text)
        self.event("summary", **fields)
        self.concluded = True
        self._write("", flush=True)

    def _write(self, text: str, *, flush: bool = False) -> None:
        if self._stdout_lost:
            if text:
                self.note(text.rstrip("\n"))
            return
        try:
            sys.stdout.write(text)
            if flush:
                sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self._stdout_lost = True
            redirect_to_null(sys.stdout)
            raise CommandError(f"the output cannot be written: {error.strerror}") from error

    def table(self, title: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Print a table to stdout. Do nothing with ``--json`` or without rows."""
        if self.as_json or not rows:
            return
        table = Table(title=title or None, title_justify="left", header_style="bold")
        for index, name in enumerate(rows[0]):
            table.add_column(name, justify="left" if index == 0 else "right", overflow="fold")
        for row in rows:
            table.add_row(*(Text(printable(value)) for value in row.values()))
        with self._console.capture() as captured:
            self._console.print(table)
        self._write(captured.get())
