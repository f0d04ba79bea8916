"""Where a command prints: data and summaries to stdout, everything on the way there to stderr.

With ``--json`` stdout has one JSON object a line and nothing else: events first, a summary last.
Every name that comes from outside goes through :func:`~._text.printable` before it reaches a
terminal; JSON is pure ASCII, so it needs no more.
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
    """Let a standard stream that cannot be written to write to the null device from now on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


class Output:
    """The two streams of a command. `live` says whether a person is watching stderr on a terminal.

    `concluded` says that the summary is out. A stdout that cannot be written to (a full disk) ends
    the command with a CommandError; what is printed after that goes to stderr. A stderr that cannot
    be written to ends nothing.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.concluded: bool = False
        self.trouble: str = ""
        """Why stdout is lost, unless a CommandError has told."""
        self._stdout_lost = False
        for stream in (sys.stdout, sys.stderr):
            if isinstance(
                stream, io.TextIOWrapper
            ):  # a stream that cannot show a letter shows its escape
                stream.reconfigure(errors="backslashreplace")
        self._console = Console(highlight=False, markup=False, emoji=False)
        self.console: Console = Console(
            stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True
        )

    @property
    def live(self) -> bool:
        return self.console.is_terminal and not self.as_json and not self.console.is_dumb_terminal

    def line(self, text: str) -> None:
        """A line of data, for people. Nothing with ``--json``."""
        if not self.as_json:
            self._write(printable(text) + "\n")

    def note(self, text: str, style: str = "") -> None:
        """A line beside the data, on stderr, above the bar if there is one."""
        try:
            self._write("", flush=True)  # both streams may go to one place: in the order of events
        except CommandError as error:  # beside the data, so whoever writes data is to end
            self.trouble = str(error)
        try:
            self.console.print(Text(printable(text), style=style), soft_wrap=True)
        except OSError:
            redirect_to_null(sys.stderr)

    def error(self, text: str) -> None:
        """What went wrong: one line on stderr for each line of `text`."""
        for part in text.splitlines() or [""]:
            self.note(f"customvision: {part}", style="bold red")

    def event(self, kind: str, **fields: Any) -> None:
        """A line of JSON with ``--json``, otherwise nothing."""
        if self.as_json:
            # Whoever reads the events acts on them as they come.
            self._write(json.dumps({"event": kind, **fields}, default=str) + "\n", flush=True)

    def summary(self, lines: Sequence[str], **fields: Any) -> None:
        """How it went: the last thing on stdout."""
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
        """A small table for people."""
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
