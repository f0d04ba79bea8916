"""Run the real command in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import Process

ROOT = Path(__file__).parent.parent.parent
_SIGTERM_BIT = 1 << (signal.SIGTERM - 1)
COMMAND = (sys.executable, "-m", "customvision_async")


@dataclass(frozen=True)
class Finished:
    """The outcome of a command."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the events of ``--json``. Fail if stdout holds anything that is not JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """Return the last event."""
        last = self.events[-1]
        assert last["event"] == "summary"
        return last


def environment(emulator: Any = None, **more: str) -> dict[str, str]:
    """Return the environment of this process without credentials, plus those of `emulator`."""
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("VISION_", "PYTEST_"))
    }
    env["PYTHONPATH"] = str(ROOT)
    env["PYTHONWARNINGS"] = "default"
    env["COLUMNS"] = "100"
    if emulator is not None:
        env["VISION_TRAINING_ENDPOINT"] = emulator.endpoint
        env["VISION_TRAINING_KEY"] = emulator.training_key
    return {**env, **more}


async def run(
    *words: object, env: Mapping[str, str], cwd: Path | None = None, stdin: str = ""
) -> Finished:
    """Run ``customvision`` with `words`."""
    done = await anyio.run_process(
        [*COMMAND, *map(str, words)], input=stdin.encode(), check=False, env=env, cwd=cwd
    )
    assert b"Warning: " not in done.stderr, done.stderr.decode()
    return Finished(done.returncode, done.stdout.decode(), done.stderr.decode())


@asynccontextmanager
async def started(
    *words: object, env: Mapping[str, str], cwd: Path | None = None
) -> AsyncIterator[Process]:
    """Start ``customvision`` with `words`. Kill it on exit if it still runs."""
    async with await anyio.open_process([*COMMAND, *map(str, words)], env=env, cwd=cwd) as process:
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()


async def listens(process: Process) -> None:
    """Wait until a command has its own handler for SIGTERM, and a moment longer.

    An earlier signal would end the process without the handler.
    """
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        while not int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & _SIGTERM_BIT:
            await anyio.sleep(0.02)
    else:
        await anyio.sleep(3)
    await anyio.sleep(0.3)


async def text_of(stream: Any) -> str:
    """Return all output of a stream until the process closes it."""
    return b"".join([part async for part in stream]).decode()


def failed_items(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the project and the items of a failed-items file."""
    first, *items = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    return first["failed_items_of"], items
