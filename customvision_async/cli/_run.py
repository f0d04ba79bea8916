"""From the words of a command line to an exit code: parse, run on an event loop, and put every error in a line."""

from __future__ import annotations

import importlib.util
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence

import anyio
from cyclopts import CycloptsError, UnusedCliTokensError

from ._app import app
from ._exit import ExitCode, explain
from ._options import DEFAULT_EMULATOR, OutputOptions
from ._output import Output
from ._signals import Interrupt
from ._text import names

__all__ = ["run"]


def run(words: Sequence[str]) -> int:
    """Run the command line `words` and return its exit code."""
    words = _with_emulator_folder(words)
    screen = Output(as_json="--json" in words)
    try:
        command, bound, ignored = app.parse_args(words, print_error=False, exit_on_error=False)
        given = bound.arguments.get("common", OutputOptions())
        if given.debug:
            logging.basicConfig(
                level=logging.DEBUG, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr
            )
        if not inspect.iscoroutinefunction(command):  # --help, --version
            command(*bound.args, **bound.kwargs)
            return ExitCode.OK
    except CycloptsError as error:
        asked = f" {words[0]}" if words and words[0] in app else ""
        screen.error(f"{_plain(error)}\ncustomvision{asked} --help tells what there is.")
        screen.event("summary", ok=False, exit_code=int(ExitCode.USAGE), error=_plain(error))
        return ExitCode.USAGE
    interrupt = Interrupt(screen.note)
    services = {"screen": screen, "interrupt": interrupt}
    bound.arguments.update((name, services[name]) for name in ignored)
    work = _guarded(
        lambda: command(*bound.args, **bound.kwargs), screen, interrupt, debug=given.debug
    )
    fast = importlib.util.find_spec("uvloop") is not None
    try:
        return anyio.run(lambda: work, backend_options={"use_uvloop": fast})
    except BrokenPipeError:
        return _reader_gone()


async def _guarded(
    command: Callable[[], Awaitable[int]], screen: Output, interrupt: Interrupt, *, debug: bool
) -> int:
    """Run a command: a signal cancels it, an error becomes its line and its code."""
    try:
        with anyio.CancelScope() as scope, interrupt.listening(scope):
            code = await command()
            return interrupt.code or code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the last stop: a person is told, with the code that scripts act on
        return _report(error, screen, interrupt, debug=debug)
    if not screen.concluded:
        screen.error("interrupted")
        screen.event(
            "summary",
            ok=False,
            exit_code=int(interrupt.code or ExitCode.INTERRUPTED),
            error="interrupted",
        )
    return interrupt.code or ExitCode.INTERRUPTED


def _report(error: Exception, screen: Output, interrupt: Interrupt, *, debug: bool) -> int:
    while (
        isinstance(error, ExceptionGroup) and len(error.exceptions) == 1
    ):  # a task group's wrapping says nothing
        error = error.exceptions[0]
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    message, code = explain(error)
    code = interrupt.code or code
    screen.error(message)
    if not screen.concluded:
        screen.event("summary", ok=False, exit_code=int(code), error=message)
    return code


def _reader_gone() -> int:
    """Whoever read our output went away, as `head` does: end without a word, and let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.BROKEN_PIPE


def _with_emulator_folder(words: Sequence[str]) -> list[str]:
    """``--emulator`` takes the next word as its folder unless that is an option; alone, it means the default folder."""
    result: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return [*result, *words[index:]]
        result.append(word.removesuffix("=") if word == "--emulator=" else word)
        following = words[index + 1] if index + 1 < len(words) else "-"
        if word == "--emulator=" or (word == "--emulator" and following.startswith("-")):
            result.append(DEFAULT_EMULATOR)
    return result


def _plain(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return f"not understood: {names(error.unused_tokens)}"
    text = str(error).rstrip()
    if text.startswith(
        ("Unknown option: --key", "Unknown option: --training-key")
    ):  # never shown: the key may follow
        return "a key is never an argument, where others could read it: set VISION_TRAINING_KEY, or give --env-file"
    return text
