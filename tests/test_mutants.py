"""Try a few mutants in every run. For all of them: ``python -m tests.mutants``."""

from __future__ import annotations

from pathlib import Path

import pytest

import customvision_async
from tests.mutants.__main__ import mutate, try_to_kill
from tests.mutants.table import MUTANTS, QUICK


def test_every_mutant_can_be_made() -> None:
    """The original text of each mutant occurs exactly once in the source. If not, update
    the table.
    """
    source = Path(customvision_async.__file__).parent
    for mutant in MUTANTS:
        assert mutate(source, mutant) != (source / mutant.file).read_text()
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 15


@pytest.mark.parametrize("name", QUICK)
def test_a_mutant_is_killed(name: str) -> None:
    """The fault campaign detects a mistake in the engine."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == name)
    assert try_to_kill(mutant).killed
