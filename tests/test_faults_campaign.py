"""A share of the fault campaign. For more seeds: ``python -m tests.campaign --seeds 100000``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.campaign.case import play
from tests.campaign.folder import FILES
from tests.campaign.scenario import ITEM_RAISES

BLOCK = 100
ITEMS = 16
"""Maximum images of an upload. The command has 40."""


@pytest.mark.parametrize("block", range(20))
def test_nothing_is_lost_doubled_or_mistagged_whatever_goes_wrong(block: int) -> None:
    """Play 2,000 seeds: uploads, lists, tags, regions and deletions under random faults."""
    problems = {}
    for seed in range(block * BLOCK, (block + 1) * BLOCK):
        outcome = play(seed, max_items=ITEMS)
        if outcome.problems:
            problems[seed] = outcome.problems
    assert not problems


def test_faults_of_every_kind_are_injected() -> None:
    """Each kind of fault occurs."""
    from tests.support.faults import KINDS

    hits: set[str] = set()
    for seed in range(250):
        hits |= play(seed, max_items=ITEMS).faults.keys()
    assert hits >= KINDS.keys() | {ITEM_RAISES, *FILES}


_TRACES = """
import json
from tests.campaign.case import play
print(json.dumps([play(seed, max_items=16).trace for seed in range(40)]))
"""


def test_the_same_seed_gives_the_same_trace_under_any_hash_seed() -> None:
    """The requests, their times and the responses depend on the seed only."""
    here = [play(seed, max_items=ITEMS).trace for seed in range(40)]
    assert [play(seed, max_items=ITEMS).trace for seed in range(40)] == here
    assert len(set(here)) == len(here)
    for hash_seed in ("1", "4242"):
        environment = {
            **os.environ,
            "PYTHONHASHSEED": hash_seed,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        done = subprocess.run(
            [sys.executable, "-c", _TRACES],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        )
        assert json.loads(done.stdout) == here
