"""The lifetime of an emulator: arguments, folder, seed, thread, pytest fixtures and cleanup."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from customvision_async import TrainingClient
from customvision_async.emulator import Emulator, Faults, Switches
from customvision_async.emulator._switches import SwitchChanges
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio

KEY = "key-of-the-tests"


async def test_a_folder_keeps_everything(tmp_path: Path) -> None:
    """Projects, tags and images survive a restart. Others cannot read the database."""
    folder = tmp_path / "data"
    async with calling(data=folder, seed=1) as call:
        project = await call.project()
        tag = await call.tag(project, "apple")
        await call.upload(project, {"a": image_bytes(1)}, [tag])
    assert folder.stat().st_mode & 0o077 == 0
    async with calling(data=folder, seed=1) as call:
        image = (await call("GET", f"{project}/images/tagged"))[0]
        assert image["tags"][0]["tagName"] == "apple"
        async with call.session.get(image["originalImageUri"]) as response:
            assert await response.read() == image_bytes(1)
        assert (await call.upload(project, {"b": image_bytes(1)}, expect=207))["b"][
            "status"
        ] == "OKDuplicate"
        assert await call.project("Another") != project


async def test_a_folder_is_for_one_emulator_at_a_time(tmp_path: Path) -> None:
    """A second emulator on a folder, or a file that is not a database, raises OSError with the
    folder.
    """
    async with Emulator(data=tmp_path / "one"):
        with pytest.raises(OSError, match=r"one.*another emulator"):
            await Emulator(data=tmp_path / "one").start()
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "emulator.sqlite3").write_bytes(
        b"this is no database, and too long to be taken for an empty one" * 20
    )
    with pytest.raises(OSError, match="two"):
        await Emulator(data=tmp_path / "two").start()


def _a_database(folder: Path, *statements: str) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "emulator.sqlite3")) as db:
        for statement in statements:
            db.execute(statement)


async def test_folders_that_cannot_be_used_say_why(tmp_path: Path) -> None:
    """The OSError names the folder and the reason.

    The cases are a file, a folder under a file, a folder in place of the database, and databases of
    a newer version and of another program.
    """
    (tmp_path / "file").write_text("")
    (tmp_path / "odd" / "emulator.sqlite3").mkdir(parents=True)
    _a_database(tmp_path / "newer", "PRAGMA user_version = 99")
    _a_database(tmp_path / "other", "CREATE TABLE projects (name TEXT)")
    tasks = asyncio.all_tasks()
    for path, reason in (
        ("file", "file: it is a file"),
        ("file/below", "below: "),
        ("odd", "odd: unable to open"),
        ("newer", "newer: a newer customvision_async wrote it"),
        ("other", "other: its database was not written by an emulator"),
    ):
        with pytest.raises(OSError, match=reason):
            await Emulator(data=tmp_path / path).start()
        with pytest.raises(OSError, match=reason), Emulator(data=tmp_path / path):
            pass
    assert asyncio.all_tasks() == tasks
    assert [thread.name for thread in threading.enumerate() if "emulator" in thread.name] == []
    async with Emulator(data=tmp_path / "new"):
        pass
    async with Emulator(data=tmp_path / "new"):
        pass


async def test_the_same_seed_gives_the_same_ids() -> None:
    """Two emulators with the same seed create the same ids and shuffle alike."""
    seen: list[Any] = []
    for _ in range(2):
        async with calling(seed=5) as call:
            project = await call.project()
            results = await call.upload(
                project, {str(number): image_bytes(number) for number in range(9)}
            )
            seen.append(
                (project, {name: result["image"]["id"] for name, result in results.items()})
            )
    assert seen[0] == seen[1]


async def test_a_client_that_goes_away_leaves_nothing_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A body that ends half-way has no effect and logs no error."""
    async with calling() as call:
        port = int(call.emulator.endpoint.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        key = call.emulator.training_key
        writer.write(
            "POST /customvision/v3.3/training/projects?name=x HTTP/1.1\r\n"
            f"Host: x\r\nTraining-Key: {key}\r\n".encode()
        )
        writer.write(b"Content-Length: 10\r\n\r\nabc")
        await writer.drain()
        while not call.emulator.in_flight:
            await asyncio.sleep(0.001)
        writer.transport.abort()
        while call.emulator.in_flight:
            await asyncio.sleep(0.001)
        assert await call("GET", "/projects") == []
        assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "wrong, expected",
    [
        (
            {"port": 99_999},
            r"port must be a number from 0 \(any free port\) to 65535, not 99999",
        ),
        ({"port": "80"}, "port must be .*, not '80'"),
        ({"host": ""}, "host must be .*, not ''"),
        ({"deduplicat": False}, "no argument or switch 'deduplicat'; did you mean 'deduplicate'"),
        ({"prot": 80}, "no argument or switch 'prot'; did you mean 'port'"),
        ({"odd": True}, "no argument or switch 'odd'"),
        ({"deduplicate": "no"}, "deduplicate must be True or False, not 'no'"),
        ({"counting": "minute"}, "counting must be one of 'second', 'bucket', not 'minute'"),
        ({"training_seconds": -1.0}, "training_seconds must be 0 or more, not -1.0"),
        ({"body_bytes": 0.5}, "body_bytes must be .*, not 0.5"),
        ({"calls_per_second": -1}, "calls_per_second must be a number above 0"),
        ({"calls_per_second": float("nan")}, "calls_per_second must be .*, not nan"),
        ({"training_key": "a\r\nb"}, "keys must be printable"),
        ({"bearer_tokens": "token"}, "a tuple of tokens"),
        ({"ssl_context": True}, "ssl_context must be .*, not True"),
        ({"log_size": -1}, "log_size must be .*, not -1"),
        ({"data": ""}, "data must be .*, not ''"),
        ({"tier": "S9"}, "no tier 'S9'"),
    ],
    ids=str,
)
def test_wrong_arguments_are_refused_before_anything_is_opened(
    wrong: dict[str, Any], expected: str
) -> None:
    """The constructor raises TypeError or ValueError with the name and the accepted values."""
    with pytest.raises((TypeError, ValueError), match=expected):
        Emulator(**wrong)


def test_unknown_faults_switches_and_tiers_are_refused() -> None:
    """A misspelt name raises at once."""
    with pytest.raises(ValueError, match="no fault of the kind 'odd'"):
        Faults(None).add("odd")
    with pytest.raises(TypeError):
        Emulator(odd=True)
    with pytest.raises(ValueError, match="no tier 'S9'"):
        Emulator(tier="S9")


def test_the_switches_and_their_types_agree() -> None:
    """SwitchChanges has the same types as Switches."""
    assert get_type_hints(SwitchChanges) == get_type_hints(Switches)
    assert len(Switches.combinations("deduplicate", "multi_status", "duplicate_has_image")) == 8


def test_the_emulator_serves_from_a_thread(emulator: Emulator) -> None:
    """The plugin's fixture serves synchronous tests."""
    import urllib.request

    request = urllib.request.Request(
        f"{emulator.endpoint}/customvision/v3.3/training/projects",
        headers={"Training-Key": emulator.training_key},
    )
    with urllib.request.urlopen(request) as response:
        assert response.read() == b"[]"


def test_the_plugin_costs_a_test_run_without_it_nothing() -> None:
    """Importing the plugin needs no Pillow, and loads neither SQLite nor a server."""
    code = (
        "import sys; sys.modules['PIL'] = None; import customvision_async.emulator.plugin; "
        "print([name for name in ('sqlite3', 'aiohttp.web', 'rich', 'cyclopts') if name in "
        "sys.modules])\n"
        "try: from customvision_async.emulator import Emulator\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent.parent,
    )
    loaded, reason = done.stdout.splitlines()
    assert loaded == "[]"
    assert "the extra 'emulator'" in reason


@pytest.mark.emulator(tier="F0", deduplicate=False)
def test_the_mark_gives_the_fixture_its_arguments(emulator: Emulator) -> None:
    """@pytest.mark.emulator(...) passes its arguments to Emulator."""
    assert emulator.switches.deduplicate is False


async def test_the_training_fixture_is_a_client(training: Any, emulator: Emulator) -> None:
    """The fixture `training` is a client of the same emulator."""
    orchard = await training.create_project("Orchard")
    assert emulator.requests[-1].operation == "CreateProject"
    assert [project.id async for project in training.list_projects()] == [orchard.id]


@pytest.mark.emulator(prediction_key="predict", training_seconds=0)
async def test_the_prediction_fixture_is_a_client(
    training: Any, prediction: Any, emulator: Emulator
) -> None:
    """The fixture has the prediction key, and sees iterations that `training` published."""
    orchard = await training.create_project("Orchard")
    for tag in range(2):
        await orchard.upload_images(
            [image_bytes(10 * tag + n) for n in range(5)], tags=[str(tag)], create_missing_tags=True
        )
    await orchard.publish_iteration(await orchard.begin_training(), "v1", "/resource")
    assert (await prediction.classify_image(orchard, "v1", image_bytes(1))).predictions
    assert emulator.requests[-1].operation == "ClassifyImage"


async def test_stopping_twice_and_a_port_that_is_taken(tmp_path: Path) -> None:
    """stop() can be called twice. A port in use raises OSError and leaves nothing behind."""
    async with Emulator() as emulator:
        port = int(emulator.endpoint.rpartition(":")[2])
        with pytest.raises(OSError, match=rf"127\.0\.0\.1 port {port}: "):
            await Emulator(port=port, data=tmp_path).start()
        with pytest.raises(OSError, match=r"cannot listen on 203\.0\.113\.1 port 0"):
            await Emulator(host="203.0.113.1", data=tmp_path).start()
        with pytest.raises(RuntimeError, match="already running"):
            await emulator.start()
    await emulator.stop()
    async with Emulator(port=port, data=tmp_path):  # both the port and the folder are free
        pass


async def test_a_folder_of_an_older_emulator_keeps_its_images(tmp_path: Path) -> None:
    """The table of contents, which had another name in layout 1, is renamed without loss."""
    folder = tmp_path / "kept"
    async with (
        Emulator(data=folder, training_key=KEY) as emulator,
        TrainingClient(emulator.endpoint, KEY) as training,
    ):
        project = await training.create_project("old")
        await project.upload_images([image_bytes(1)])
    with closing(sqlite3.connect(folder / "emulator.sqlite3")) as db:
        db.execute("ALTER TABLE contents RENAME TO pictures")
        db.execute("PRAGMA user_version = 1")
    async with (
        Emulator(data=folder, training_key=KEY) as emulator,
        TrainingClient(emulator.endpoint, KEY) as training,
    ):
        [found] = [found async for found in training.list_projects()]
        project = training.get_project_client(found)
        [image] = [image async for image in project.list_images()]
        await project.download_image(image, tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes() == image_bytes(1)
