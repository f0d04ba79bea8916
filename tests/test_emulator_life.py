"""An emulator begins and ends: its arguments, folder, seed, thread, pytest fixtures, and what it leaves behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from customvision_async.emulator import Emulator, Faults, Switches
from customvision_async.emulator._switches import SwitchChanges
from tests.support.caller import calling
from tests.support.pictures import picture

pytestmark = pytest.mark.anyio


async def test_a_folder_keeps_everything(tmp_path: Path) -> None:
    """Projects, tags, images and their bytes are there after a restart; the database is not for others to read."""
    folder = tmp_path / "data"
    async with calling(data=folder, seed=1) as call:
        project = await call.project()
        tag = await call.tag(project, "apple")
        await call.upload(project, {"a": picture(1)}, [tag])
    assert folder.stat().st_mode & 0o077 == 0
    async with calling(data=folder, seed=1) as call:
        image = (await call("GET", f"{project}/images/tagged"))[0]
        assert image["tags"][0]["tagName"] == "apple"
        async with call.session.get(image["originalImageUri"]) as response:
            assert await response.read() == picture(1)
        assert (await call.upload(project, {"b": picture(1)}, expect=207))["b"]["status"] == "OKDuplicate"
        assert await call.project("Another") != project


async def test_a_folder_is_for_one_emulator_at_a_time(tmp_path: Path) -> None:
    """A second emulator on the folder, or a file that is no database, is an OSError that names the folder."""
    async with Emulator(data=tmp_path / "one"):
        with pytest.raises(OSError, match=r"one.*another emulator"):
            await Emulator(data=tmp_path / "one").start()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "emulator.sqlite3").write_bytes(b"this is no database, and too long to be taken for an empty one" * 20)
    with pytest.raises(OSError, match="two"):
        await Emulator(data=tmp_path / "two").start()


async def test_the_same_seed_gives_the_same_ids() -> None:
    """Two emulators with one seed make the same ids and shuffle alike."""
    seen: list[Any] = []
    for _ in range(2):
        async with calling(seed=5) as call:
            project = await call.project()
            results = await call.upload(project, {str(number): picture(number) for number in range(9)})
            seen.append((project, {name: result["image"]["id"] for name, result in results.items()}))
    assert seen[0] == seen[1]


async def test_a_client_that_goes_away_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    """A body that ends half-way is no error of the emulator's, and has no effect."""
    async with calling() as call:
        port = int(call.emulator.endpoint.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        key = call.emulator.training_key
        writer.write(f"POST /customvision/v3.3/training/projects?name=x HTTP/1.1\r\nHost: x\r\nTraining-Key: {key}\r\n".encode())
        writer.write(b"Content-Length: 10\r\n\r\nabc")
        await writer.drain()
        while not call.emulator.in_flight:
            await asyncio.sleep(0.001)
        writer.transport.abort()
        while call.emulator.in_flight:
            await asyncio.sleep(0.001)
        assert await call("GET", "/projects") == []
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_unknown_faults_switches_and_tiers_are_refused() -> None:
    """A misspelt name is an error at once."""
    with pytest.raises(ValueError, match="no fault of the kind 'odd'"):
        Faults(None).add("odd")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Emulator(odd=True)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="no tier 'S9'"):
        Emulator(tier="S9")  # type: ignore[arg-type]


def test_the_switches_and_their_types_agree() -> None:
    """What type checkers are told is what there is."""
    assert get_type_hints(SwitchChanges) == get_type_hints(Switches)
    assert len(Switches.combinations("deduplicate", "multi_status", "duplicate_has_image")) == 8


def test_the_emulator_serves_from_a_thread(emulator: Emulator) -> None:
    """The plugin's fixture is an emulator for tests that are not asynchronous."""
    import urllib.request

    request = urllib.request.Request(
        f"{emulator.endpoint}/customvision/v3.3/training/projects", headers={"Training-Key": emulator.training_key}
    )
    with urllib.request.urlopen(request) as response:
        assert response.read() == b"[]"


@pytest.mark.emulator(tier="F0", deduplicate=False)
def test_the_mark_gives_the_fixture_its_arguments(emulator: Emulator) -> None:
    """@pytest.mark.emulator(...) is passed on to Emulator."""
    assert emulator.switches.deduplicate is False


async def test_the_training_fixture_is_a_client(training: Any, emulator: Emulator) -> None:
    """The plugin's other fixture is a client of the same emulator."""
    orchard = await training.create_project("Orchard")
    assert emulator.requests[-1].operation == "CreateProject"
    assert [project.id async for project in training.list_projects()] == [orchard.id]


async def test_stopping_twice_and_a_port_that_is_taken() -> None:
    """stop() may be called again; a port in use is an OSError and leaves nothing behind."""
    async with Emulator() as emulator:
        port = int(emulator.endpoint.rpartition(":")[2])
        with pytest.raises(OSError):
            await Emulator(port=port).start()
    await emulator.stop()
