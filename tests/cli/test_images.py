"""The commands list, tag, untag, delete, projects, tags and emulator, against an emulator."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from customvision_async.emulator import Emulator
from tests.support.command import COMMAND, environment, run, started
from tests.support.images import fill

pytestmark = pytest.mark.anyio

HERE = ("--project", "Orchard")


@pytest.fixture
async def orchard(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """Yield the environment for an emulator with the project "Orchard": 6 apples and 4 pears."""
    fill(tmp_path / "photos", ("apple", "pear"), 6)
    for path in (tmp_path / "photos" / "pear").glob("00[45].*"):
        path.unlink()
    async with Emulator() as emulator:
        env = environment(emulator)
        done = await run(
            "upload", tmp_path / "photos", *HERE, "--create-project", "--tags-from-folders", env=env
        )
        assert done.code == 0, done.err
        yield env


async def ids(env: dict[str, str], *words: str) -> list[str]:
    """Return the ids that ``list`` prints."""
    done = await run("list", *HERE, *words, env=env)
    assert done.code == 0, done.err
    return [line.split()[0] for line in done.out.splitlines()]


async def test_list_shows_a_line_an_image_and_takes_filters(orchard: dict[str, str]) -> None:
    """Print id, size and tags, filtered by tag, untagged only, or up to a limit."""
    done = await run("list", *HERE, env=orchard)
    assert len(done.out.splitlines()) == 10
    assert all(
        line.split()[1:] in (["64x48", "apple"], ["64x48", "pear"])
        for line in done.out.splitlines()
    )
    assert len(await ids(orchard, "--tag", "apple")) == 6
    assert len(await ids(orchard, "--with-tag", "pear", "--limit", "3")) == 3
    assert await ids(orchard, "--untagged") == []


async def test_list_in_json_has_everything_and_a_summary(orchard: dict[str, str]) -> None:
    """Print one event per image, with all its fields."""
    done = await run("list", *HERE, "--json", env=orchard)
    images = [event for event in done.events if event["event"] == "image"]
    assert len(images) == done.summary["images"] == 10
    assert all(image["id"] and image["tags"] and image["width"] == 64 for image in images)


async def test_an_unknown_tag_is_named(orchard: dict[str, str]) -> None:
    """Report a misspelt tag as an error, not as an empty result."""
    for words in (
        ["list", "--tag", "aple"],
        ["tag", "--all", "--tag", "aple"],
        ["delete", "--tag", "aple", "--yes"],
    ):
        done = await run(*words, *HERE, env=orchard)
        assert done.code == 2
        assert "aple" in done.err
        assert len(done.err.splitlines()) <= 2


async def test_tag_and_untag_what_a_filter_chooses(orchard: dict[str, str]) -> None:
    """Tag the images that have another tag, and untag some by id."""
    await run("tags", "create", "ripe", *HERE, env=orchard)
    done = await run("tag", "--with-tag", "apple", "--tag", "ripe", *HERE, env=orchard)
    assert done.code == 0, done.err
    assert "6 of 6 images tagged" in done.out
    ripe = await ids(orchard, "--tag", "ripe")
    assert sorted(ripe) == sorted(await ids(orchard, "--tag", "apple"))
    assert (await run("untag", *ripe[:2], "--tag", "ripe", *HERE, env=orchard)).code == 0
    assert sorted(await ids(orchard, "--tag", "ripe")) == sorted(ripe[2:])


async def test_ids_come_through_a_pipe(orchard: dict[str, str]) -> None:
    """Delete images by the output of ``list``, as text or as JSON."""
    listed = (await run("list", *HERE, "--tag", "pear", "--json", env=orchard)).out
    done = await run("delete", "--ids-from", "-", "--yes", *HERE, env=orchard, stdin=listed)
    assert (done.code, len(await ids(orchard))) == (0, 6)
    listed = (await run("list", *HERE, "--limit", "2", env=orchard)).out
    done = await run("delete", "--ids-from", "-", "--yes", *HERE, env=orchard, stdin=listed)
    assert (done.code, len(await ids(orchard))) == (0, 4)
    done = await run("delete", "--ids-from", "-", "--yes", *HERE, env=orchard, stdin="{no json\n")
    assert (done.code, len(await ids(orchard))) == (2, 4)


async def test_a_dry_run_says_that_it_is_one_and_deletes_nothing(orchard: dict[str, str]) -> None:
    """Print the ids and their number, and delete nothing."""
    done = await run("delete", "--tag", "pear", "--dry-run", *HERE, env=orchard)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "DRY RUN: 4 images would be deleted; nothing was."
    assert len(done.out.splitlines()) == 5
    assert len(await ids(orchard)) == 10


async def test_delete_never_goes_unasked(orchard: dict[str, str]) -> None:
    """Delete nothing without consent, or without exactly one selection of images."""
    done = await run("delete", "--all", *HERE, env=orchard)
    assert (done.code, "--yes" in done.err, len(await ids(orchard))) == (2, True, 10)
    done = await run("delete", "--yes", *HERE, env=orchard)
    assert (done.code, "say which images" in done.err, len(await ids(orchard))) == (2, True, 10)
    done = await run("delete", "--all", "--tag", "pear", "--yes", *HERE, env=orchard)
    assert (done.code, len(await ids(orchard))) == (2, 10)


async def test_delete_all_with_yes_deletes_all(orchard: dict[str, str]) -> None:
    """Delete all images. A second run finds none, and succeeds."""
    done = await run("delete", "--all", "--yes", *HERE, env=orchard)
    assert done.code == 0, done.err
    assert "10 of 10 images deleted" in done.out
    assert await ids(orchard) == []
    again = await run("delete", "--all", "--yes", *HERE, env=orchard)
    assert (again.code, again.out) == (0, "No image matches: nothing deleted.\n")
    for command in ("list", "delete"):
        done = await run(command, "--untagged", "--tag", "pear", *HERE, env=orchard)
        assert (done.code, done.err) == (
            2,
            "customvision: --untagged and a tag: no image is both\n",
        )


async def test_an_id_that_is_none_fails_alone(orchard: dict[str, str]) -> None:
    """Report an invalid id, and delete the other images."""
    good = (await ids(orchard))[0]
    done = await run("delete", good, "no-id", "--yes", *HERE, "--json", env=orchard)
    assert done.code == 1
    assert (done.summary["succeeded"], done.summary["failed"], len(await ids(orchard))) == (1, 1, 9)


async def test_projects_and_tags_are_listed_and_made(orchard: dict[str, str]) -> None:
    """List projects and tags, and print the id of a new one."""
    made = await run("projects", "create", "Second", env=orchard)
    listed = await run("projects", env=orchard)
    assert f"{made.out.strip()}  Second" in listed.out
    assert len(listed.out.splitlines()) == 2
    twin = await run("projects", "create", "Second", "--json", env=orchard)
    assert (twin.summary["name"], "called this one Second (1)" in twin.err) == ("Second (1)", True)
    made = await run("tags", "create", "ripe", *HERE, env=orchard)
    tags = {
        line.split(maxsplit=2)[2]: line.split()[1]
        for line in (await run("tags", *HERE, env=orchard)).out.splitlines()
    }
    assert tags == {"apple": "6", "pear": "4", "ripe": "0"}
    again = await run("tags", "create", "ripe", *HERE, env=orchard)
    assert again.code == 3
    assert len(again.err.splitlines()) <= 2


async def test_a_reader_that_goes_away_ends_the_command_without_a_word(
    orchard: dict[str, str],
) -> None:
    """``customvision list | head -1`` prints one line, and no traceback."""
    pipe = f"{' '.join(COMMAND)} list {' '.join(HERE)} | head -1"
    done = await anyio.run_process(["bash", "-c", pipe], env=orchard, check=True)
    assert done.stdout.decode().count("\n") == 1
    assert done.stderr.decode().strip() in {"", "10 images"}


async def test_the_emulator_says_where_it_is_and_ends_on_a_signal(tmp_path: Path) -> None:
    """Print the endpoint when ready, serve other commands, and exit with code 0 on SIGTERM."""
    words = ("emulator", "--port", "0", "--training-key", "k1", "--data", tmp_path / "data")
    async with started(*words, env=environment()) as process:
        assert process.stdout is not None
        endpoint = (await process.stdout.receive()).decode().strip()
        env = environment(VISION_TRAINING_ENDPOINT=endpoint, VISION_TRAINING_KEY="k1")
        assert (await run("projects", "create", "Kept", env=env)).code == 0
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    done = await run("projects", "--emulator", tmp_path / "data", env=environment())
    assert done.out.split()[1:] == ["Kept"]
