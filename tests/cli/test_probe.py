"""``customvision doctor --probe`` determines every switch of an emulator, and cleans up."""

from __future__ import annotations

import base64
import json
import signal
import zlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import combinations, product
from pathlib import Path
from typing import Any

import anyio
import pytest

from customvision_async import TrainingClient
from customvision_async.cli._doctor.network import Link
from customvision_async.cli._doctor.probe import LEFT_OPEN, Profile, Stages, probe
from customvision_async.cli._doctor.scratch_project import Resource, png
from customvision_async.emulator import SWITCHES, Emulator
from tests.support.command import environment, run, started

pytestmark = pytest.mark.anyio

QUOTA = ("retry_after", "counting", "penalty")
FOUND = [
    name for name, switch in SWITCHES.items() if switch.open and name not in {*LEFT_OPEN, *QUOTA}
]
"""The switches that the probe settles without a rate limit."""
MASKED = {
    "duplicates_in_batch": ("deduplicate", False),
    "duplicate_has_image": ("deduplicate", False),
    "duplicate_is_success": ("deduplicate", False),
    "duplicate_merges_tags": ("deduplicate", False),
    "address_seconds": ("vnet", True),
    "empty_tag_stops_training": ("empty_tag_stops_training", "never"),
}
"""Switches that cannot be settled if another switch has the given value."""


@asynccontextmanager
async def resource_of(emulator: Emulator) -> AsyncIterator[Resource]:
    """Yield a resource for the probe."""
    resource = Resource(Link(emulator.endpoint, 7.0), emulator.training_key)
    try:
        yield resource
    finally:
        resource.link.close()


async def probed(emulator: Emulator, only: Iterable[str] = FOUND) -> Profile:
    """Probe an emulator for some switches."""
    left: list[str] = []
    async with resource_of(emulator) as resource:
        profile = await probe(resource, Stages(lambda line: None, left.append), only=only)
    assert not left
    return profile


async def check(settings: dict[str, Any], only: Iterable[str] = FOUND) -> None:
    """Check that the probe settles the switches of an emulator correctly, except masked ones."""
    wanted = list(only)
    async with Emulator(training_seconds=0, **settings) as emulator:
        await two_iterations(emulator)
        profile = await probed(emulator, wanted)
        actual = {name: getattr(emulator.switches, name) for name in SWITCHES}
        async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
            assert [project.name async for project in client.list_projects()] == ["trained"]
    masked = {
        name for name in wanted if name in MASKED and actual[MASKED[name][0]] == MASKED[name][1]
    }
    assert profile.switches == {name: actual[name] for name in wanted if name not in masked}
    assert set(profile.not_settled) == masked


async def two_iterations(emulator: Emulator) -> None:
    """Create a project of the user that was trained twice."""
    async with resource_of(emulator) as resource:
        made = await resource.request_json("POST", "/projects", [("name", "trained")])
        path = f"/projects/{made['id']}"
        for name in ("apple", "pear"):
            tag = (await resource.request_json("POST", f"{path}/tags", [("name", name)]))["id"]
            images = [
                {"name": f"{number}", "contents": contents(f"{name}{number}")}
                for number in range(5)
            ]
            body = {"images": images, "tagIds": [tag]}
            await resource.request_json("POST", f"{path}/images/files", json_body=body)
        for _ in range(2):
            await resource.request_json("POST", f"{path}/train", [("forceTrain", "true")])


def contents(text: str) -> str:
    """Return an image in base64 that depends on `text`."""
    return base64.b64encode(png(zlib.crc32(text.encode()))).decode()


def covering() -> list[dict[str, Any]]:
    """Return settings that contain each pair of values of two switches. Deterministic."""
    left = {
        ((one, a), (other, b))
        for one, other in combinations(FOUND, 2)
        for a in SWITCHES[one].values
        for b in SWITCHES[other].values
    }
    rows = []
    while left:
        row: dict[str, Any] = {}
        for pair in sorted(left, key=repr)[:1]:
            row.update(pair)
        for name in FOUND:
            if name not in row:
                row[name] = max(
                    SWITCHES[name].values,
                    key=lambda value: sum(
                        pair in left or pair[::-1] in left
                        for pair in (((name, value), other) for other in row.items())
                    ),
                )
        items = [(name, row[name]) for name in FOUND]
        left -= set(combinations(items, 2))
        rows.append(row)
    return rows


async def test_every_switch_about_the_service_has_a_probe_or_a_reason() -> None:
    """Each switch about the service has a probe, or a reason for having none."""
    async with Emulator() as emulator:
        profile = await probed(emulator, SWITCHES)
    assert "the probe does not know how" not in profile.not_settled.values()
    named = profile.switches.keys() | profile.not_settled.keys()
    assert named == {name for name, switch in SWITCHES.items() if switch.open}


async def test_each_switch_alone_is_found() -> None:
    """Settle all switches of a default emulator, and each switch that differs alone."""
    settings = [
        {name: value}
        for name in FOUND
        for value in SWITCHES[name].values
        if value != SWITCHES[name].default
    ]
    await together([({}, FOUND), *((setting, list(setting)) for setting in settings)])


async def test_all_pairs_of_switches_are_found() -> None:
    """Settle each switch correctly, whatever the values of the others, by a covering array."""
    await together([(setting, FOUND) for setting in covering()])


async def together(settings: Iterable[tuple[dict[str, Any], list[str]]]) -> None:
    """Check several emulators concurrently, because probes mostly wait."""
    room = anyio.CapacityLimiter(12)

    async def one(setting: dict[str, Any], only: list[str]) -> None:
        async with room:
            await check(setting, only)

    async with anyio.create_task_group() as tasks:
        for setting, only in settings:
            tasks.start_soon(one, setting, only)


async def test_the_quota_is_read_or_said_to_be_unreadable() -> None:
    """Settle the switches of the rate limit, or leave them unsettled on a slow machine."""
    slow = "the network or this machine was too slow to tell"

    async def one(wait: float, counting: Any, penalty: bool) -> None:
        await anyio.sleep(wait)
        async with Emulator(calls_per_second=10, counting=counting, penalty=penalty) as emulator:
            profile = await probed(emulator, QUOTA)
        assert profile.switches.pop("retry_after") == "seconds"
        assert profile.switches.items() <= {"counting": counting, "penalty": penalty}.items()
        assert set(profile.not_settled.values()) <= {slow}

    async with anyio.create_task_group() as tasks:
        for number, (counting, penalty) in enumerate(product(("second", "bucket"), (False, True))):
            tasks.start_soon(one, 0.4 * number, counting, penalty)


@pytest.mark.parametrize("reported", [False, True])
async def test_a_full_resource_settles_how_it_says_so(reported: bool) -> None:
    """Settle the switch for a full resource, and give the reason for the others."""
    async with Emulator(tier="F0", calls_per_second=10_000, quota_is_401=reported) as emulator:
        async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
            for name in ("ours", "ours too"):
                await client.create_project(name)
        profile = await probed(emulator, [*FOUND, "quota_is_401"])
    assert profile.switches["quota_is_401"] is reported
    assert "no project could be made" in profile.not_settled["deduplicate"]


async def test_a_probe_that_fails_costs_its_own_switch_alone() -> None:
    """An invalid or missing response leaves only its own switch unsettled."""
    async with Emulator() as emulator:
        emulator.faults.add("garbage", operation="UpdateImageMetadata", times=None)
        emulator.faults.add("reset", operation="CreateImageRegions", times=None)
        wanted = ("strict_metadata", "repeated_region_is_400", "deduplicate", "names_ignore_case")
        profile = await probed(emulator, wanted)
    assert "strict_metadata" in profile.not_settled
    assert "the probe failed" in profile.not_settled["repeated_region_is_400"]
    assert "deduplicate" in profile.switches
    assert "names_ignore_case" in profile.switches


async def test_the_file_is_a_profile_and_has_nothing_of_the_account(tmp_path: Path) -> None:
    """The profile can be loaded, and contains no key, id or address."""
    file = tmp_path / "profile.json"
    async with Emulator(strict_ids=True, duplicate_has_image=False) as emulator:
        done = await run("doctor", "--probe", file, "--yes", "--json", env=environment(emulator))
        secrets = [emulator.training_key, "127.0.0.1", *ids_of(emulator)]
    assert done.code == 0, done.err
    text = file.read_text()
    assert not [secret for secret in secrets if secret in text + done.err]
    assert "no training and no prediction" in done.err
    again = Emulator(profile=file).switches
    assert (again.strict_ids, again.duplicate_has_image) == (True, False)
    assert done.summary["settled"] == len(json.loads(text)["switches"])
    assert not list(tmp_path.glob("*.tmp"))


def ids_of(emulator: Emulator) -> set[str]:
    """Return the ids of the projects in the requests."""
    parts = [seen.path.partition("/projects/")[2].partition("/")[0] for seen in emulator.requests]
    return {part for part in parts if part}


async def test_nobody_to_ask_and_no_yes_makes_nothing(tmp_path: Path) -> None:
    """Exit with code 2, and create nothing, if the user cannot be asked."""
    async with Emulator() as emulator:
        done = await run("doctor", "--probe", env=environment(emulator), cwd=tmp_path)
        assert not [seen for seen in emulator.requests if seen.operation == "CreateProject"]
        assert (done.code, "give --yes" in done.err) == (2, True)
        wrong = environment(emulator, VISION_TRAINING_KEY="wrong")
        done = await run("doctor", "--probe", "--yes", env=wrong, cwd=tmp_path)
    assert done.code == 1
    assert "the probe was not made" in done.out
    assert not list(tmp_path.iterdir())


async def test_a_probe_that_is_stopped_deletes_its_project(tmp_path: Path) -> None:
    """Delete the project after Ctrl-C, and exit with code 130."""
    async with Emulator() as emulator:
        emulator.faults.add("hang", operation="CreateTag", times=None)
        words = ("doctor", "--probe", tmp_path / "p.json", "--yes")
        async with started(*words, env=environment(emulator)) as process:
            while not any(seen.operation == "CreateTag" for seen in emulator.requests):
                await anyio.sleep(0.02)
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
        async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
            assert [project async for project in client.list_projects()] == []
    assert not list(tmp_path.iterdir())


async def test_a_project_that_cannot_be_deleted_is_named(tmp_path: Path) -> None:
    """Name the project on stderr and in the summary, and exit with code 1."""
    async with Emulator() as emulator:
        emulator.faults.add("status", operation="DeleteProject", times=None, status=500)
        words = ("doctor", "--probe", tmp_path / "p.json", "--yes", "--json")
        done = await run(*words, env=environment(emulator))
        async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
            names = sorted([str(project.name) async for project in client.list_projects()])
    assert done.code == 1
    assert sorted(done.summary["left"]) == names
    assert all(name.startswith("customvision-doctor-probe-") for name in names)
    assert all(f"the scratch project {name} could not be deleted" in done.err for name in names)


async def test_a_project_whose_id_was_lost_is_found_by_its_name() -> None:
    """Delete a project whose creation response was lost."""
    async with Emulator() as emulator:
        emulator.faults.add("lost_answer", operation="CreateProject", times=1)
        profile = await probed(emulator, ["deduplicate"])
        async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
            assert [project async for project in client.list_projects()] == []
    assert "deduplicate" in profile.not_settled
