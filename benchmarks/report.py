"""The table, the machine and the versions, as text and in README.md."""

from __future__ import annotations

import platform
import re
import ssl
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from os import cpu_count
from pathlib import Path

from .rows import Row

__all__ = ["line", "machine", "write"]

README = Path(__file__).with_name("README.md")
_PACKAGES = (
    "aiohttp",
    "msgspec",
    "anyio",
    "pybase64",
    "azure-cognitiveservices-vision-customvision",
    "msrest",
)


def machine() -> list[str]:
    """Return the properties of the machine, one per line."""
    info = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", info.read_text()) if info.exists() else None
    return [
        f"{model[1] if model else platform.machine()}, {cpu_count()} cores; "
        f"{platform.system()} {platform.release()};"
        f" {datetime.now(UTC):%Y-%m-%d}",
        f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}; "
        + ", ".join(f"{name} {_version(name)}" for name in _PACKAGES),
    ]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _figure(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def line(row: Row) -> str:
    """Return a row as text."""
    target = f"{'<=' if row.most else '>='} {_figure(row.target)}{row.unit}"
    mark = "  " if row.ok else "! "
    reached = _figure(row.reached) + row.unit
    return f"{mark}{row.work:88s} {reached:>15s}   {target:>16s}   {row.detail}"


def write(rows: Sequence[Row], rounds: int) -> None:
    """Write the table into README.md, between its marks."""
    table = ["| work | target | reached | span; by kind |", "|---|---|---|---|"]
    for row in rows:
        reached = f"{_figure(row.reached)}{row.unit}"
        target = f"{'at most' if row.most else 'at least'} {_figure(row.target)}{row.unit}"
        table.append(
            f"| {row.work} | {target} | {reached if row.ok else f'**{reached}** (missed)'} | "
            f"{row.detail} |"
        )
    text = "\n".join([*machine(), f"Medians of {rounds} rounds.", "", *table])
    old = README.read_text(encoding="utf-8")
    new = re.sub(
        r"(<!-- table -->\n).*?(<!-- end -->)",
        lambda found: f"{found[1]}{text}\n{found[2]}",
        old,
        flags=re.DOTALL,
    )
    README.write_text(new, encoding="utf-8")
    print(f"written to {README.name}", file=sys.stderr)
