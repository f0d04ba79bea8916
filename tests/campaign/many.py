"""Play many seeds in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial

from tests.campaign.case import Outcome, play

__all__ = ["campaign"]


def played(seed: int, *, max_items: int) -> Outcome:
    """Play a seed. An exception is a problem too."""
    try:
        return play(seed, max_items=max_items)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(seed, "", [f"it raised {error!r}"[:1000]])


def campaign(first: int, seeds: int, *, jobs: int, max_items: int) -> Iterator[Outcome]:
    """Yield the outcome of each seed, in order."""
    work = partial(played, max_items=max_items)
    if jobs == 1:
        yield from map(work, range(first, first + seeds))
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, range(first, first + seeds), chunksize=20)
