"""Measure the throughput under a quota over real sockets.

Run it with ``python -m benchmarks.throughput [--seconds N] [--rounds N]``. Small images go through
``upload_images`` to an emulator in a process of its own. It limits the requests per second, counted
in one of two ways, and has a think time. The ideal is everything that it allows from the first
request on (the bucket starts full, which adds the requests of one second) minus the share of the
other client. The client is not told the rate, so the first figure includes the seconds of the
search.
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
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from itertools import count, takewhile
from statistics import median
from typing import Literal

import aiohttp

from customvision_async import ImageFile, TrainingClient
from customvision_async._events import Event, RequestCompleted
from customvision_async.emulator import Emulator

KEY = "0" * 32
FOUND = 30.0
"""Seconds after which the rate should have been found. The rest of the time has a figure of its
own.
"""


@dataclass(frozen=True)
class Case:
    """One service.

    `rival` is the share of the rate that another client requests in the middle third.
    """

    rate: float
    think: float
    counting: Literal["second", "bucket"]
    rival: float = 0.0
    penalty: bool = False
    seconds: float = 90.0

    def __str__(self) -> str:
        how = "sliding second" if self.counting == "second" else "bucket"
        more = f", another takes {self.rival:.0%} for a third" if self.rival else ""
        penalty = ", refuses all until Retry-After" if self.penalty else ""
        return f"{self.rate:g} calls/s by {how}, thinks {self.think:g} s{more}{penalty}"


class Seen:
    """The uploads as the events of the client tell them: the start of each request, by the status
    of its response.
    """

    def __init__(self) -> None:
        self.began: dict[int, list[float]] = defaultdict(list)

    def __call__(self, event: Event) -> None:
        """Count a completed request."""
        if isinstance(event, RequestCompleted) and event.operation.startswith("CreateImages"):
            self.began[event.status].append(time.monotonic() - event.seconds)

    def between(self, begin: float, end: float) -> tuple[int, int]:
        """Return the numbers of accepted and refused requests that began in this span.

        The span is in seconds from the first request.
        """
        if other := self.began.keys() - {200, 429}:
            raise RuntimeError(f"other answers: {other}")
        first = min(map(min, self.began.values()))
        accepted, refused = (
            sum(begin <= moment - first < end for moment in self.began[status])
            for status in (200, 429)
        )
        return accepted, refused


def small_images(seconds: float) -> Iterator[ImageFile]:
    """Yield small, distinct images for some seconds: the header of a PNG, and a number."""
    end = time.monotonic() + seconds
    size = b"IHDR" + struct.pack(">IIBBBBB", 640, 480, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + size + struct.pack(">I", zlib.crc32(size))
    for number in takewhile(lambda _: time.monotonic() < end, count()):
        yield ImageFile(data=head + number.to_bytes(8, "big") + bytes(500), name=str(number))


async def serve(case: Case) -> None:
    """Run the emulator until standard input ends."""
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
    """Yield the endpoint of an emulator in another process."""
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
    """Send as another client: evenly, and without retries. Return the accepted requests."""
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
    """Upload for as long as the case says. Return the share of the ideal, and the share of refused
    requests.
    """
    seen = Seen()
    async with served(case) as endpoint:
        async with TrainingClient(endpoint, KEY) as training:
            project = (await training.create_project("Throughput")).id
        await asyncio.sleep(1.5)  # that call is forgotten
        async with (
            TrainingClient(endpoint, KEY, observers=[seen]) as training,
            asyncio.TaskGroup() as group,
        ):
            other = group.create_task(rival(case, endpoint)) if case.rival else None
            await training.get_project_client(project).upload_images(small_images(case.seconds + 1))
    taken = other.result() if other else 0
    accepted, refused = seen.between(0, case.seconds)
    later, _ = seen.between(FOUND, case.seconds)
    return {
        "share": accepted / (case.rate * (case.seconds + (case.counting == "bucket")) - taken),
        "later": later / (case.rate * (case.seconds - FOUND) - taken),
        "refused": refused / (accepted + refused),
    }


def cases(seconds: float) -> list[Case]:
    """Return the cases: each rate, way of counting and think time; another client; a service that
    refuses everything for a while.
    """
    ways: tuple[Literal["second", "bucket"], ...] = ("second", "bucket")
    plain = [
        Case(rate, think, way, seconds=seconds)
        for rate in (10.0, 2.0)
        for think in (0.1, 2.0)
        for way in ways
    ]
    shared = [Case(10.0, 0.1, way, rival=0.6, seconds=3 * seconds) for way in ways]
    return [*plain, *shared, *(Case(10.0, 0.1, way, penalty=True, seconds=seconds) for way in ways)]


async def run_one(case: Case, turn: asyncio.Semaphore) -> dict[str, float]:
    """Measure one case in a process of its own."""
    async with turn:
        command = [
            sys.executable,
            "-m",
            "benchmarks.throughput",
            "--case",
            json.dumps(asdict(case)),
        ]
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        line, _ = await process.communicate()
        figures: dict[str, float] = json.loads(line)
        return figures


async def table(seconds: float, rounds: int, together: int) -> None:
    """Return the medians of all cases as lines of Markdown."""
    turn = asyncio.Semaphore(together)
    wanted = cases(seconds)
    rows = await asyncio.gather(*(run_one(case, turn) for _ in range(rounds) for case in wanted))
    print(
        f"| service | seconds | share of the ideal | after {FOUND:g} s | answered 429 |",
        "|---|---|---|---|---|",
        sep="\n",
    )
    for place, case in enumerate(wanted):
        share, later, refused = (
            median(row[name] for row in rows[place :: len(wanted)])
            for name in ("share", "later", "refused")
        )
        print(f"| {case} | {case.seconds:g} | {share:.1%} | {later:.1%} | {refused:.1%} |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.throughput", description="Uploads through a quota, over sockets."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=90.0,
        help="of each run (90; three times that with another client)",
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--together",
        type=int,
        default=2,
        help="cases at a time (2): none is bound by the machine, unless there are many",
    )
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
