"""``customvision upload`` with unreadable files and folders, which count as failed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import anyio
import pytest

from customvision_async.emulator import Emulator
from tests.support.command import COMMAND, ROOT, Finished, environment, run
from tests.support.faulty_os import faulty_os
from tests.support.images import fill, image_bytes

pytestmark = pytest.mark.anyio

UPLOAD = ("upload", "photos", "--project", "P", "--create-project", "--json")
UNREADABLE = ("EIO", "ESTALE", "EACCES", "EPERM", "ENOENT")


def env_with(site: str, emulator: Any) -> dict[str, str]:
    """Return the environment of a command with a faulty file system."""
    return environment(emulator, PYTHONPATH=f"{site}{os.pathsep}{ROOT}")


def outcomes(done: Finished) -> dict[str, str]:
    """Return the outcome of each item by name."""
    return {event["name"]: event["outcome"] for event in done.events if event["event"] == "item"}


async def test_a_file_that_cannot_be_read_has_failed_and_is_listed(tmp_path: Path) -> None:
    """List each unreadable file with its cause, whatever the error, and exit with code 1."""
    photos = tmp_path / "photos"
    fill(photos, ("apple",), 3)
    for number, name in enumerate(UNREADABLE):
        (photos / f"{name}.jpg").write_bytes(image_bytes(100 + number))
    site = faulty_os(tmp_path / "site")
    async with Emulator() as emulator:
        words = (*UPLOAD, "--failed-file", "left.jsonl")
        done = await run(*words, env=env_with(site, emulator), cwd=tmp_path)
        assert (done.code, done.summary["succeeded"], done.summary["skipped"]) == (1, 3, 0)
        assert [outcomes(done)[f"{name}.jpg"] for name in UNREADABLE] == ["failed"] * 5
        left = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
        causes = {Path(line["path"]).stem: line["error"] for line in left if "path" in line}
        assert set(causes) == set(UNREADABLE)
        assert all(os.strerror(getattr(errno, name)) in causes[name] for name in UNREADABLE)
        again = ("upload", "--from-failed", "left.jsonl", "--project", "P", "--json")
        done = await run(*again, env=environment(emulator), cwd=tmp_path)
        assert (done.code, done.summary["succeeded"]) == (0, 5)


async def test_a_folder_that_cannot_be_listed_has_failed_and_goes_back_in(tmp_path: Path) -> None:
    """List an unreadable folder in place of its images, with the tags that they would have."""
    photos = tmp_path / "photos"
    fill(photos, ("apple", "EIO", "EACCES"), 2)
    site = faulty_os(tmp_path / "site")
    async with Emulator() as emulator:
        words = (*UPLOAD, "--failed-file", "left.jsonl", "--tags-from-folders")
        done = await run(*words, env=env_with(site, emulator), cwd=tmp_path)
        assert (done.code, done.summary["succeeded"], done.summary["failed"]) == (1, 2, 2)
        assert outcomes(done)["EIO/"] == outcomes(done)["EACCES/"] == "failed"
        assert "Input/output error" in (tmp_path / "left.jsonl").read_text()
        again = ("upload", "--from-failed", "left.jsonl", "--project", "P", "--json")
        done = await run(*again, env=environment(emulator), cwd=tmp_path)
        assert (done.code, done.summary["succeeded"]) == (0, 4)
        tags = await run("tags", "--project", "P", env=environment(emulator))
    assert {tuple(line.split()[1:]) for line in tags.out.splitlines()} == {
        ("2", "apple"),
        ("2", "EIO"),
        ("2", "EACCES"),
    }


async def test_being_out_of_descriptors_for_a_moment_costs_nothing(tmp_path: Path) -> None:
    """After EMFILE and ENFILE, files and folders are opened again, and all images are uploaded."""
    photos = tmp_path / "photos"
    fill(photos, ("apple", "EMFILE"), 2)
    (photos / "EMFILE.jpg").write_bytes(image_bytes(50))
    (photos / "ENFILE.jpg").write_bytes(image_bytes(51) + bytes(200_000))
    site = faulty_os(tmp_path / "site", times=3)
    async with Emulator() as emulator:
        done = await run(*UPLOAD, env=env_with(site, emulator), cwd=tmp_path)
    assert (done.code, done.summary["succeeded"], done.summary["submitted"]) == (0, 6, 6)


async def test_an_upload_with_a_handful_of_descriptors_lands_whole(tmp_path: Path) -> None:
    """Under ``ulimit -n 22``, every image is uploaded and none is skipped."""
    paths = fill(tmp_path / "photos", ("apple", "pear"), 100)
    for path in paths[::2]:  # large files are opened again for the upload
        path.write_bytes(path.read_bytes() + bytes(60_000))
    async with Emulator() as emulator:
        done = await anyio.run_process(
            ["sh", "-c", 'ulimit -n 22; exec "$@"', "sh", *COMMAND, *UPLOAD],
            check=False,
            env=environment(emulator),
            cwd=tmp_path,
        )
    ended = Finished(done.returncode, done.stdout.decode(), done.stderr.decode())
    assert (ended.code, ended.summary["succeeded"]) == (0, 200), ended.err
