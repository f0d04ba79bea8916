"""The settings: each switch alone, every pair of values in few rows, and random ones."""

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
"""The values of each switch that has several, the default first."""


def alone() -> Iterator[Row]:
    """Every value that is not the default, by itself."""
    for name, values in DOMAINS.items():
        for value in values[1:]:
            yield {name: value}


def pairs_of(row: Mapping[str, Any]) -> set[tuple[tuple[str, Any], ...]]:
    """The pairs of values that a row has."""
    return set(itertools.combinations(sorted(row.items()), 2))


def pairs(seed: int = 1, candidates: int = 60) -> list[Row]:
    """Rows in which every two values of two switches stand together in some row.

    Greedy, and the same rows every time: of some random rows, the one with the most pairs that are
    new.
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
    """Random settings of all the switches."""
    random = Random(seed)
    for _ in range(count):
        yield _random_row(random)


def _random_row(random: Random) -> Row:
    return {name: random.choice(values) for name, values in DOMAINS.items()}
