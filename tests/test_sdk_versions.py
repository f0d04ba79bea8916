"""Released versions of Microsoft's Python SDK drive the emulator (tests.sdks runs all of them).

These are the last ones for Training v2.0, v3.0 and v3.3. 0.1.0 and 3.1.1 have tests of their own,
which call every operation.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdks.__main__ import PACKAGE, run
from tests.sdks.scenario import STEPS


@pytest.mark.parametrize("version", ["0.2.0", "1.0.0", "3.0.0"])
def test_a_version_of_the_sdk_does_a_whole_job(version: str, tmp_path: Path) -> None:
    """Each step of the scenario succeeds, from projects to deletions."""
    pytest.importorskip("msrest")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-compile", "--target", str(tmp_path), f"{PACKAGE}=={version}"]
    result = subprocess.run([*command, *options], capture_output=True, text=True, timeout=100)
    if result.returncode:
        pytest.skip(f"{PACKAGE} cannot be installed here: {result.stderr.strip()[-200:]}")
    assert run([sys.executable], str(tmp_path)) == dict.fromkeys(STEPS, "ok")
