"""``customvision upload`` on real folders, against an emulator."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from customvision_async import TrainingClient
from customvision_async.cli._stoppable_source import StoppableSource
from customvision_async.emulator import Emulator
from tests.support.command import environment, failed_items, run
from tests.support.images import fill, image_bytes

pytestmark = pytest.mark.anyio


async def tags_in(emulator: Any, project: str) -> dict[str, int]:
    """Return the number of images of each tag of a project."""
    async with TrainingClient(emulator.endpoint, emulator.training_key) as training:
        target = await training.find_project(project)
        return {tag.name: tag.image_count async for tag in target.list_tags()}


async def test_a_folder_of_folders_becomes_tagged_images(tmp_path: Path) -> None:
    """Create a project, upload every image with tags from the folders, and print a summary."""
    fill(tmp_path / "photos", ("apple", "pear"), 40)
    async with Emulator() as emulator:
        words = ("upload", "photos", "--project", "Orchard", "--create-project", "--tag", "fruit")
        env = environment(emulator)
        done = await run(*words, "--tags-from-folders", env=env, cwd=tmp_path)
        assert (done.code, await tags_in(emulator, "Orchard")) == (
            0,
            {"apple": 40, "pear": 40, "fruit": 80},
        )
    assert done.out.startswith("80 of 80 images landed in ")
    assert "Made project Orchard" in done.err
    assert os.listdir(tmp_path) == ["photos"]  # no failed-items file without a failure


async def test_the_same_again_is_all_duplicates_and_no_failure(tmp_path: Path) -> None:
    """A second upload reports duplicates, and succeeds."""
    fill(tmp_path / "photos", ("apple",), 10)
    words = ("upload", "photos", "--project", "Orchard", "--create-project", "--tags-from-folders")
    async with Emulator() as emulator:
        await run(*words, env=environment(emulator), cwd=tmp_path)
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
        assert await tags_in(emulator, "Orchard") == {"apple": 10}
    assert done.code == 0
    assert "10 of 10 images landed (10 there already)" in done.out


async def test_json_is_one_event_a_line_and_a_summary_last(tmp_path: Path) -> None:
    """Print one event per item with its path and id. The counts of the summary add up."""
    paths = fill(tmp_path / "photos", ("apple",), 10)
    (tmp_path / "photos" / "notes.txt").write_text("hello")
    async with Emulator() as emulator:
        words = ("upload", "photos", "--project", "Orchard", "--create-project", "--json")
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
    items = {event["path"]: event for event in done.events if event["event"] == "item"}
    assert {str(tmp_path / path) for path in items} == {str(path) for path in paths} | {
        str(tmp_path / "photos" / "notes.txt")
    }
    assert [event["outcome"] for event in items.values()].count("ok") == 10
    assert items["photos/notes.txt"]["outcome"] == "skipped"
    assert len({event["id"] for event in items.values()}) == 11
    summary = done.summary
    assert (summary["ok"], summary["exit_code"], summary["failed_file"], summary["error"]) == (
        True,
        0,
        None,
        None,
    )
    assert (
        summary["submitted"]
        == summary["succeeded"] + summary["failed"] + summary["skipped"] + summary["pending"]
        == 11
    )
    assert summary["bytes_sent"] > sum(path.stat().st_size for path in paths)


async def test_what_failed_is_in_a_file_that_goes_back_in(tmp_path: Path) -> None:
    """List an invalid image with its cause, and upload it once it is repaired.

    The other images are uploaded in the first run.
    """
    fill(tmp_path / "photos", ("apple",), 20)
    bad = tmp_path / "photos" / "apple" / "bad\x1b[31m\n.jpg"
    bad.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    async with Emulator() as emulator:
        words = (
            "upload",
            "photos",
            "--project",
            "Orchard",
            "--create-project",
            "--tags-from-folders",
        )
        done = await run(
            *words, "--failed-file", "left.jsonl", env=environment(emulator), cwd=tmp_path
        )
        assert done.code == 1
        assert "20 of 21 images landed" in done.out
        assert "\x1b" not in done.out + done.err
        assert "bad\\x1b[31m\\n.jpg" in done.err
        assert "customvision upload --from-failed left.jsonl --project Orchard" in done.out
        _, lines = failed_items(tmp_path / "left.jsonl")
        assert [(line["path"], line["tags"], line["outcome"]) for line in lines] == [
            (str(bad), ["apple"], "failed")
        ]
        assert lines[0]["error"]
        assert stat.S_IMODE((tmp_path / "left.jsonl").stat().st_mode) == 0o600
        bad.write_bytes(image_bytes(9999))
        done = await run(
            "upload",
            "--from-failed",
            "left.jsonl",
            "--project",
            "Orchard",
            env=environment(emulator),
            cwd=tmp_path,
        )
        assert (done.code, await tags_in(emulator, "Orchard")) == (0, {"apple": 21})


async def test_a_name_that_is_no_text_goes_through_the_file_and_back(tmp_path: Path) -> None:
    """A file name that is not UTF-8 survives the failed-items file."""
    bad = tmp_path / os.fsdecode(b"latin-\xe9.jpg")
    bad.write_bytes(b"\xff\xd8\xff\xe0 and no more")
    async with Emulator() as emulator:
        words = ("--project", "P", "--create-project", "--failed-file", "left.jsonl")
        assert (await run("upload", bad, *words, env=environment(emulator), cwd=tmp_path)).code == 1
        bad.write_bytes(image_bytes(1))
        assert (
            await run(
                "upload",
                "--from-failed",
                "left.jsonl",
                *words,
                env=environment(emulator),
                cwd=tmp_path,
            )
        ).code == 0
    assert failed_items(tmp_path / "left.jsonl")[1] == []


async def test_a_folder_with_rubbish_gives_its_images_and_reports_the_rest(
    tmp_path: Path,
) -> None:
    """Upload the images of a folder, and report text, empty and hidden files, links and FIFOs."""
    photos = tmp_path / "photos"
    fill(photos, ("apple",), 5)
    (photos / "text.jpg").write_text("no image")
    (photos / "empty.png").write_bytes(b"")
    (photos / ".hidden.jpg").write_bytes(image_bytes(50))
    (photos / "loop").symlink_to(photos)
    os.mkfifo(photos / "pipe.jpg")
    (photos / "large.jpg").write_bytes(image_bytes(51) + bytes(6 * 1024 * 1024))
    (photos / ("quote'\"emoji🍎" + "x" * 200 + ".jpg")).write_bytes(image_bytes(52))
    (photos / os.fsdecode(b"latin-\xe9.jpg")).write_bytes(image_bytes(53))
    async with Emulator() as emulator:
        done = await run(
            "upload",
            "photos",
            "--project",
            "P",
            "--create-project",
            "--json",
            env=environment(emulator),
            cwd=tmp_path,
        )
    outcomes = {
        event["name"]: event["outcome"] for event in done.events if event["event"] == "item"
    }
    skipped = {name for name, outcome in outcomes.items() if outcome == "skipped"}
    assert skipped == {"text.jpg", "empty.png", ".hidden.jpg", "loop", "pipe.jpg"}
    assert [name for name, outcome in outcomes.items() if outcome == "failed"] == ["large.jpg"]
    assert (done.code, done.summary["succeeded"]) == (1, 7)


async def test_a_folder_without_images_is_code_1(tmp_path: Path) -> None:
    """Exit with code 1 for a folder that is empty or has no image."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello")
    async with Emulator() as emulator:
        for folder, expected in (
            ("empty", "Nothing to upload: no file."),
            ("notes", "Nothing to upload: 1 file, none an image."),
        ):
            done = await run(
                "upload",
                folder,
                "--project",
                "P",
                "--create-project",
                env=environment(emulator),
                cwd=tmp_path,
            )
            assert done.code == 1
            assert expected in done.out


async def test_a_file_asked_for_by_name_must_not_be_left_out(tmp_path: Path) -> None:
    """Exit with code 1 if a file that was given as an argument is not an image."""
    (tmp_path / "a.jpg").write_bytes(image_bytes(1))
    (tmp_path / "b.jpg").write_text("no image")
    async with Emulator() as emulator:
        words = ("--project", "P", "--create-project")
        assert (
            await run("upload", "a.jpg", *words, env=environment(emulator), cwd=tmp_path)
        ).code == 0
        assert (
            await run("upload", "a.jpg", "b.jpg", *words, env=environment(emulator), cwd=tmp_path)
        ).code == 1


async def test_a_project_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    """Name the existing projects if the project is not found."""
    fill(tmp_path / "photos", ("apple",), 1)
    async with Emulator() as emulator:
        await run("projects", "create", "Orchard", env=environment(emulator))
        done = await run(
            "upload", tmp_path / "photos", "--project", "Orchid", env=environment(emulator)
        )
    assert done.code == 2
    assert "Orchid" in done.err
    assert "Orchard" in done.err
    assert len(done.err.splitlines()) <= 2


async def test_tags_are_not_made_when_told_not_to(tmp_path: Path) -> None:
    """With ``--no-create-tags``, images with an unknown tag fail, and no tag is created."""
    fill(tmp_path / "photos", ("apple",), 3)
    async with Emulator() as emulator:
        words = (
            "upload",
            "photos",
            "--project",
            "P",
            "--create-project",
            "--tags-from-folders",
            "--no-create-tags",
        )
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
        assert (done.code, await tags_in(emulator, "P")) == (1, {})
    assert "apple" in done.err


async def test_a_manifest_line_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Report an invalid line of a failed-items file, and exit with code 1."""
    (tmp_path / "a.jpg").write_bytes(image_bytes(1))
    (tmp_path / "left.jsonl").write_text('{"path": "a.jpg", "tags": ["x"]}\n{"path": \n')
    async with Emulator() as emulator:
        words = ("upload", "--from-failed", "left.jsonl", "--project", "P", "--create-project")
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
    assert done.code == 1
    assert "left.jsonl:2" in done.err
    assert "1 of 1 image landed" in done.out


async def test_the_embedded_emulator_keeps_its_folder(tmp_path: Path) -> None:
    """``--emulator`` runs commands without the service, and keeps data between commands."""
    fill(tmp_path / "photos", ("apple",), 3)
    words = (
        "upload",
        "photos",
        "--project",
        "P",
        "--create-project",
        "--tags-from-folders",
        "--emulator",
    )
    assert (await run(*words, env=environment(), cwd=tmp_path)).code == 0
    assert (tmp_path / ".customvision-emulator").is_dir()
    done = await run(
        "tags",
        "--emulator",
        ".customvision-emulator",
        "--project",
        "P",
        env=environment(),
        cwd=tmp_path,
    )
    assert done.out.split()[1:] == ["3", "apple"]


async def test_tags_given_are_added_to_those_of_the_failed_items_file(tmp_path: Path) -> None:
    """Add the tags of ``--tag`` to the tags of each line."""
    (tmp_path / "a.jpg").write_bytes(image_bytes(1))
    (tmp_path / "left.jsonl").write_text('{"path": "a.jpg", "tags": ["x"]}\n')
    async with Emulator() as emulator:
        words = (
            "upload",
            "--from-failed",
            "left.jsonl",
            "--tag",
            "y",
            "--project",
            "P",
            "--create-project",
        )
        assert (await run(*words, env=environment(emulator), cwd=tmp_path)).code == 0
        assert await tags_in(emulator, "P") == {"x": 1, "y": 1}


async def test_a_source_that_breaks_off_keeps_what_landed_and_lists_the_others(
    tmp_path: Path,
) -> None:
    """A failed source raises its own error. The items of later sources remain."""

    async def broken() -> AsyncIterator[str]:
        yield "a.jpg"
        raise OSError(5, "Input/output error", "disk")

    source = StoppableSource([broken(), ["b.jpg", "c.jpg"]])
    groups = source.groups()
    assert await anext(groups) == ["a.jpg"]
    with pytest.raises(OSError, match="Input/output"):
        await anext(groups)
    assert await source.remaining(1, 10.0) == (["b.jpg", "c.jpg"], True)


async def test_what_can_never_land_as_it_is_is_told_apart_from_what_may(tmp_path: Path) -> None:
    """Count the files that would fail again: invalid, too large or missing."""
    photos = tmp_path / "photos"
    fill(photos, ("apple",), 3)
    (photos / "large.jpg").write_bytes(image_bytes(51) + bytes(6 * 1024 * 1024))
    (photos / "short.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    words = ("--project", "P", "--create-project", "--failed-file", "left.jsonl", "--json")
    async with Emulator() as emulator:
        env = environment(emulator)
        done = await run("upload", "photos", *words[:-1], env=env, cwd=tmp_path)
        # The path is relative, as in the argument.
        assert f"failed: {Path('photos', 'large.jpg')}: " in done.err
        assert (
            "left.jsonl, with the causes: 2 would fail again as they are and are to be mended "
            "first. Then:"
        ) in done.out
        (photos / "large.jpg").unlink()
        done = await run("upload", "--from-failed", "left.jsonl", *words, env=env, cwd=tmp_path)
        assert f"{photos}/large.jpg: cannot be read: No such file or directory" in done.out
        assert (done.summary["to_repeat"], done.summary["unretryable"]) == (0, 2)
        emulator.faults.add("status", operation="CreateImagesFromData", status=401, times=None)
        (photos / "apple" / "new.jpg").write_bytes(image_bytes(7))
        done = await run("upload", "photos", *words, env=env, cwd=tmp_path)
        assert done.summary["unretryable"] == 0 < done.summary["to_repeat"]


async def test_the_list_is_not_lost_where_the_folder_cannot_be_written_to(tmp_path: Path) -> None:
    """Write the file to a private folder if the current folder is not writable."""
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    async with Emulator() as emulator:
        words = ("upload", tmp_path / "bad.jpg", "--project", "P", "--create-project")
        # Not even root can write to /proc.
        env = environment(emulator, TMPDIR=str(elsewhere))
        done = await run(*words, env=env, cwd=Path("/proc"))
    assert done.code == 1
    (folder,) = elsewhere.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (listed,) = folder.iterdir()
    assert f"What did not land is listed in {listed}" in done.out
    assert [item["path"] for item in failed_items(listed)[1]] == [str(tmp_path / "bad.jpg")]


@pytest.mark.parametrize(
    ("paths", "meant"),
    [(["photos/rocket", "photos/grass"], "photos"), (["photos/rocket/0000.jpg"], "photos")],
)
async def test_an_upload_in_which_nothing_can_get_a_tag_is_refused(
    tmp_path: Path, paths: list[str], meant: str
) -> None:
    """The folders of the tags were given as PATH, so they would land without any tag."""
    fill(tmp_path / "photos", ("rocket", "grass"), 2)
    os.rename(next((tmp_path / "photos/rocket").iterdir()), tmp_path / "photos/rocket/0000.jpg")
    words = ("--project", "Orchard", "--create-project", "--tags-from-folders")
    async with Emulator() as emulator:
        done = await run("upload", *paths, *words, env=environment(emulator), cwd=tmp_path)
        assert done.code == 2
        assert f"Did you mean PATH {meant}?" in " ".join(done.err.split())
        assert not emulator.requests


async def test_images_without_a_tag_are_counted(tmp_path: Path) -> None:
    """Images directly in PATH get no tag from --tags-from-folders, and the summary says so."""
    fill(tmp_path / "photos", ("apple",), 3)
    (tmp_path / "photos" / "stray.jpg").write_bytes(image_bytes(99))
    words = ("upload", "photos", "--project", "Orchard", "--create-project", "--tags-from-folders")
    async with Emulator() as emulator:
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
    assert done.code == 0
    assert "1 image got no tag" in done.out
