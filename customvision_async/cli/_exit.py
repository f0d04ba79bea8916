"""The exit codes, and the message and code for each error."""

from __future__ import annotations

import signal
from enum import IntEnum

from ..errors import CustomVisionError, LimitExceeded, ServiceError, UnsupportedOperation
from ..sources import OtherProjectError

__all__ = ["HELP", "CommandError", "ExitCode", "explain"]


class ExitCode(IntEnum):
    """The exit codes. They are part of the public interface."""

    OK = 0
    ITEMS = 1
    USAGE = 2
    SERVICE = 3
    INTERNAL = 70
    INTERRUPTED = 128 + signal.SIGINT
    BROKEN_PIPE = 141
    TERMINATED = 128 + signal.SIGTERM


HELP = (
    "Exit codes: 0 all well; 1 some items failed, there was nothing to upload, or the doctor "
    "found a problem; 2 wrong use, a missing file, project, tag or extra; "
    "3 no credentials, or the service refused or could not be reached; 70 a fault of this program; "
    "130 Ctrl-C; 141 the reader of the output went away; 143 SIGTERM."
)


class CommandError(Exception):
    """An error that ends a command with a message for the user and an exit code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.USAGE) -> None:
        super().__init__(message)
        self.code = code


def explain(error: BaseException) -> tuple[str, ExitCode]:
    """Return the message for `error`, of one or two lines, and the exit code."""
    match error:
        case CommandError():
            return str(error), error.code
        case OtherProjectError():
            advice = "Give that project, or delete the first line of the file to send them anyway."
            return f"{error}. {advice}", ExitCode.USAGE
        case LimitExceeded() | UnsupportedOperation():
            return str(error), ExitCode.USAGE
        case LookupError() if not isinstance(error, KeyError | IndexError):
            # No such tag or domain. The message names the existing ones.
            return str(error), ExitCode.USAGE
        case ServiceError():
            support = f"(request id {error.request_id})" if error.request_id else ""
            more = " ".join(part for part in (error.advice, support) if part)
            # The gateway repeats the status as its code.
            status = " ".join(dict.fromkeys((str(error.status), error.code))).strip()
            message = f"{error.operation}: {status}: {error.message}"
            return f"{message}\n{more}" if more else message, ExitCode.SERVICE
        case CustomVisionError():
            return str(error), ExitCode.SERVICE
        case OSError():
            where = f": {error.filename!r}" if error.filename is not None else ""
            return f"{error.strerror or str(error) or type(error).__name__}{where}", ExitCode.USAGE
        case _:
            return (
                (
                    f"a fault of this program: {type(error).__name__}: {error}. Run again with "
                    "--debug and report what it prints."
                ),
                ExitCode.INTERNAL,
            )
