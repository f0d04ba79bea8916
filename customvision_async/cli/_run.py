"""Parse a command line, run the command on an event loop, and report its errors."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from cyclopts import CycloptsError, UnusedCliTokensError

from ._app import app
from ._exit import ExitCode, explain
from ._options import DEFAULT_EMULATOR, DEFAULT_PROFILE, OutputOptions
from ._output import Output, redirect_to_null
from ._signals import Interrupt
from ._text import names, printable

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Run the command line `words` and return its exit code."""
    words = _with_values(words)
    output = Output(as_json="--json" in words)
    try:
        code = _run(words, output)
        sys.stdout.flush()
        if output.trouble:
            output.error(output.trouble)
            return code or ExitCode.USAGE
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does: exit without a message.
        redirect_to_null(sys.stdout)
        return ExitCode.BROKEN_PIPE
    except OSError as error:  # of the output; a command reports its own errors
        redirect_to_null(sys.stdout)
        output.error(f"the output cannot be written: {error.strerror}")
        return ExitCode.USAGE
    return code


def _run(words: Sequence[str], output: Output) -> int:
    try:
        command, bound, ignored = app.parse_args(words, print_error=False, exit_on_error=False)
        given = bound.arguments.get("common", OutputOptions())
        if given.debug:
            _log_to_stderr()
        if not inspect.iscoroutinefunction(command):  # --help, --version
            command(*bound.args, **bound.kwargs)
            return ExitCode.OK
    except CycloptsError as error:
        asked = f" {words[0]}" if words and words[0] in app else ""
        output.error(f"{_plain(error)}\ncustomvision{asked} --help tells what there is.")
        output.event("summary", ok=False, exit_code=int(ExitCode.USAGE), error=_plain(error))
        return ExitCode.USAGE
    interrupt = Interrupt(output.note)
    services = {"output": output, "interrupt": interrupt}
    bound.arguments.update((name, services[name]) for name in ignored)
    work = _guarded(
        lambda: command(*bound.args, **bound.kwargs), output, interrupt, debug=given.debug
    )
    fast = importlib.util.find_spec("uvloop") is not None
    return anyio.run(lambda: work, backend_options={"use_uvloop": fast})


async def _guarded(
    command: Callable[[], Awaitable[int]], output: Output, interrupt: Interrupt, *, debug: bool
) -> int:
    """Run a command and return its exit code. A signal cancels it, and errors are reported."""
    try:
        with anyio.CancelScope() as scope, interrupt.listening(scope):
            code = await command()
            return interrupt.code or code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the outermost handler
        return _report(error, output, interrupt, debug=debug)
    if not output.concluded:
        output.error("interrupted")
        output.event(
            "summary",
            ok=False,
            exit_code=int(interrupt.code or ExitCode.INTERRUPTED),
            error="interrupted",
        )
    return interrupt.code or ExitCode.INTERRUPTED


def _report(error: Exception, output: Output, interrupt: Interrupt, *, debug: bool) -> int:
    # Unwrap the exception group of a task group.
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if debug:
        for line in "".join(traceback.format_exception(error)).splitlines():
            output.note(line)
    message, code = explain(error)
    code = interrupt.code or code
    output.error(message)
    if not output.concluded:
        output.event("summary", ok=False, exit_code=int(code), error=message)
    return code


class _Formatter(logging.Formatter):
    """A formatter that escapes control characters from servers and file names."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the base's name
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # the base's name
        return "\n".join(map(printable, super().formatException(ei).splitlines()))


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.DEBUG, handlers=[handler])


_OPTIONAL = {"--emulator": DEFAULT_EMULATOR, "--probe": DEFAULT_PROFILE}
"""Options with an optional value, and their defaults."""


def _with_values(words: Sequence[str]) -> list[str]:
    """Return `words` with a value after each option of :data:`_OPTIONAL`.

    The next word is the value, unless it is an option or missing.
    """
    result: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*result, *words[index:]]
        name = word.removesuffix("=")
        result.append(name if name in _OPTIONAL else word)
        following = words[index + 1] if index + 1 < len(words) else "-"
        if name in _OPTIONAL and (word != name or following.startswith("-")):
            result.append(_OPTIONAL[name])
    return result


def _plain(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"not understood: {names(error.unused_tokens)}"
    text = str(error).rstrip()
    if text.startswith(("Unknown option: --key", "Unknown option: --training-key")):
        # Do not show the original message, which may contain the key.
        return (
            "a key is never an argument, where others could read it: set VISION_TRAINING_KEY, or "
            "give --env-file"
        )
    return text
