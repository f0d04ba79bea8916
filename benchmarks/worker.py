"""One measured run in a process of its own.

``python -m benchmarks.worker '{"job": "ours.upload", ...}'`` prints one line of JSON. Imports, the
creation of clients and a first request (which opens a connection and triggers lazy imports) are
outside the timed part, for all kinds alike.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["PROJECT", "TAG", "Meter", "Task"]

PROJECT = "6f1c3a52-0000-4000-8000-000000000001"
TAG = "48cdc50b-0ee0-4f02-afa8-e100568e1f6b"


@dataclass
class Task:
    """The task of a run.

    `endpoint` is that of the sink, and `ca` the certificate to trust. The other fields depend on
    the job.
    """

    job: str
    endpoint: str = ""
    ca: str | None = None
    core: int | None = None
    folder: str = ""
    image_size: int = 0
    count: int = 0
    batch: int = 64
    threads: int = 8
    rate: float = 10.0
    think: float = 0.0
    rival: float = 0.0
    seconds: float = 300.0

    def ids(self) -> list[str]:
        """Return `count` distinct ids of images."""
        return [f"{number:08x}-95b2-4c0b-8a2c-1c3f0c1d2e3f" for number in range(self.count)]


class Meter:
    """The timed part. Use it as a context manager around the work, then call `counted`.

    CPU is user and system time of the whole process. `memory` is the peak of resident memory during
    the work minus the memory at its start, in MiB.
    """

    def __enter__(self) -> Meter:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        self._resident = _status("VmRSS")
        self._cpu = _cpu()
        self._began = time.perf_counter()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.seconds = time.perf_counter() - self._began
        self.cpu = _cpu() - self._cpu
        self.memory = (_status("VmHWM") - self._resident) / 1024

    def counted(self, items: int, **more: float) -> dict[str, float]:
        """Return the result line of the run."""
        return {
            "items": items,
            "cpu": self.cpu,
            "seconds": self.seconds,
            "memory": self.memory,
            **more,
        }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _status(name: str) -> int:
    """Return a value of /proc/self/status, in KiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise LookupError(name)


def main() -> None:
    """Run the task of the command line."""
    told: dict[str, Any] = json.loads(sys.argv[1])
    task = Task(**told)
    if task.core is not None:
        os.sched_setaffinity(0, {task.core})
    module, _, name = task.job.partition(".")
    job = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    print(json.dumps(job(task)), flush=True)


if __name__ == "__main__":
    main()
