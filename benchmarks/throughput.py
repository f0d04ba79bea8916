"""What gets through a quota over real sockets: ``python -m benchmarks.throughput [--seconds N] [--rounds N]``.

Small pictures, any number of them, go through ``upload_images`` to an emulator in a process of its own. It allows so
many calls a second, counts them in either way, and thinks about each. The ideal is all that it allows from the first
call on (a bucket is full then, which adds a second's calls), less what another client got. The client is told nothing
of the rate: the seconds in which it is looked for are in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import struct
import sys
import time
import zlib
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from statistics import median
from typing import Literal

import aiohttp

from customvision_async import ImageFile, TrainingClient
from customvision_async._events import Event, RequestDone
from customvision_async.emulator import Emulator

KEY = "0" * 32


@dataclass(frozen=True)
class Case:
    """One service. `rival` is the share of the rate that another client asks for in the middle third."""

    rate: float
    think: float
    counting: Literal["second", "bucket"]
    rival: float = 0.0
    penalty: bool = False
    seconds: float = 90.0

    def __str__(self) -> str:
        how = "sliding second" if self.counting == "second" else "bucket"
        more = f", another takes {self.rival:.0%} for a third" if self.rival else ""
        return f"{self.rate:g} calls/s by {how}, thinks {self.think:g} s{more}{', refuses all until Retry-After' if self.penalty else ''}"


class Seen:
    """What the uploads came to, from the events of the client. A call counts when it began within the time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._first: float | None = None
        self.statuses: dict[int, int] = {}

    def __call__(self, event: Event) -> None:
        """Count a call that is over."""
        if isinstance(event, RequestDone) and event.operation.startswith("CreateImages"):
            began = time.monotonic() - event.seconds
            self._first = began if self._first is None else min(began, self._first)
            if began - self._first < self._seconds:
                self.statuses[event.status] = self.statuses.get(event.status, 0) + 1


def pictures(seconds: float) -> Iterator[ImageFile]:
    """Small pictures for so long, each another: the header of a PNG, and a number."""
    end = time.monotonic() + seconds
    size = b"IHDR" + struct.pack(">IIBBBBB", 640, 480, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + size + struct.pack(">I", zlib.crc32(size))
    for number in takewhile(lambda _: time.monotonic() < end, count()):
        yield ImageFile(data=head + number.to_bytes(8, "big") + bytes(500), name=str(number))


async def serve(case: Case) -> None:
    """The emulator, until standard input ends."""
    async with Emulator(
        training_key=KEY,
        calls_per_second=case.rate,
        counting=case.counting,
        think_seconds=case.think,
        penalty=case.penalty,
        check_images="none",
        keep_images=False,
    ) as emulator:
        print(emulator.endpoint, flush=True)
        await asyncio.to_thread(sys.stdin.read)


@asynccontextmanager
async def served(case: Case) -> AsyncIterator[str]:
    """The endpoint of an emulator in another process."""
    command = [sys.executable, "-m", "benchmarks.throughput", "--serve", json.dumps(asdict(case))]
    server = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        yield (await server.stdout.readline()).decode().strip()
    finally:
        server.stdin.close()
        await server.wait()


async def rival(case: Case, endpoint: str) -> int:
    """Another client, which sends evenly and never again: how many of its calls were taken up."""
    await asyncio.sleep(case.seconds / 3)
    url, taken = f"{endpoint}/customvision/v3.3/training/domains", 0

    async def call() -> None:
        nonlocal taken
        async with session.get(url, headers={"Training-Key": KEY}) as response:
            taken += response.status == 200

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
        began, interval = time.monotonic(), 1 / (case.rate * case.rival)
        for number in range(int(case.seconds / 3 / interval)):
            await asyncio.sleep(began + number * interval - time.monotonic())
            group.create_task(call())
    return taken


async def measure(case: Case) -> dict[str, float]:
    """Upload for as long as the case says: the share of the ideal, and of the calls that were refused."""
    seen = Seen(case.seconds)
    async with served(case) as endpoint:
        async with TrainingClient(endpoint, KEY) as training:
            project = (await training.create_project("Throughput")).id
        await asyncio.sleep(1.5)  # that call is forgotten
        async with TrainingClient(endpoint, KEY, observers=[seen]) as training, asyncio.TaskGroup() as group:
            other = group.create_task(rival(case, endpoint)) if case.rival else None
            await training.get_project_client(project).upload_images(pictures(case.seconds + 1))
    taken = other.result() if other else 0
    ideal = case.rate * (case.seconds + (case.counting == "bucket")) - taken
    accepted, refused = seen.statuses.pop(200, 0), seen.statuses.pop(429, 0)
    if seen.statuses:
        raise RuntimeError(f"other answers: {seen.statuses}")
    return {"share": accepted / ideal, "refused": refused / (accepted + refused)}


def cases(seconds: float) -> list[Case]:
    """What is measured: each rate, way of counting and time of thinking; another client; a service that refuses all for a while."""
    ways: tuple[Literal["second", "bucket"], ...] = ("second", "bucket")
    plain = [Case(rate, think, way, seconds=seconds) for rate in (10.0, 2.0) for think in (0.1, 2.0) for way in ways]
    shared = [Case(10.0, 0.1, way, rival=0.6, seconds=3 * seconds) for way in ways]
    return [*plain, *shared, *(Case(10.0, 0.1, way, penalty=True, seconds=seconds) for way in ways)]


async def run_one(case: Case, turn: asyncio.Semaphore) -> dict[str, float]:
    """Measure in a process of its own."""
    async with turn:
        command = [sys.executable, "-m", "benchmarks.throughput", "--case", json.dumps(asdict(case))]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        line, _ = await process.communicate()
        figures: dict[str, float] = json.loads(line)
        return figures


async def table(seconds: float, rounds: int, together: int) -> None:
    """All cases, as lines of Markdown: medians of the rounds."""
    turn = asyncio.Semaphore(together)
    wanted = cases(seconds)
    rows = await asyncio.gather(*(run_one(case, turn) for _ in range(rounds) for case in wanted))
    print(f"| service | seconds | share of the ideal | least of {rounds} | answered 429 |", "|---|---|---|---|---|", sep="\n")
    for place, case in enumerate(wanted):
        own = rows[place :: len(wanted)]
        shares, refused = [row["share"] for row in own], median(row["refused"] for row in own)
        print(f"| {case} | {case.seconds:g} | {median(shares):.3f} | {min(shares):.3f} | {refused:.1%} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.throughput", description="Uploads through a quota, over sockets.")
    parser.add_argument("--seconds", type=float, default=90.0, help="of each run (90; three times that with another client)")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--together", type=int, default=2, help="cases at a time (2): none is bound by the machine, unless there are many")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(Case(**json.loads(arguments.serve))))
    elif arguments.case:
        print(json.dumps(asyncio.run(measure(Case(**json.loads(arguments.case))))), flush=True)
    else:
        asyncio.run(table(arguments.seconds, arguments.rounds, arguments.together))


if __name__ == "__main__":
    main()
