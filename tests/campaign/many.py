"""Many seeds, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from functools import partial

from tests.campaign.case import Outcome, play

__all__ = ["campaign"]


def played(seed: int, *, most_items: int) -> Outcome:
    """Play a seed; what it raises is a problem like any other."""
    try:
        return play(seed, most_items=most_items)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Outcome(seed, "", [f"it raised {error!r}"[:1000]])


def campaign(first: int, seeds: int, *, jobs: int, most_items: int) -> Iterator[Outcome]:
    """The outcome of each seed, in their order."""
    work = partial(played, most_items=most_items)
    if jobs == 1:
        yield from map(work, range(first, first + seeds))
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(work, range(first, first + seeds), chunksize=20)
