"""The command line before any upload: help, wrong arguments, credentials, endpoints and extras."""

from __future__ import annotations

import socket
import sys
import unicodedata
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from customvision_async.cli._text import duration, printable
from customvision_async.emulator import Emulator
from tests.support.command import environment, run
from tests.support.images import fill

pytestmark = pytest.mark.anyio

COMMANDS = (
    "upload",
    "list",
    "tag",
    "untag",
    "delete",
    "projects",
    "tags",
    "doctor",
    "emulator",
    "demo",
)


async def test_help_names_every_command_and_the_exit_codes() -> None:
    """``--help`` names all commands and the exit codes."""
    done = await run("--help", env=environment())
    assert done.code == 0
    assert all(command in done.out for command in COMMANDS)
    assert "Exit codes: 0" in done.out
    assert "VISION_TRAINING_KEY" in done.out


@pytest.mark.parametrize("command", COMMANDS)
async def test_every_command_has_help(command: str) -> None:
    """Each command has a help page."""
    done = await run(command, "--help", env=environment())
    assert done.code == 0
    assert "Usage: customvision " + command in done.out


@pytest.mark.parametrize(
    "words, expected",
    [
        (["uplod", "photos"], 'Did you mean "upload"?'),
        (["upload", "photos"], "--project"),
        (["upload", "photos", "--project", "p", "--speed", "9"], "--speed"),
        (["upload", "--project", "p"], "give a PATH or --from-failed"),
        (
            ["upload", "--emulator", "photos", "--project", "p"],
            "'photos' was taken as the folder of --emulator",
        ),
        (
            ["upload", "no-such-folder", "--project", "p"],
            "no-such-folder: No such file or directory",
        ),
        (["upload", "--from-failed", "none.jsonl", "--project", "p"], "none.jsonl"),
        (
            ["upload", ".", "--project", "p", "--failed-file", "no/such/folder.jsonl"],
            "--failed-file cannot be written",
        ),
        (["list", "--project", "p", "--key", "canary-5c1"], "a key is never an argument"),
        (["list", "--project", "p", "--key=canary-5c1"], "a key is never an argument"),
        (["projects", "--api-version", "v9.9"], "there is no API version v9.9"),
        (["demo", "--images", "7"], "--images takes 50"),
        (["emulator", "--port", "99999", "--training-key", "k"], "--port"),
        (["list", "--project", "p", "--limit", "-1"], "--limit"),
        (["projects", "--emulator", "odd"], "no emulator can be kept in odd"),
    ],
)
async def test_wrong_use_is_two_lines_and_code_2(
    words: list[str], expected: str, tmp_path: Path
) -> None:
    """Report wrong arguments in at most two lines on stderr, without a key. Exit with code 2."""
    (tmp_path / "odd").write_text("a file, not a folder")
    done = await run(*words, env=environment(), cwd=tmp_path)
    assert done.code == 2
    assert expected in done.err
    assert len(done.err.splitlines()) <= 2
    assert done.out == ""
    assert "canary-5c1" not in done.err


async def test_without_credentials_it_says_what_to_set() -> None:
    """Name the missing variables, and suggest the emulator."""
    done = await run("projects", env=environment())
    assert done.code == 3
    assert "VISION_TRAINING_ENDPOINT and VISION_TRAINING_KEY not set" in done.err
    assert "--emulator" in done.err
    assert len(done.err.splitlines()) <= 2


async def test_with_json_an_error_is_the_summary() -> None:
    """Print the error as the JSON summary, the last line of stdout."""
    done = await run("projects", "--json", env=environment())
    assert done.summary["exit_code"] == done.code == 3
    assert "VISION_TRAINING_KEY" in done.summary["error"]
    done = await run("list", "--json", env=environment())
    assert done.summary["exit_code"] == done.code == 2


async def test_the_env_file_goes_before_the_environment(tmp_path: Path) -> None:
    """Read endpoint and key from a file with comments, ``export`` and quotes."""
    async with Emulator() as emulator:
        file = tmp_path / "azure.env"
        lines = [
            "# ours",
            "",
            f"export VISION_TRAINING_ENDPOINT='{emulator.endpoint}'",
            f'VISION_TRAINING_KEY="{emulator.training_key}"',
        ]
        file.write_text("\n".join(lines), encoding="utf-8")
        env = environment(
            VISION_TRAINING_ENDPOINT="https://elsewhere.invalid", VISION_TRAINING_KEY="another"
        )
        done = await run("projects", "--env-file", file, env=env)
    assert (done.code, done.err.strip()) == (0, "There is no project yet.")


@pytest.mark.parametrize("text", ["VISION_TRAINING_KEY canary-77", "\xff\xfe"])
async def test_a_broken_env_file_is_told_without_its_contents(text: str, tmp_path: Path) -> None:
    """Report an invalid line by its number, because it may contain the key."""
    file = tmp_path / "azure.env"
    file.write_bytes(text.encode("latin-1"))
    done = await run("projects", "--env-file", file, env=environment())
    assert done.code == 2
    assert "azure.env" in done.err
    assert "canary" not in done.err
    done = await run("projects", "--env-file", tmp_path / "missing.env", env=environment())
    assert done.code == 2
    assert "missing.env" in done.err


async def test_a_wrong_key_says_so_and_never_shows_it(tmp_path: Path) -> None:
    """Report a refused key with advice, and exit with code 3."""
    async with Emulator(training_key="right") as emulator:
        fill(tmp_path, ("apple",), 2)
        done = await run(
            "upload",
            tmp_path,
            "--project",
            "p",
            env=environment(emulator, VISION_TRAINING_KEY="canary-4d2"),
        )
    assert done.code == 3
    assert "401" in done.err
    assert "VISION_TRAINING_KEY" in done.err
    assert "canary-4d2" not in done.err + done.out
    assert len(done.err.splitlines()) <= 2


@pytest.mark.parametrize(
    "endpoint, expected",
    [
        ("http://example.com", "https"),
        ("not an endpoint", "endpoint"),
        ("https://user:canary-4d2@example.com", "endpoint"),
        ("ftp://example.com", "https"),
    ],
)
async def test_an_endpoint_that_is_none_is_refused_before_anything_is_sent(
    endpoint: str, expected: str
) -> None:
    """Send the key only over https or to this machine."""
    done = await run(
        "projects", env=environment(VISION_TRAINING_ENDPOINT=endpoint, VISION_TRAINING_KEY="k")
    )
    assert done.code == 3
    assert expected in done.err
    assert "canary-4d2" not in done.err
    assert len(done.err.splitlines()) <= 2


async def test_an_endpoint_that_is_another_web_site_is_code_3() -> None:
    """Exit with code 3 if another web site responds."""
    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):

        async def answer(stream: anyio.abc.ByteStream) -> None:
            async with stream:
                await stream.receive()
                await stream.send(
                    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: "
                    b"15\r\n\r\n<h1>Hello!</h1>"
                )

        tasks.start_soon(listener.serve, answer)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        done = await run(
            "projects",
            env=environment(
                VISION_TRAINING_ENDPOINT=f"http://127.0.0.1:{port}", VISION_TRAINING_KEY="k"
            ),
        )
        assert done.code == 3
        assert "404" in done.err
        assert len(done.err.splitlines()) <= 2
        tasks.cancel_scope.cancel()


async def test_a_port_where_nothing_or_something_else_listens_is_named() -> None:
    """Name the port of the endpoint if it is not the default one."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        there = f"127.0.0.1:{held.getsockname()[1]}"
        done = await run(
            "projects",
            env=environment(VISION_TRAINING_ENDPOINT=f"http://{there}", VISION_TRAINING_KEY="k"),
        )
    assert done.code == 3
    assert f"no connection to {there}: Connection refused; check the endpoint" in done.err
    async with Emulator() as emulator:
        endpoint = emulator.endpoint.replace("http:", "https:")
        done = await run(
            "projects", env=environment(VISION_TRAINING_ENDPOINT=endpoint, VISION_TRAINING_KEY="k")
        )
    assert done.code == 3
    assert (
        f"no trusted TLS connection to {endpoint.removeprefix('https://')}: the peer "
        "does not speak TLS"
    ) in done.err


@pytest.mark.parametrize("missing", ["rich", "cyclopts"])
async def test_a_missing_extra_is_a_line_that_says_what_to_install(missing: str) -> None:
    """Without the ``cli`` extra, print one line with the install command."""
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['customvision', 'projects']; "
        "import customvision_async.__main__"
    )
    done = await anyio.run_process([sys.executable, "-c", code], check=False, env=environment())
    assert done.returncode == 2
    assert done.stderr.decode().count("\n") == 1
    assert "pip install '.[cli,emulator]'" in done.stderr.decode()


async def test_without_pillow_the_emulator_says_what_to_install() -> None:
    """Without Pillow, the emulator prints the install command."""
    code = (
        "import sys; sys.modules['PIL'] = None; sys.argv = ['customvision', 'demo']; "
        "import customvision_async.__main__"
    )
    done = await anyio.run_process([sys.executable, "-c", code], check=False, env=environment())
    assert done.returncode == 2
    assert "pip install '.[cli,emulator]'" in done.stderr.decode()


@given(st.text())
def test_nothing_that_is_shown_can_move_the_cursor_or_turn_the_text(text: str) -> None:
    """Escape control characters in any text, and leave printable text unchanged."""
    shown = printable(text)
    categories = {unicodedata.category(char) for char in shown if char not in "\u200c\u200d"}
    assert not categories & {"Cc", "Cs", "Cf", "Zl", "Zp"}
    if text.isprintable():
        assert shown == text


def test_a_duration_reads_as_a_person_says_it() -> None:
    """Use milliseconds, seconds, minutes or hours."""
    assert [duration(seconds) for seconds in (0.04, 59.9, 187.2, 3723)] == [
        "40 ms",
        "59.9 s",
        "3:07",
        "1:02:03",
    ]
