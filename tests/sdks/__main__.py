"""Run every released version of Microsoft's Python SDK against the emulator: ``python -m
tests.sdks``.

It creates an environment per version (kept in --folder, so that a second run takes seconds), runs
one scenario in each, prints a table of the steps, and exits with 1 if a step failed.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from customvision_async.emulator import Emulator
from tests.sdks.scenario import STEPS
from tests.support.images import image_bytes

PACKAGE = "azure-cognitiveservices-vision-customvision"
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "1.0.0", "2.0.0", "3.0.0", "3.1.0", "3.1.1")
SCENARIO = Path(__file__).with_name("scenario.py")


def environment(folder: Path, version: str) -> Path:
    """Return the interpreter of an environment that has the version. Raise CalledProcessError."""
    home = folder / version
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (home / "complete").exists():
        venv.create(home, with_pip=True, clear=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, f"{PACKAGE}=={version}"], check=True, timeout=600)
        (home / "complete").touch()
    return python


def run(command: list[str], path: str | None = None) -> dict[str, str]:
    """Return the outcome of each step. Raise RuntimeError if the scenario did not end."""
    with Emulator(
        training_key="a" * 32, prediction_key="b" * 32, training_seconds=0.05
    ) as emulator:
        given = {
            "endpoint": emulator.endpoint,
            "training_key": emulator.training_key,
            "prediction_key": emulator.prediction_key,
            "images": [base64.b64encode(image_bytes(seed)).decode() for seed in range(20)],
        }
        result = subprocess.run(
            [*command, "-W", "ignore", str(SCENARIO)],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            env=os.environ | ({"PYTHONPATH": path} if path else {}),
            timeout=120,
        )
    if result.returncode:
        raise RuntimeError(result.stderr.strip()[-1000:])
    return dict(json.loads(result.stdout))


def main() -> int:
    """Run the selected versions, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.sdks", description=__doc__)
    parser.add_argument("versions", nargs="*", default=VERSIONS, help="such as 1.0.0")
    default = Path(tempfile.gettempdir()) / f"customvision-sdks-{os.getuid()}"
    parser.add_argument("--folder", type=Path, default=default, help="where environments are kept")
    asked = parser.parse_args()
    asked.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    print(f"{'version':8}", *(f"{step:9}" for step in STEPS))
    problems: list[str] = []
    for version in asked.versions:
        try:
            seen = run([str(environment(asked.folder, version))])
        except (RuntimeError, subprocess.SubprocessError) as error:
            problems.append(f"{version}: {error}")
            print(f"{version:8} did not run")
            continue
        words = {"ok": "ok", "not there": "-"}
        print(
            f"{version:8}", *(f"{words.get(seen[step], 'FAILED'):9}" for step in STEPS), flush=True
        )
        problems += [f"{version} {s}: {seen[s]}" for s in STEPS if seen[s] not in words]
    print(*problems, sep="\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
