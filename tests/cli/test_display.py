"""The progress display on a terminal and elsewhere, and the debug log."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from customvision_async.emulator import Emulator
from tests.support.command import COMMAND, environment, run
from tests.support.images import fill

pytestmark = pytest.mark.anyio


def on_a_terminal(
    words: list[str], env: dict[str, str], cwd: Path, answer: bytes = b""
) -> tuple[int, str]:
    """Run the command with a terminal for stdin and stderr.

    Return its exit code and its output, with stdout at the end.
    """
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words],
        env=env,
        cwd=cwd,
        stdin=follower,
        stdout=subprocess.PIPE,
        stderr=follower,
    ) as process:
        os.close(follower)
        if answer:
            os.write(leader, answer)
        seen = b""
        while True:
            try:
                part = os.read(leader, 65_536)
            except OSError:  # the other side is closed
                break
            if not part:
                break
            seen += part
        assert process.stdout is not None
        seen += process.stdout.read()
    os.close(leader)
    return process.returncode, seen.decode()


async def test_on_a_terminal_a_bar_shows_the_figures(tmp_path: Path) -> None:
    """Show a bar with the counts of images and failures, and replace it by the summary."""
    fill(tmp_path / "photos", ("apple",), 100)
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"\xff\xd8\xff and no more")
    async with Emulator(think_seconds=0.5) as emulator:
        words = ["upload", "photos", "--project", "P", "--create-project"]
        env = environment(emulator, TERM="xterm-256color")
        code, seen = await anyio.to_thread.run_sync(on_a_terminal, words, env, tmp_path)
    assert code == 1
    assert "━" in seen
    assert "/101 images" in seen
    assert "1 failed" in seen
    assert "100 of 101 images landed" in seen.splitlines()[-4]


async def test_without_a_terminal_there_is_a_plain_line_now_and_then(tmp_path: Path) -> None:
    """Print a line every few seconds, without control characters."""
    fill(tmp_path / "photos", ("apple",), 20)
    async with Emulator() as emulator:
        emulator.faults.add("slow_answer", operation="CreateImagesFromData", seconds=4.0)
        done = await run(
            "upload",
            "photos",
            "--project",
            "P",
            "--create-project",
            env=environment(emulator),
            cwd=tmp_path,
        )
    assert done.code == 0
    assert any(
        line.startswith("0/20 images") and "0 failed" in line for line in done.err.splitlines()
    )
    assert (done.out + done.err).replace("\n", "").isprintable()


async def test_delete_asks_on_a_terminal_and_takes_no_for_an_answer(tmp_path: Path) -> None:
    """Delete only after y or yes."""
    fill(tmp_path / "photos", ("apple",), 3)
    async with Emulator() as emulator:
        env = environment(emulator, TERM="xterm")
        await run("upload", "photos", "--project", "P", "--create-project", env=env, cwd=tmp_path)
        words = ["delete", "--all", "--project", "P"]
        code, seen = await anyio.to_thread.run_sync(on_a_terminal, words, env, tmp_path, b"n\n")
        assert (
            code,
            "Delete 3 images of project P for good? [y/N]" in seen,
            "nothing was deleted" in seen,
        ) == (1, True, True)
        code, seen = await anyio.to_thread.run_sync(on_a_terminal, words, env, tmp_path, b"y\n")
        assert (code, "3 of 3 images deleted" in seen) == (0, True)


async def test_debug_logs_requests_and_never_the_key(tmp_path: Path) -> None:
    """Log each request and the traceback of an error, without the key."""
    fill(tmp_path / "photos", ("apple",), 3)
    async with Emulator(training_key="canary-8f3") as emulator:
        env = environment(emulator)
        done = await run(
            "upload",
            "photos",
            "--project",
            "P",
            "--create-project",
            "--debug",
            env=env,
            cwd=tmp_path,
        )
        assert "CreateImagesFromData" in done.err
        refused = await run(
            "projects", "--debug", env={**env, "VISION_TRAINING_KEY": "canary-8f3x"}
        )
    assert "Traceback" in refused.err
    assert "canary-8f3" not in done.out + done.err + refused.out + refused.err


async def test_the_progress_of_a_failed_items_file_knows_its_end(tmp_path: Path) -> None:
    """Use the lines of the file as the total of the progress."""
    paths = fill(tmp_path / "photos", ("apple",), 20)
    (tmp_path / "left.jsonl").write_text("".join(f'{{"path": "{path}"}}\n' for path in paths))
    async with Emulator() as emulator:
        emulator.faults.add("slow_answer", operation="CreateImagesFromData", seconds=4.0)
        words = ("upload", "--from-failed", "left.jsonl", "--project", "P", "--create-project")
        done = await run(*words, env=environment(emulator), cwd=tmp_path)
    assert done.code == 0
    assert any(line.startswith("0/20 images") for line in done.err.splitlines())
