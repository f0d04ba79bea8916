"""Ctrl-C and SIGTERM: a clean end, a correct summary, and a file to continue from."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anyio
import pytest

from customvision_async import TrainingClient
from customvision_async.emulator import Emulator
from tests.support.command import environment, failed_items, run, started, text_of
from tests.support.images import fill

pytestmark = pytest.mark.anyio

LIMIT = 12.0
"""Maximum seconds from the signal to the end: the promised ten, and two for a slow machine."""


async def images_in(emulator: Emulator) -> int:
    """Return the number of images in the project."""
    async with TrainingClient(emulator.endpoint, emulator.training_key) as training:
        return await (await training.find_project("P")).count_images()


@pytest.mark.parametrize(
    "number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
async def test_a_stopped_upload_says_what_landed_and_lists_the_rest(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """The summary agrees with the service, and the file lists the images that were not uploaded.

    An upload of the file completes the job.
    """
    paths = fill(tmp_path / "photos", ("apple",), 5000, size=(8, 6))
    async with Emulator(calls_per_second=2.0) as emulator:
        await run("projects", "create", "P", env=environment(emulator))
        words = ("upload", "photos", "--project", "P", "--json", "--failed-file", "left.jsonl")
        async with started(*words, env=environment(emulator), cwd=tmp_path) as process:
            assert process.stdout is not None
            first = await process.stdout.receive()  # an image has landed
            process.send_signal(number)
            with anyio.fail_after(LIMIT):
                rest = await text_of(process.stdout)
                assert await process.wait() == code
        events = [json.loads(line) for line in (first.decode() + rest).splitlines()]
        summary = events[-1]
        assert (summary["event"], summary["exit_code"], summary["ok"]) == ("summary", code, False)
        there = await images_in(emulator)
        assert summary["succeeded"] <= there <= summary["succeeded"] + summary["pending"]
        assert summary["not_begun"] > 0
        _, items = failed_items(tmp_path / "left.jsonl")
        left = {item["path"] for item in items}
        landed = {str(tmp_path / event["path"]) for event in events if event["event"] == "item"}
        assert left | landed == {str(path) for path in paths}
    lines = (tmp_path / "left.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "left.jsonl").write_text("".join(lines[1:]))  # for any project
    async with Emulator(data=tmp_path / "other") as emulator:
        again = ("upload", "--from-failed", "left.jsonl", "--project", "P", "--create-project")
        assert (await run(*again, env=environment(emulator), cwd=tmp_path)).code == 0
        assert await images_in(emulator) == len(left)


async def test_a_service_that_hangs_does_not_hold_the_command(tmp_path: Path) -> None:
    """Report requests that are still in flight after the grace period as pending."""
    fill(tmp_path / "photos", ("apple",), 10)
    async with Emulator() as emulator:
        await run("projects", "create", "P", env=environment(emulator))
        emulator.faults.add("hang", operation="CreateImagesFromData", times=None)
        words = ("upload", "photos", "--project", "P", "--failed-file", "left.jsonl")
        async with started(*words, env=environment(emulator), cwd=tmp_path) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            while not any(seen.operation == "CreateImagesFromData" for seen in emulator.requests):
                await anyio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(LIMIT):
                out, err = await text_of(process.stdout), await text_of(process.stderr)
                assert await process.wait() == 130
    assert "10 without an outcome when it stopped (some may have landed)" in out
    assert "Traceback" not in err
    assert len(failed_items(tmp_path / "left.jsonl")[1]) == 10


async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """Cancel requests in flight at the second Ctrl-C."""
    fill(tmp_path / "photos", ("apple",), 10)
    async with Emulator() as emulator:
        await run("projects", "create", "P", env=environment(emulator))
        emulator.faults.add("hang", operation="CreateImagesFromData", times=None)
        words = ("upload", "photos", "--project", "P", "--failed-file", "left.jsonl")
        async with started(*words, env=environment(emulator), cwd=tmp_path) as process:
            assert process.stderr is not None
            while not any(seen.operation == "CreateImagesFromData" for seen in emulator.requests):
                await anyio.sleep(0.05)
            process.send_signal(signal.SIGINT)
            heard = await process.stderr.receive()
            process.send_signal(signal.SIGINT)
            with anyio.fail_after(LIMIT):
                assert await process.wait() == 130
    assert b"Again to stop at once" in heard
    assert len(failed_items(tmp_path / "left.jsonl")[1]) == 10


async def test_a_signal_ends_the_demo_too(tmp_path: Path) -> None:
    """End the demo in its current step, and delete its temporary files."""
    env = environment(TMPDIR=str(tmp_path))
    async with started("demo", "--images", "100", env=env, cwd=tmp_path) as process:
        assert process.stdout is not None
        seen = ""
        while "Uploading the folder" not in seen:
            seen += (await process.stdout.receive()).decode()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(LIMIT):
            rest = await text_of(process.stdout)
            assert await process.wait() == 130
    assert "Deleting the bananas" not in rest
    assert list(tmp_path.iterdir()) == []
