"""The soak test as a command: ``python -m tests.soak --images 1000000``.

It uploads many small images over loopback HTTP and checks for leaks. From a tenth of the way to the
end, memory may grow by 5 MiB. The numbers of file descriptors and tasks must not change.
"""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from customvision_async import ImageFile, TrainingClient
from tests.campaign.scenario import gif

MOST_GROWTH = 5 * 1024 * 1024
PROJECT = "00000000-0000-4000-8000-000000000001"


@dataclass(slots=True)
class Soak:
    """The outcome.

    Memory is in bytes at each tenth of the way. Descriptors and tasks are those before and after.
    """

    images: int = 0
    there: int = 0
    seconds: float = 0.0
    memory: list[int] = field(default_factory=list[int])
    descriptors: tuple[int, int] = (0, 0)
    tasks: tuple[int, int] = (0, 0)

    @property
    def growth(self) -> int:
        """Return the growth of memory from a tenth of the way to the end."""
        return self.memory[-1] - self.memory[0]

    def __str__(self) -> str:
        memory = ", ".join(f"{size / 2**20:.1f}" for size in self.memory)
        return (
            f"{self.images:,} images in {self.seconds:.0f} s "
            f"({self.images / self.seconds:,.0f}/s), "
            f"{self.there:,} are there;"
            f" memory at each tenth: {memory} MiB, {self.growth / 2**20:+.1f};"
            f" descriptors {self.descriptors[0]} -> {self.descriptors[1]}, tasks "
            f"{self.tasks[0]} -> {self.tasks[1]}"
        )


def memory() -> int:
    """Return the memory of this process (Linux)."""
    text = Path("/proc/self/statm").read_text()
    return int(text.split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors() -> int:
    """Return the number of open file descriptors of this process (Linux)."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def serving() -> Iterator[int]:
    """Run the server and yield its port."""
    command = [sys.executable, "-m", "tests.soak.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.communicate()


async def soak(images: int, port: int) -> Soak:
    """Upload `images` distinct images and measure the leaks."""
    done = Soak(images)
    before = descriptors(), len(asyncio.all_tasks())
    began = time.perf_counter()
    async with TrainingClient(f"http://127.0.0.1:{port}", "0" * 32) as training:
        project = training.get_project_client(PROJECT)
        source = (ImageFile(data=gif(str(number))) for number in range(images))
        async with project.upload_images(source) as upload:
            async for _ in upload:
                if upload.progress.done >= images // 10 * (len(done.memory) + 1):
                    gc.collect()
                    done.memory.append(memory())
        assert upload.report.succeeded == images, upload.report
        done.there = await project.count_images()
    done.seconds = time.perf_counter() - began
    for _ in range(10):
        await asyncio.sleep(0)
    gc.collect()
    done.descriptors = before[0], descriptors()
    done.tasks = before[1], len(asyncio.all_tasks())
    return done


def main() -> int:
    """Run the soak. Return 1 if something leaks."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.soak",
        description="Upload many small images and watch what is left behind.",
    )
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(__file__).with_name("SUMMARY.md"),
        help="where the summary goes",
    )
    options = parser.parse_args()
    with serving() as port:
        done = asyncio.run(soak(options.images, port))
    print(done)
    options.out.write_text(
        f"# Soak\n\nWritten by `python -m tests.soak --images {options.images}`.\n\n{done}\n"
    )
    clean = (
        done.descriptors[0] == done.descriptors[1]
        and done.tasks[0] == done.tasks[1]
        and done.there == done.images
    )
    return 0 if clean and done.growth <= MOST_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
