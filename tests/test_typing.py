"""The verdicts of mypy and pyright on the programs of tests/typing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import ROOT

PROGRAMS = ROOT / "tests" / "typing"
RIGHT, WRONG = PROGRAMS / "right_uses.py", PROGRAMS / "misuses.py"
ENOUGH = 0.9
"""The fraction of the misuses that a checker must find."""

Lines = dict[Path, set[int]]


def marked(path: Path, mark: str) -> set[int]:
    """Return the lines of a program that are marked."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {number for number, line in enumerate(lines, 1) if f"  # {mark}" in line}


def mypy() -> Lines:
    """Return the lines with an error for mypy --strict."""
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-pretty", "--config-file", "",
         *map(str, (RIGHT, WRONG))],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Lines = {}
    for name, line in re.findall(r"^(.+?\.py):(\d+): error: ", done.stdout, re.MULTILINE):
        found.setdefault((ROOT / name).resolve(), set()).add(int(line))
    return found


def pyright() -> Lines:
    """Return the lines with an error for pyright."""
    done = subprocess.run(
        [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable,
         str(RIGHT), str(WRONG)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found: Lines = {}
    for one in json.loads(done.stdout)["generalDiagnostics"]:
        if one["severity"] == "error":
            line = one["range"]["start"]["line"] + 1
            found.setdefault(Path(one["file"]).resolve(), set()).add(line)
    return found


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_misuses_are_found_and_right_uses_are_not_refused(checker: Callable[[], Lines]) -> None:
    """A type checker refuses no right use, and finds nearly every planted misuse."""
    pytest.importorskip(checker.__name__, reason="type checkers are no part of the test extra")
    uses, misuses = marked(RIGHT, "use"), marked(WRONG, "misuse")
    assert len(uses) >= 40
    assert len(misuses) >= 40
    found = checker()
    missed = misuses - found.get(WRONG, set())
    assert found.get(RIGHT, set()) == set()
    assert found.get(WRONG, set()) - misuses == set()
    assert len(missed) <= (1 - ENOUGH) * len(misuses), f"not found: {sorted(missed)}"
