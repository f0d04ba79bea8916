"""The failed-items file: complete, unique for each run, and tied to its project."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import anyio
import pytest

from customvision_async import TrainingClient
from customvision_async.cli._failed_items import FailedItems
from customvision_async.emulator import Emulator
from tests.support.command import COMMAND, environment, failed_items, run, started
from tests.support.images import fill, image_bytes

pytestmark = pytest.mark.anyio

BAD = b"\xff\xd8\xff\xe0 and no more"


def bad_files(folder: Path, count: int) -> list[str]:
    """Write files that begin like a JPEG but are invalid. Return their paths."""
    folder.mkdir()
    paths = [folder / f"{number:05}.jpg" for number in range(count)]
    for path in paths:
        path.write_bytes(BAD)
    return [str(path) for path in paths]


async def test_runs_of_the_same_second_write_files_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs in the same second use different names, and each file names its project."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(time, "strftime", lambda *_: "customvision-failed-20260101-120000")
    async with TrainingClient("http://127.0.0.1:1", "k" * 32) as training:
        runs = [FailedItems(training.get_project_client(UUID(int=n))) for n in (1, 2, 3)]
    for number, failed in enumerate(runs):
        failed.finish([f"{number}.jpg"], [])
    paths = [failed.path for failed in runs if failed.path is not None]
    assert [path.name for path in paths] == [
        "customvision-failed-20260101-120000.jsonl",
        "customvision-failed-20260101-120000-2.jsonl",
        "customvision-failed-20260101-120000-3.jsonl",
    ]
    for number, path in enumerate(paths):
        origin, items = failed_items(path)
        assert origin["id"] == str(UUID(int=number + 1))
        assert [item["path"] for item in items] == [str(tmp_path / f"{number}.jpg")]


async def test_the_items_of_one_project_are_not_sent_to_another(tmp_path: Path) -> None:
    """The command names the project of the file, gives advice, and uploads nothing."""
    (bad,) = bad_files(tmp_path / "photos", 1)
    async with Emulator() as emulator:
        env = environment(emulator)
        words = ("upload", "photos", "--create-project", "--failed-file", "left.jsonl")
        assert (await run(*words, "--project", "A", env=env, cwd=tmp_path)).code == 1
        await run("projects", "create", "B", env=env)
        Path(bad).write_bytes(fill(tmp_path / "good", ("x",), 1)[0].read_bytes())
        again = ("upload", "--from-failed", "left.jsonl", "--project")
        emulator.requests.clear()
        done = await run(*again, "B", env=env, cwd=tmp_path)
        assert done.code == 2
        origin, _ = failed_items(tmp_path / "left.jsonl")
        assert f"left.jsonl lists items of project A ({origin['id']} at" in done.err
        assert "delete the first line of the file" in done.err
        assert not [seen for seen in emulator.requests if "CreateImages" in seen.operation]
        assert (await run(*again, "A", env=env, cwd=tmp_path)).code == 0


async def test_every_failed_item_is_listed_however_many(tmp_path: Path) -> None:
    """The file lists more failures than a report keeps."""
    paths = bad_files(tmp_path / "photos", 2300)
    async with Emulator() as emulator:
        words = ("upload", "photos", "--project", "A", "--create-project", "--json")
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
    assert (done.summary["failed"], done.summary["unretryable"]) == (2300, 2300)
    _, items = failed_items(tmp_path / done.summary["failed_file"])
    assert sorted(item["path"] for item in items) == paths
    assert all(item["outcome"] == "failed" and item["error"] for item in items)


@pytest.mark.parametrize("asked", [False, True])
async def test_a_killed_run_leaves_what_it_had_listed(tmp_path: Path, asked: bool) -> None:
    """An existing file is replaced only at the end of the run."""
    fill(tmp_path / "photos", ("apple",), 3)
    large = tmp_path / "photos" / "large.jpg"  # fails before anything is sent
    large.write_bytes(image_bytes(1) + bytes(6 * 1024 * 1024))
    before = tmp_path / "left.jsonl"
    before.write_text("as it was")
    async with Emulator() as emulator:
        env = environment(emulator)
        await run("projects", "create", "A", env=env)
        emulator.faults.add("hang", operation="CreateImagesFromData", times=None)
        words = ["upload", "photos", "--project", "A", "--json"]
        words += ["--failed-file", "left.jsonl"] * asked
        async with started(*words, env=env, cwd=tmp_path) as process:
            assert process.stdout is not None
            seen = b""
            with anyio.fail_after(60):
                while b'"outcome": "failed"' not in seen:
                    seen += await process.stdout.receive()
            process.kill()
            await process.wait()
    (listed,) = tmp_path.glob(".left.jsonl.*.part" if asked else "customvision-failed-*.jsonl")
    assert [item["path"] for item in failed_items(listed)[1]] == [str(large)]
    assert before.read_text() == "as it was"


def shell(words: Sequence[str], end: str) -> list[str]:
    """Return a shell command with the redirections `end`."""
    return ["sh", "-c", f"{shlex.join([*COMMAND, *words])} {end}"]


@pytest.mark.parametrize(
    "words",
    [
        ("projects", "--json"),
        ("projects",),
        ("upload", "photos", "--project", "A", "--json"),
        ("upload", "--help"),
        ("--help",),
    ],
    ids=" ".join,
)
async def test_a_full_disk_under_the_output_is_an_error_in_a_line(
    tmp_path: Path, words: Sequence[str]
) -> None:
    """Report the full disk without a traceback, and exit with an error code."""
    fill(tmp_path / "photos", ("apple",), 3)
    async with Emulator() as emulator:
        env = environment(emulator)
        await run("projects", "create", "A", env=env)
        done = await anyio.run_process(
            shell(words, ">/dev/full"), env=env, cwd=tmp_path, check=False
        )
    error = done.stderr.decode()
    assert done.returncode == 2
    assert "the output cannot be written: No space left on device" in error
    assert "Traceback" not in error


async def test_a_full_disk_under_the_messages_ends_nothing(tmp_path: Path) -> None:
    """The summary is printed, and the exit code is that of the upload."""
    fill(tmp_path / "photos", ("apple",), 3)
    async with Emulator() as emulator:
        words = ("upload", "photos", "--project", "A", "--create-project")
        done = await anyio.run_process(
            shell(words, "2>/dev/full"), env=environment(emulator), cwd=tmp_path, check=False
        )
    assert done.returncode == 0
    assert b"3 of 3 images landed" in done.stdout


async def test_debug_prints_no_escape_sequence(tmp_path: Path) -> None:
    """Escape control characters of file names and of server messages in logs and tracebacks."""
    bad_files(tmp_path / "photos", 1)
    (tmp_path / "photos" / "00000.jpg").rename(tmp_path / "photos" / "\x1b[31m.jpg")
    async with Emulator() as emulator:
        env = environment(emulator)
        emulator.faults.add(
            "status",
            operation="GetProjects",
            status=400,
            body=b'{"code":"BadRequest","message":"\\u001b]0;title\\u0007"}',
            times=None,
        )
        done = await run("projects", "--debug", env=env, cwd=tmp_path)
        assert done.code == 3
        assert "\x1b" not in done.err + done.out
        emulator.faults.clear()
        words = ("upload", "photos", "--project", "A", "--create-project", "--debug")
        done = await run(*words, env=env, cwd=tmp_path)
        assert done.code == 1
        assert "\\x1b[31m.jpg" in done.err
        assert "\x1b" not in done.err + done.out
