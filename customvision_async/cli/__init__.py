"""The ``customvision`` command, with one module for each group of commands.

This module imports the standard library only. A missing extra is then reported in one line, without
a traceback.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]

_EXTRAS = frozenset({"cyclopts", "rich"})
_INSTALL = "In the clone it was installed from: pip install '.[cli,emulator]'"


def main() -> NoReturn:
    """Run the command line in ``sys.argv`` and exit with its code."""
    from ._opening import open_missing_streams

    open_missing_streams()
    try:
        from ._run import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # Before the event loop runs, or after it has ended.
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
