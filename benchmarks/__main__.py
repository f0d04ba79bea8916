"""Print one table of targets and results on this machine: ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from .measure import certificates
from .report import line, machine, write
from .rows import GROUPS, Bench, Row


def main() -> int:
    """Measure and print. Return 0 whatever the figures: a benchmark is not a test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "groups",
        nargs="*",
        metavar="GROUP",
        help=f"what to measure: {', '.join(GROUPS)} (all unless given)",
    )
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each (5)")
    parser.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir(), "customvision-benchmarks"),
        help="for images",
    )
    parser.add_argument(
        "--plots", action="store_true", help="measure for the plots too, and draw them (matplotlib)"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the table into benchmarks/README.md"
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.groups if name not in GROUPS]:
        parser.error(f"no such group: {', '.join(unknown)}; there are {', '.join(GROUPS)}")
    if not sys.platform.startswith("linux") or len(os.sched_getaffinity(0)) < 2:
        parser.error("this needs Linux and two cores: one for the client, one for the sink")
    os.environ.setdefault("PYTHONPATH", str(Path(__file__).parent.parent))
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as passing:
        _measure(arguments, Bench(arguments.scratch, certificates(Path(passing)), arguments.rounds))
    return 0


def _measure(arguments: argparse.Namespace, bench: Bench) -> None:
    print(*machine(), sep="\n")
    print(
        f"{'':2s}{'work':88s} {'reached':>15s}   {'target':>16s}   span; by kind   (! missed)",
        flush=True,
    )
    rows: list[Row] = []
    for name in arguments.groups or GROUPS:
        for row in GROUPS[name](bench):
            rows.append(row)
            print(line(row), flush=True)
    print(f"{sum(row.ok for row in rows)} of {len(rows)} targets reached")
    if arguments.write:
        write(rows, arguments.rounds)
    if arguments.plots:
        from .plots import draw

        draw(bench)


if __name__ == "__main__":
    sys.exit(main())
