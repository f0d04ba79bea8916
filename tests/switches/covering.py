"""Settings of the switches: each value alone, all pairs of values, and random ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from customvision_async.emulator import SWITCHES

__all__ = ["DOMAINS", "Row", "alone", "pairs", "pairs_of", "random_rows"]

Row = dict[str, Any]

DOMAINS: dict[str, tuple[Any, ...]] = {
    name: (switch.default, *(value for value in switch.values if value != switch.default))
    for name, switch in SWITCHES.items()
    if len(switch.values) > 1
}
"""The values of each switch that has several, with the default first."""


def alone() -> Iterator[Row]:
    """Yield each value that is not the default, by itself."""
    for name, values in DOMAINS.items():
        for value in values[1:]:
            yield {name: value}


def pairs_of(row: Mapping[str, Any]) -> set[tuple[tuple[str, Any], ...]]:
    """Return the pairs of values in a row."""
    return set(itertools.combinations(sorted(row.items()), 2))


def pairs(seed: int = 1, candidates: int = 60) -> list[Row]:
    """Return rows that together contain every pair of values of two switches.

    The rows are deterministic. Each is the one of several random rows with the most new pairs.
    """
    random = Random(seed)
    missing = {
        ((one, a), (other, b))
        for one, other in itertools.combinations(sorted(DOMAINS), 2)
        for a in DOMAINS[one]
        for b in DOMAINS[other]
    }
    rows: list[Row] = []
    while missing:
        (one, a), (other, b) = min(missing, key=repr)
        row = max(
            ({**_random_row(random), one: a, other: b} for _ in range(candidates)),
            key=lambda row: len(pairs_of(row) & missing),
        )
        missing -= pairs_of(row)
        rows.append(row)
    return rows


def random_rows(count: int, seed: int) -> Iterator[Row]:
    """Yield random settings of all switches."""
    random = Random(seed)
    for _ in range(count):
        yield _random_row(random)


def _random_row(random: Random) -> Row:
    return {name: random.choice(values) for name, values in DOMAINS.items()}
