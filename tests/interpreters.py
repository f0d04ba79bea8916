"""Run the engine's tests on other interpreters, with eager tasks: ``python -m tests.interpreters``.

It looks for Python 3.12 to 3.14, with the GIL and free-threaded, on PATH and in the folders of
pyenv and uv. Each interpreter gets an environment of its own and runs :data:`TESTS`. Missing ones
are listed. No interpreter is installed.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["TESTS", "WANTED", "candidates", "found"]

WANTED = ("3.12", "3.13", "3.13t", "3.14", "3.14t")
"""Python 3.12 added the eager task factory, 3.13 the free-threaded build."""
TESTS = (
    "batch/test_run",
    "batch/test_leaving",
    "test_cancellation",
    "project/test_uploads_foreign",
)
ROOT = Path(__file__).parent.parent

_WHICH = (
    "import sys, sysconfig; free = sysconfig.get_config_var('Py_GIL_DISABLED') or 0;"
    "print('%d.%d%s' % (*sys.version_info[:2], 't' * free))"
)
_STATE = (
    "import asyncio, sys, customvision_async; from tests.support import eager;"
    "eager_now = asyncio.new_event_loop().get_task_factory() is asyncio.eager_task_factory;"
    "gil = getattr(sys, '_is_gil_enabled', lambda: True)();"
    "print(sys.version.split()[0] + ', eager tasks ' + ('on' if eager_now else 'OFF')"
    " + ', GIL ' + ('on' if gil else 'off')); sys.exit(not eager_now)"
)


def candidates(environment: Mapping[str, str] = os.environ) -> Iterator[Path]:
    """Yield the paths where an interpreter may be."""
    home = Path(environment.get("HOME", "/"))
    pyenv = Path(environment.get("PYENV_ROOT") or home / ".pyenv")
    data = Path(environment.get("XDG_DATA_HOME") or home / ".local/share")
    uv = Path(environment.get("UV_PYTHON_INSTALL_DIR") or data / "uv/python")
    folders = [Path(folder) for folder in environment.get("PATH", "").split(os.pathsep) if folder]
    folders += [*sorted(pyenv.glob("versions/*/bin")), *sorted(uv.glob("*/bin"))]
    for version in WANTED:
        yield from (
            path for folder in folders if os.access(path := folder / f"python{version}", os.X_OK)
        )


def found(paths: Iterable[Path]) -> dict[str, Path]:
    """Return the first interpreter of each wanted version that starts. Broken shims are skipped."""
    known: dict[str, Path] = {}
    for path in paths:
        try:
            asked = subprocess.run(
                [path, "-c", _WHICH], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if asked.returncode == 0 and (version := asked.stdout.strip()) in WANTED:
            known.setdefault(version, path)
    return known


def tried(python: Path) -> tuple[bool, str]:
    """Run the tests in an environment of their own. Return whether they pass, and the output."""
    said: list[str] = []
    with tempfile.TemporaryDirectory(prefix="customvision-", ignore_cleanup_errors=True) as folder:
        own = Path(folder) / "bin" / "python"
        steps: tuple[list[str | Path], ...] = (
            [python, "-m", "venv", folder],
            [own, "-m", "pip", "install", "--quiet", "--no-compile", "--editable", ".[emulator]",
             "pytest", "pytest-timeout", "hypothesis"],
            [own, "-c", _STATE],
            [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "tests.support.eager",
             *(f"tests/{name}.py" for name in TESTS)],
        )  # fmt: skip
        for step in steps:
            done = subprocess.run(step, cwd=ROOT, capture_output=True, text=True, check=False)
            said += [done.stdout, done.stderr if done.returncode else ""]
            if done.returncode:
                return False, "".join(said)
    return True, "".join(said)


def main() -> int:
    """Run the tests. Return 1 if one fails or a required interpreter is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.interpreters", description=__doc__)
    parser.add_argument("--require", nargs="*", default=[], metavar="VERSION", choices=WANTED)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    options = parser.parse_args()
    there, bad = found(candidates()), 0
    with ThreadPoolExecutor(max_workers=options.jobs) as pool:
        tries = {version: pool.submit(tried, path) for version, path in there.items()}
        for version in WANTED:
            if version not in tries:
                print(f"Python {version}: SKIPPED, no such interpreter is installed", flush=True)
                bad += version in options.require
                continue
            good, said = tries[version].result()
            bad += not good
            word = "passed" if good else "FAILED"
            print(f"Python {version}: {word} ({there[version]})\n{said}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
