"""The command that runs tests on other interpreters, and its plugin for eager tasks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interpreters import candidates, found


def interpreter(path: Path, script: str) -> Path:
    """Create a fake interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="programs are shell scripts here")
def test_an_interpreter_is_known_by_what_it_says_and_not_by_its_name(tmp_path: Path) -> None:
    """A broken shim is skipped. Interpreters of pyenv and uv are found."""
    home = tmp_path / "home"
    interpreter(tmp_path / "shims/python3.12", "exit 127")
    interpreter(tmp_path / "shims/python3.14", "echo 3.11")
    real = interpreter(home / ".pyenv/versions/3.12.1/bin/python3.12", "echo 3.12")
    free = interpreter(home / ".local/share/uv/python/free/bin/python3.14t", "echo 3.14t")
    environment = {"HOME": str(home), "PATH": str(tmp_path / "shims")}
    assert found(candidates(environment)) == {"3.12": real, "3.14t": free}


def test_the_plugin_makes_tasks_eager_or_says_that_it_cannot() -> None:
    """A task runs before it is awaited. Before Python 3.12 the plugin raises."""
    program = """if True:
        import asyncio
        from tests.support import eager
        async def one(): seen.append(1)
        async def main():
            task = asyncio.create_task(one())
            print(seen)
        seen = []
        asyncio.run(main())
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    if hasattr(asyncio, "eager_task_factory"):
        assert done.stdout.strip() == "[1]"
    else:
        assert "comes with Python 3.12" in done.stderr
