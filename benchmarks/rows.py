"""The rows of the table: the work, the target and the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from . import corpus
from .controller import campaign, quantile
from .measure import CLIENT, Runs, run_once, sink, together

__all__ = ["GROUPS", "Bench", "Row"]

SEED = 20260607
"""Seed of the controller scenarios. It differs from the seed used during development."""

SIZES = {20_000: 9920, 200_000: 1984, 2_000_000: 192}
"""Number of images per image size in an upload.

They are whole batches of 64, and 200 to 400 MB in total, so that the first requests do not weigh
too much.
"""


@dataclass(frozen=True)
class Row:
    """A line of the table.

    `target` is the minimum of `reached`, or its maximum if `at_most` is set.
    """

    work: str
    target: float
    reached: float
    unit: str
    at_most: bool = False
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the target was reached."""
        return self.reached <= self.target if self.at_most else self.reached >= self.target


@dataclass(frozen=True)
class Bench:
    """The places of the data, and the number of rounds."""

    scratch: Path
    tls: tuple[str, str]
    rounds: int

    def folder(self, size: int, count: int) -> Path:
        """Return a folder of images that is in the page cache."""
        folder = corpus.folder_of(self.scratch, size, count)
        corpus.warm(folder)
        return folder

    def uploads(self, size: int, kinds: Mapping[str, Mapping[str, Any]], *, tls: bool) -> Runs:
        """Run the kinds of clients side by side on the same folder."""
        count = SIZES[size]
        folder = self.folder(size, count)
        with sink(self.tls if tls else None, image_size=size) as reach:
            common = {**reach, "folder": str(folder), "count": count, "image_size": size}
            return together({kind: {**common, **task} for kind, task in kinds.items()}, self.rounds)


def _span(values: list[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g}"


def _micro(runs: Runs) -> str:
    """Return the CPU time of each kind, in microseconds per item."""
    each = {kind: runs.median(kind, "cpu") * 1e6 for kind in runs.lines}
    return ", ".join(
        f"{kind} {cpu:,.0f} us" if cpu >= 100 else f"{kind} {cpu:.3g} us"
        for kind, cpu in each.items()
    )


_UPLOAD = {
    "ours": {"job": "ours.upload"},
    "SDK": {"job": "official.upload"},
    "by hand": {"job": "byhand.upload"},
}
_LESS = {
    (20_000, False): 8.0, (200_000, False): 14.0, (2_000_000, False): 18.0,
    (20_000, True): 7.5, (200_000, True): 7.0, (2_000_000, True): 9.0,
}  # fmt: skip


def _named(size: int) -> str:
    return f"{size // 1_000_000} MB" if size >= 1_000_000 else f"{size // 1000} KB"


def uploads(bench: Bench) -> Iterator[Row]:
    """CPU of uploads from a folder."""
    for (size, tls), target in _LESS.items():
        kinds: dict[str, dict[str, Any]] = dict(_UPLOAD)
        if size == 2_000_000:  # batches of 16 MB, as the package sends them
            kinds["SDK, 16 MB"] = {"job": "official.upload", "batch": 8}
        runs = bench.uploads(size, kinds, tls=tls)
        what = f"{_named(size)} images{', TLS' if tls else ''}"
        less = runs.ratios("SDK", "ours", "cpu")
        yield Row(
            f"upload {what}: CPU, SDK in 8 threads / ours",
            target,
            median(less),
            "x",
            detail=f"{_span(less)}; {_micro(runs)}",
        )
        if size == 2_000_000:
            less = runs.ratios("SDK, 16 MB", "ours", "cpu")
            yield Row(
                f"upload {what}: the same, SDK in batches of 16 MB",
                target,
                median(less),
                "x",
                detail=_span(less),
            )
        more = runs.ratios("ours", "by hand", "cpu")
        at_most = 1.35 if size == 20_000 else 1.15
        yield Row(
            f"upload {what}: CPU, ours / loop by hand",
            at_most,
            median(more),
            "x",
            at_most=True,
            detail=_span(more),
        )


def regions(bench: Bench) -> Iterator[Row]:
    """Measure the CPU of uploads with a region on each image."""
    for tls in (False, True):
        runs = bench.uploads(
            200_000,
            {"ours": {"job": "ours.upload_regions"}, "SDK": {"job": "official.upload_regions"}},
            tls=tls,
        )
        less = runs.ratios("SDK", "ours", "cpu")
        what = f"upload 200 KB with regions (JSON){', TLS' if tls else ''}: CPU, SDK / ours"
        yield Row(what, 10, median(less), "x", detail=f"{_span(less)}; {_micro(runs)}")


def _calls(
    bench: Bench, job: str, count: int, kinds: tuple[str, ...] = ("ours", "official")
) -> Runs:
    with sink() as reach:
        tasks = {
            {"official": "SDK"}.get(kind, kind): {**reach, "job": f"{kind}.{job}", "count": count}
            for kind in kinds
        }
        return together(tasks, bench.rounds)


def ids(bench: Bench) -> Iterator[Row]:
    """Measure lists, deletions and tags."""
    runs = _calls(bench, "listing", 50_000)
    more = runs.ratios("ours", "SDK", "rate")
    rates = f"{runs.median('ours', 'rate'):,.0f} against {runs.median('SDK', 'rate'):,.0f} images/s"
    yield Row(
        "list 50,000 images: items a second, ours / SDK",
        35,
        median(more),
        "x",
        detail=f"{_span(more)}; {rates}",
    )
    for job, what, target in (
        ("delete", "delete 100,000 ids", 5),
        ("tag", "post 100,000 tag pairs", 10),
    ):
        runs = _calls(bench, job, 100_000)
        less = runs.ratios("SDK", "ours", "cpu")
        yield Row(
            f"{what}: CPU, SDK in 8 threads / ours",
            target,
            median(less),
            "x",
            detail=f"{_span(less)}; {_micro(runs)}",
        )


def engine(bench: Bench) -> Iterator[Row]:
    """Measure the engine by itself."""
    runs = together(
        {"ours": {"job": "ours.engine", "count": 1_000_000, "core": CLIENT}},
        bench.rounds,
    )
    busy = [1 / each for each in runs.each("ours", "cpu")]
    yield Row(
        "1,000,000 ids through delete_images, nothing behind: ids a second of CPU",
        300_000, median(busy), " ids/s",
        detail=f"{min(busy):,.0f} to {max(busy):,.0f}; "
        f"by the clock {runs.median('ours', 'rate'):,.0f}",
    )  # fmt: skip


def memory(bench: Bench) -> Iterator[Row]:
    """Measure peak memory over an idle client, with 8 chunks in flight."""
    peaks: dict[tuple[int, int], float] = {}
    for size, count in ((2_000_000, 2_000), (20_000, 2_000), (20_000, 200_000)):
        folder = corpus.folder_of(bench.scratch, size, count)
        with sink(image_size=size, think=0.05) as reach:
            line = run_once(
                {
                    **reach,
                    "job": "ours.upload",
                    "folder": str(folder),
                    "count": count,
                    "image_size": size,
                }
            )
        peaks[size, count] = line["memory"]
        yield Row(
            f"upload {count:,} images of {_named(size)}: peak memory",
            64,
            line["memory"],
            " MiB",
            at_most=True,
        )
    few, many = peaks[20_000, 2_000], peaks[20_000, 200_000]
    yield Row(
        "the same for 200,000 images as for 2,000: growth",
        16,
        many - few,
        " MiB",
        at_most=True,
        detail=f"{few:.1f} and {many:.1f} MiB",
    )


def gap(bench: Bench) -> Iterator[Row]:
    """Measure how long an upload blocks the event loop."""
    for size, tls in ((200_000, False), (200_000, True), (2_000_000, True)):
        runs = bench.uploads(size, {"ours": {"job": "ours.gap"}}, tls=tls)
        what = f"upload {_named(size)}{', TLS' if tls else ''}: event loop held,"
        detail = (
            f"{_span(runs.each('ours', 'largest'))}; "
            f"by the clock, other programs included: {_span(runs.each('ours', 'clock'))}"
        )
        yield Row(
            f"{what} largest gap",
            20,
            runs.median("ours", "largest"),
            " ms",
            at_most=True,
            detail=detail,
        )
        yield Row(f"{what} p99", 10, runs.median("ours", "p99"), " ms", at_most=True)


_QUOTAS: tuple[tuple[str, dict[str, float], float], ...] = (
    ("10 calls/s, 100 ms a call", {"rate": 10, "think": 0.1}, 5),
    ("10 calls/s, 2 s a call", {"rate": 10, "think": 2}, 5),
    ("2 calls/s (F0), 100 ms a call", {"rate": 2, "think": 0.1}, 12),
    ("2 calls/s (F0), 2 s a call", {"rate": 2, "think": 2}, 12),
    (
        "10 calls/s, another client takes 60 % for a third",
        {"rate": 10, "think": 0.5, "rival": 0.6},
        12,
    ),
    (
        "2 calls/s, another client takes 60 % for a third",
        {"rate": 2, "think": 0.5, "rival": 0.6},
        12,
    ),
)


def quotas(bench: Bench) -> Iterator[Row]:
    """Measure the throughput under a quota in virtual time, and the controller on new random
    scenarios.
    """
    for what, told, at_most in _QUOTAS:
        line = run_once({"job": "quota.through", **told})
        yield Row(f"{what}: share of the ideal", 95, line["share"] * 100, " %")
        yield Row(f"{what}: calls answered 429", at_most, line["refused"] * 100, " %", at_most=True)
    for strict, tenth in ((False, 0.8), (True, 0.5)):
        scenarios = campaign(SEED, 80, strict=strict)
        shares, wasted = [one[0] for one in scenarios], [one[1] for one in scenarios]
        where = "every call refused until Retry-After is over" if strict else "refusals one by one"
        yield Row(
            f"controller, 80 scenarios, {where}: share of the oracle, median",
            0.95,
            median(shares),
            "",
        )
        yield Row(
            f"controller, 80 scenarios, {where}: the same, p10", tenth, quantile(shares, 0.1), ""
        )
        yield Row(
            f"controller, 80 scenarios, {where}: wasted sends, median",
            5,
            median(wasted) * 100,
            " %",
            at_most=True,
        )


GROUPS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "uploads": uploads,
    "regions": regions,
    "ids": ids,
    "engine": engine,
    "memory": memory,
    "gap": gap,
    "quotas": quotas,
}
"""The groups of measurements, by name."""
