"""Draw two plots beside README.md, as SVG: throughput by image size, and memory by image count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import corpus
from .measure import run_once, sink, together
from .rows import Bench

__all__ = ["draw"]

_HERE = Path(__file__).parent
_BYTES = 100_000_000
_NAMES = {
    "ours": "customvision_async",
    "byhand": "aiohttp by hand",
    "official": "official SDK, 8 threads",
}


def draw(bench: Bench) -> None:
    """Measure and draw both plots."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "customvision"  # makes the file reproducible
    _memory(bench)
    _throughput(bench)


def _throughput(bench: Bench) -> None:
    sizes = [5_000, 20_000, 100_000, 200_000, 500_000, 2_000_000, 5_000_000]
    lines: dict[str, list[float]] = {kind: [] for kind in _NAMES}
    for size in sizes:
        count = max(64, min(4992, _BYTES // size // 64 * 64))
        folder = corpus.folder_of(bench.scratch, size, count)
        corpus.warm(folder)
        with sink(bench.tls, image_size=size) as reach:
            common = {**reach, "folder": str(folder), "count": count, "image_size": size}
            batch = max(1, min(64, 16_000_000 // size))
            runs = together(
                {kind: {**common, "job": f"{kind}.upload", "batch": batch} for kind in lines}, 3
            )
        for kind, line in lines.items():
            line.append(runs.median(kind, "rate"))
    axes = _axes(
        "size of an image, bytes",
        "images a second (TLS, loopback, one core)",
        "Throughput against image size",
    )
    for kind, line in lines.items():
        axes.plot(sizes, line, marker="o", label=_NAMES[kind])
    _save(axes, "throughput.svg")


def _memory(bench: Bench) -> None:
    axes = _axes(
        "number of images (20 KB)",
        "peak memory over an idle client, MiB",
        "Memory against number of images",
    )
    for kind, counts in (
        ("ours", [500, 2_000, 20_000, 200_000]),
        ("official", [500, 2_000, 20_000]),
    ):
        line = []
        for count in counts:
            folder = corpus.folder_of(bench.scratch, 20_000, count)
            with sink(image_size=20_000, think=0.05) as reach:
                task = {
                    **reach,
                    "job": f"{kind}.upload",
                    "folder": str(folder),
                    "count": count,
                    "image_size": 20_000,
                }
                line.append(run_once(task)["memory"])
        axes.plot(counts, line, marker="o", label=_NAMES[kind])
    _save(axes, "memory.svg")


def _axes(x: str, y: str, title: str) -> Any:
    from matplotlib.figure import Figure

    axes = Figure(figsize=(7, 4.2), layout="constrained").add_subplot()
    axes.set(xlabel=x, ylabel=y, title=title, xscale="log", yscale="log")
    axes.grid(visible=True, which="both", alpha=0.25)
    return axes


def _save(axes: Any, name: str) -> None:
    axes.legend()
    axes.figure.savefig(_HERE / name, metadata={"Date": None})
