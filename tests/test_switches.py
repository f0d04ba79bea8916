"""The emulator's switches: their table, profiles, and client work under each and all pairs."""

from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path
from typing import get_type_hints

import pytest

from customvision_async.emulator import SWITCHES, Emulator, Switches
from customvision_async.emulator._switches import SwitchChanges, profile_text, read_profile
from tests.switches.core import failing
from tests.switches.covering import DOMAINS, alone, pairs, pairs_of

pytestmark = pytest.mark.anyio


async def test_clients_work_under_each_switch_alone() -> None:
    """Every value that is not a default, by itself."""
    assert await failing(alone()) == []


async def test_clients_work_under_every_pair_of_switches() -> None:
    """A covering array: any two values of two switches are together in some row."""
    assert await failing(pairs()) == []


def test_the_covering_array_has_every_pair() -> None:
    """All pairs are counted, in few rows."""
    rows = pairs()
    covered = set().union(*map(pairs_of, rows))
    for one, other in itertools.combinations(sorted(DOMAINS), 2):
        for pair in itertools.product(DOMAINS[one], DOMAINS[other]):
            assert ((one, pair[0]), (other, pair[1])) in covered
    assert len(rows) <= 25


def test_every_switch_has_its_row() -> None:
    """Name, meaning, default and values. Switches about the service have their source."""
    assert list(SWITCHES) == [field.name for field in dataclasses.fields(Switches)]
    assert get_type_hints(SwitchChanges) == get_type_hints(Switches)
    for switch in SWITCHES.values():
        assert switch.default in switch.values
        assert switch.default == getattr(Switches(), switch.name)
        assert switch.meaning.endswith(".")
        assert switch.source or switch.grade in "CT", switch.name
        assert f"{switch.name} (" in (Switches.__doc__ or "")


def test_a_profile_sets_switches(tmp_path: Path) -> None:
    """A profile survives writing and reading. Arguments take precedence, and other members are
    ignored.
    """
    file = tmp_path / "profile.json"
    file.write_text(profile_text({"cors": False, "retry_after": "none"}, resource="eastus"))
    assert read_profile(file) == {"cors": False, "retry_after": "none"}
    assert json.loads(file.read_text())["resource"] == "eastus"
    given = Emulator(profile=file, switches=Switches(strict_ids=True), retry_after="date").switches
    assert given == Switches(cors=False, retry_after="date", strict_ids=True)


@pytest.mark.parametrize(
    "text, why",
    [
        ("{", "line 1"),
        ("{}", "no 'switches'"),
        ("[]", "not a profile"),
        ('{"switches": []}', "must be a JSON object"),
        ('{"switches": {"corse": true}}', "did you mean 'cors'"),
        ('{"switches": {"cors": 1}}', "True or False"),
        ('{"switches": {"json_reader": "none"}}', "one of"),
    ],
)
def test_what_is_no_profile_is_refused_by_name(tmp_path: Path, text: str, why: str) -> None:
    """ValueError with the file and the reason."""
    file = tmp_path / "profile.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=why) as caught:
        Emulator(profile=file)
    assert str(file) in str(caught.value)
