"""Run the fault campaign: ``python -m tests.campaign --seeds 100000``. Write a summary.

Each problem names its seed. ``--first SEED --seeds 1`` plays that seed again, exactly.
"""

# ruff: noqa: T201  # a command prints

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from pathlib import Path

from tests.campaign.case import Outcome
from tests.campaign.many import campaign

SUMMARY = Path(__file__).with_name("SUMMARY.md")


class Sum:
    """The totals of many seeds."""

    def __init__(self) -> None:
        self.seeds = self.items = self.requests = self.in_doubt = self.doubled = 0
        self.virtual_seconds = 0.0
        self.faults: Counter[str] = Counter()
        self.problems: list[str] = []

    def add(self, outcome: Outcome) -> None:
        """Add the outcome of a seed."""
        self.seeds += 1
        self.items += outcome.items
        self.requests += outcome.requests
        self.in_doubt += outcome.in_doubt
        self.virtual_seconds += outcome.virtual_seconds
        self.faults += outcome.faults
        self.problems += [f"seed {outcome.seed}: {problem}" for problem in outcome.problems]

    def text(self, first: int, seconds: float) -> str:
        """Return the summary as Markdown."""
        lines = [
            "# The fault campaign",
            "",
            f"Written by `python -m tests.campaign --first {first} --seeds {self.seeds}`.",
            "",
            "| | number |",
            "|---|---|",
            f"| seeds | {self.seeds:,} (from {first:,}) |",
            f"| items uploaded | {self.items:,} |",
            f"| requests | {self.requests:,} |",
            f"| faults injected | {sum(self.faults.values()):,} |",
            f"| items in doubt, each reported | {self.in_doubt:,} |",
            f"| virtual time | {self.virtual_seconds / 3600:,.0f} h |",
            f"| real time | {seconds:,.0f} s |",
            f"| **problems found** | **{len(self.problems):,}** |",
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {kind} | {count:,} |" for kind, count in sorted(self.faults.items())),
        ]
        if self.problems:
            lines += ["", "## Problems", "", *(f"* {problem}" for problem in self.problems[:200])]
        return "\n".join(lines) + "\n"


def main() -> int:
    """Run the campaign. Return 1 if a problem was found."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign",
        description="Play random faults against the engine in virtual time.",
    )
    parser.add_argument("--seeds", type=int, default=2000, help="how many to play (default 2000)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="processes (default: one for each core)",
    )
    parser.add_argument(
        "--items", type=int, default=40, help="maximum items of an upload (default 40)"
    )
    parser.add_argument("--out", type=Path, default=SUMMARY, help="where the summary goes")
    parser.add_argument("--stop", action="store_true", help="end at the first problem")
    options = parser.parse_args()
    began, total = time.perf_counter(), Sum()
    for outcome in campaign(
        options.first, options.seeds, jobs=options.jobs, max_items=options.items
    ):
        total.add(outcome)
        for problem in outcome.problems[:5]:
            print(f"seed {outcome.seed}: {problem}", flush=True)
        if options.stop and total.problems:
            break
        if total.seeds % 1000 == 0:
            faults = sum(total.faults.values())
            print(
                f"{total.seeds:,} seeds, {faults:,} faults, {len(total.problems)} problems",
                file=sys.stderr,
                flush=True,
            )
    text = total.text(options.first, time.perf_counter() - began)
    options.out.write_text(text)
    print(text)
    return 1 if total.problems else 0


if __name__ == "__main__":
    sys.exit(main())
