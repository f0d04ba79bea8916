"""Check that the tests detect mistakes: ``python -m tests.mutants``.

Each mutant of the table is applied to a copy of the package, and its killers are run on it. First,
all killers are run on an unchanged copy, where they must pass.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.table import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
SUMMARY = Path(__file__).with_name("SUMMARY.md")
LIMIT = 300.0
"""Timeout of one killer in seconds. A mutant that hangs counts as killed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a mutant."""

    name: str
    killed: bool
    by: str
    seconds: float


def mutate(source: Path, mutant: Mutant) -> str:
    """Return the text of the file with the mistake in it.

    Raises:
        LookupError: The original text does not occur exactly once. The table is out of date.
    """
    text = (source / mutant.file).read_text()
    if text.count(mutant.old) != 1:
        raise LookupError(
            f"{mutant.name!r}: what it changes stands {text.count(mutant.old)} times in "
            f"{mutant.file}"
        )
    return text.replace(mutant.old, mutant.new)


def copy_package(folder: Path) -> Path:
    """Copy the package and its tests into `folder`. Return the copy of the package."""
    for name in ("customvision_async", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder / "customvision_async"


def run(folder: Path, killer: tuple[str, ...]) -> str:
    """Run a killer on the copy in `folder`. Return its last line if it failed, or else ""."""
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *killer],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT:.0f} s"
    words = (done.stdout.strip() or done.stderr.strip() or "it failed").splitlines()
    told = [line for line in words if line.startswith(("FAILED", "ERROR", "seed "))] or words[-1:]
    return told[0][:160] if done.returncode else ""


def try_to_kill(mutant: Mutant) -> Verdict:
    """Apply the mutant and try to kill it."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        package = copy_package(Path(name))
        text = mutate(package, mutant)
        (package / mutant.file).write_text(text)
        by = next(filter(None, (run(Path(name), killer) for killer in mutant.killers)), "")
    return Verdict(mutant.name, bool(by), by, time.perf_counter() - began)


def first_failing_killer(mutants: Iterable[Mutant]) -> str:
    """Return the first killer that fails without a mistake, with its output, or an empty string."""
    killers = dict.fromkeys(killer for mutant in mutants for killer in mutant.killers)
    with tempfile.TemporaryDirectory() as name:
        copy_package(Path(name))
        return next(
            (
                f"{' '.join(killer)}: {words}"
                for killer in killers
                if (words := run(Path(name), killer))
            ),
            "",
        )


def as_markdown(verdicts: list[Verdict]) -> str:
    """Return the table of verdicts as Markdown."""
    killed = sum(verdict.killed for verdict in verdicts)
    rows = (
        (
            f"| {v.name} | {'killed' if v.killed else '**lives**'} | {v.by.replace('|', '/')} | "
            f"{v.seconds:.0f} |"
        )
        for v in verdicts
    )
    head = [
        "# Mutants",
        "",
        f"Written by `python -m tests.mutants`: {killed} of {len(verdicts)} killed.",
        "",
    ]
    return "\n".join([*head, "| mutant | | by | s |", "|---|---|---|---|", *rows]) + "\n"


def main() -> int:
    """Run all mutants. Return 1 if one survives."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="See whether the tests notice mistakes."
    )
    parser.add_argument("--only", default="", help="mutants whose name has this in it")
    parser.add_argument(
        "--jobs",
        type=int,
        default=os.cpu_count() or 1,
        help="how many at once (default: one for each core)",
    )
    parser.add_argument("--out", type=Path, default=SUMMARY, help="where the table goes")
    options = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if words := first_failing_killer(mutants):
        print(f"without a mistake, this fails: {words}")
        return 2
    verdicts = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(try_to_kill, mutants):
            print(
                (
                    f"{'killed' if verdict.killed else 'LIVES '} {verdict.name}: {verdict.by} "
                    f"({verdict.seconds:.0f} s)"
                ),
                flush=True,
            )
            verdicts.append(verdict)
    options.out.write_text(as_markdown(verdicts))
    return 0 if all(verdict.killed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
