"""``python -m tests.switches``: check common operations under settings of the emulator's switches.

Settings that fail are printed as profiles for ``Emulator(profile=FILE)``.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from tests.switches.core import failing
from tests.switches.covering import alone, pairs, random_rows


def _report(row: Mapping[str, Any], error: Exception) -> None:
    print(json.dumps({"switches": row}))
    traceback.print_exception(error)


def main() -> int:
    """Run the checks, and return 1 if one fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.switches", description=__doc__)
    parser.add_argument("--random", type=int, metavar="N", help="N random settings")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", action="store_true", help="each switch by itself")
    parser.add_argument("--pairs", action="store_true", help="every pair of values")
    parser.add_argument("--jobs", type=int, default=4, help="rows at a time (%(default)s)")
    given = parser.parse_args()
    rows = [
        *(alone() if given.alone else ()),
        *(pairs() if given.pairs else ()),
        *random_rows(given.random or 0, given.seed),
    ]
    if not rows:
        parser.error("nothing to do: give --alone, --pairs or --random N")
    failed = asyncio.run(failing(rows, jobs=given.jobs))
    for row, error in failed:
        _report(row, error)
    print(f"{len(rows) - len(failed)} of {len(rows)} settings held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
