"""The command with unread pipes, silent terminals, closed descriptors and planted links."""

from __future__ import annotations

import os
import pty
import signal
import threading
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from customvision_async.cli._opening import open_new, private_folder
from customvision_async.emulator import Emulator
from tests.support.command import COMMAND, environment, listens, run
from tests.support.images import fill

pytestmark = pytest.mark.anyio

UPLOAD = ("upload", "photos", "--project", "P", "--create-project", "--json")


async def test_a_failed_file_that_is_a_pipe_without_a_reader_holds_nothing_up(
    tmp_path: Path,
) -> None:
    """The upload succeeds, and an error says that nobody reads the pipe."""
    fill(tmp_path / "photos", ("apple",), 2)
    os.mkfifo(tmp_path / "pipe")
    async with Emulator() as emulator:
        with anyio.fail_after(60):
            done = await run(
                *UPLOAD, "--failed-file", "pipe", env=environment(emulator), cwd=tmp_path
            )
    assert done.summary["succeeded"] == 2
    assert "nobody reads the pipe" in done.err


def drain(terminal: int, shown: list[bytes]) -> None:
    """Read the output on a terminal until the other end closes."""
    with suppress(OSError):
        while part := os.read(terminal, 1000):
            shown.append(part)
    os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words",
    [
        ("delete", "--project", "P", "--yes", "--ids-from", "-"),
        ("delete", "--project", "P", "--yes", "--ids-from", "pipe"),
        ("upload", "--from-failed", "pipe", "--project", "P"),
        ("delete", "--project", "P", "--all"),
        ("projects", "--env-file", "pipe"),
    ],
    ids=["ids-of-terminal", "ids-of-pipe", "manifest", "question", "env-file"],
)
async def test_a_signal_ends_every_wait(
    tmp_path: Path, number: signal.Signals, words: tuple[str, ...]
) -> None:
    """A signal ends a command that waits for a silent terminal or for a pipe without a writer."""
    os.mkfifo(tmp_path / "pipe")
    ours, theirs = pty.openpty()
    async with Emulator() as emulator:
        env = environment(emulator)
        fill(tmp_path / "photos", ("apple",), 1)
        assert (await run(*UPLOAD, env=env, cwd=tmp_path)).code == 0
        process = await anyio.open_process(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=tmp_path
        )
        shown: list[bytes] = []
        threading.Thread(target=drain, args=(ours, shown), daemon=True).start()
        try:
            await listens(process)
            assert process.returncode is None
            process.send_signal(number)
            assert await process.wait() == 128 + number
            # The message of the watchdog, which ends the process after 9 s.
            assert b"did not stop in time" not in b"".join(shown)
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()
            os.close(theirs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_end_a_command_whose_output_nobody_reads(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A full pipe blocks the event loop, so the watchdog ends the process."""
    reader, writer = os.pipe()
    # Fill the pipe.
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x" * 512)
    os.set_blocking(writer, True)
    words = ("upload", "photos", "--project", "P", "--create-project", "--json")
    fill(tmp_path / "photos", ("apple",), 200)
    async with Emulator() as emulator:
        process = await anyio.open_process(
            [*COMMAND, *words], stdout=writer, env=environment(emulator), cwd=tmp_path
        )
        try:
            await listens(process)
            await anyio.sleep(1)
            assert process.returncode is None
            process.send_signal(number)
            await anyio.sleep(0.2)
            process.send_signal(number)
            assert await process.wait() == 128 + number
        finally:
            if process.returncode is None:
                process.kill()
            await process.aclose()
            os.close(reader)
            os.close(writer)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
async def test_closed_descriptors_do_not_stop_an_upload(tmp_path: Path, closed: str) -> None:
    """The upload succeeds with exit code 0, whichever standard streams are closed."""
    fill(tmp_path / "photos", ("apple",), 1)
    async with Emulator() as emulator:
        done = await anyio.run_process(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *COMMAND, *UPLOAD],
            check=False,
            env=environment(emulator),
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr


def test_a_planted_link_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse a link in place of a file or of the private folder."""
    monkeypatch.setattr("customvision_async.cli._opening.gettempdir", lambda: str(tmp_path))
    target = tmp_path / "target"
    target.mkdir(mode=0o700)
    folder = tmp_path / f"customvision-{os.getuid()}"
    folder.symlink_to(target)
    with pytest.raises(PermissionError):
        private_folder()
    folder.unlink()
    assert private_folder() == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "name").symlink_to(victim)
    with pytest.raises(FileExistsError):
        open_new(folder / "name")
    assert victim.read_text() == "precious"
    folder.chmod(0o755)
    with pytest.raises(PermissionError):
        private_folder()
