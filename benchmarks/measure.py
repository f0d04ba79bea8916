"""Compare runs: the sink on one core, the client on another, one process per run, kinds in turn."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import trustme

__all__ = ["Runs", "certificates", "sink", "together"]


def _cores() -> tuple[int | None, int | None]:
    """Return the cores of the client and of the sink: the first and the last, so that they never
    share one.
    """
    there = sorted(os.sched_getaffinity(0))
    return (there[0], there[-1]) if len(there) > 1 else (None, None)


CLIENT, SINK = _cores()


@dataclass
class Runs:
    """The runs of several kinds of client: the results of each, in the order of the rounds."""

    lines: dict[str, list[dict[str, float]]] = field(
        default_factory=dict[str, list[dict[str, float]]]
    )

    def each(self, kind: str, what: str) -> list[float]:
        """Return one figure of each run: "cpu" per item, "rate" in items per second, or another."""
        lines = self.lines[kind]
        if what == "cpu":
            return [line["cpu"] / line["items"] for line in lines]
        if what == "rate":
            return [line["items"] / line["seconds"] for line in lines]
        return [line[what] for line in lines]

    def median(self, kind: str, what: str) -> float:
        """Return the median of a figure."""
        return median(self.each(kind, what))

    def ratios(self, above: str, below: str, what: str) -> list[float]:
        """Return the figure of `above` divided by that of `below`, for each round."""
        return [a / b for a, b in zip(self.each(above, what), self.each(below, what), strict=True)]


def certificates(scratch: Path) -> tuple[str, str]:
    """Create an authority. Return the files that the client trusts and that the sink presents."""
    authority = trustme.CA()
    trusted, shown = scratch / "authority.pem", scratch / "sink.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
        str(shown)
    )
    return str(trusted), str(shown)


@contextmanager
def sink(tls: tuple[str, str] | None = None, **options: Any) -> Iterator[dict[str, Any]]:
    """Run a sink in a process of its own. Yield the fields that a task needs to reach it."""
    told = {"core": SINK, "certificate": tls[1] if tls else None, **options}
    command = [sys.executable, "-m", "benchmarks.sink", json.dumps(told)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield {
                "endpoint": f"{'https' if tls else 'http'}://127.0.0.1:{port}",
                "ca": tls[0] if tls else None,
                "core": CLIENT,
            }
        finally:
            process.stdin.close()
            process.wait(10)


def run_once(task: Mapping[str, Any]) -> dict[str, float]:
    """Run one task in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.worker", json.dumps(task)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    line: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return line


def together(tasks: Mapping[str, Mapping[str, Any]], rounds: int) -> Runs:
    """Run every task `rounds` times. Each round runs all of them in a random order."""
    runs = Runs({kind: [] for kind in tasks})
    rng = random.Random(rounds)
    for _ in range(rounds):
        for kind in rng.sample(list(tasks), len(tasks)):
            runs.lines[kind].append(run_once(tasks[kind]))
    return runs
