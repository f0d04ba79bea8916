"""The ``customvision`` command: one file a noun.

This module needs nothing but the standard library, so that a missing extra is a line of advice and
not a traceback.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]

_EXTRAS = frozenset({"cyclopts", "rich"})
_INSTALL = "In the clone it was installed from: pip install '.[cli,emulator]'"


def main() -> NoReturn:
    """Run the command line on ``sys.argv`` and leave with its exit code."""
    from ._opening import open_missing_streams

    open_missing_streams()
    try:
        from ._run import run

        code = run(sys.argv[1:])
    except (
        KeyboardInterrupt
    ):  # before the event loop stood, or while the interpreter was winding down
        code = 130
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRAS:
            raise
        sys.stderr.write(
            f"customvision: the command line needs {missing}, which is not installed. {_INSTALL}\n"
        )
        code = 2
    sys.exit(code)
