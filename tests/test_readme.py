"""The claims of the README hold."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import anyio
import pytest

from customvision_async import TrainingClient
from customvision_async.emulator import Emulator
from tests.support.command import ROOT, environment
from tests.support.images import fill

pytestmark = pytest.mark.anyio

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str, after: str = "") -> list[str]:
    """Return the fenced blocks of a language, of the section `after` if given."""
    text = README.partition(f"\n## {after}\n")[2].partition("\n## ")[0] if after else README
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


async def test_the_example_does_what_it_says(tmp_path: Path) -> None:
    """The first example runs unchanged, in a process of its own on a folder of images."""
    example = blocks("python", "Use it")[0]
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    fill(tmp_path / "photos", ("apple", "pear"), 20)
    (tmp_path / "photos" / "notes.txt").write_text("hello")
    (tmp_path / "example.py").write_text(example)
    async with Emulator() as emulator:
        done = await anyio.run_process(
            [sys.executable, "-W", "error", "example.py"],
            env=environment(emulator),
            cwd=tmp_path,
            check=False,
        )
        assert (done.returncode, done.stderr.decode()) == (0, "")
        skipped, report = done.stdout.decode().splitlines()
        assert skipped.startswith("photos/notes.txt: not a JPEG")
        assert report == "40 of 41 succeeded, 1 skipped"
        async with TrainingClient(emulator.endpoint, emulator.training_key) as training:
            orchard = await training.find_project("Orchard")
            assert {tag.name: tag.image_count async for tag in orchard.list_tags()} == {
                "apple": 20,
                "pear": 20,
            }


async def test_the_test_in_it_passes(tmp_path: Path) -> None:
    """The fixtures come with the package, and work in a project without this one's settings."""
    (tmp_path / "conftest.py").write_text(
        'import pytest\n\n\n@pytest.fixture\ndef anyio_backend():\n    return "asyncio"\n'
    )
    (tmp_path / "test_it.py").write_text("import pytest\n\n\n" + blocks("python", "Use it")[1])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-W",
        "error",
        "--rootdir",
        str(tmp_path),
        "test_it.py",
    ]
    done = await anyio.run_process(command, env=environment(), cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert "1 passed" in done.stdout.decode()


@pytest.mark.parametrize("heading, does", [("Try it", "customvision demo"), ("Test it", "pytest")])
def test_a_command_is_one_line_that_makes_its_own_environment(heading: str, does: str) -> None:
    """Each of the two headings has one command of one line that needs nothing installed."""
    found = blocks("bash", heading)
    assert len(found) == 1
    assert len(found[0].splitlines()) == 1
    assert found[0].startswith("python3 -m venv ")
    assert "pip install" in found[0]
    assert does in found[0]


def test_the_extras_that_are_named_are_there() -> None:
    """The extras of the install commands exist."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {
        extra for group in re.findall(r"\.\[([a-z,]+)\]", README) for extra in group.split(",")
    }
    assert named
    assert named <= set(project["optional-dependencies"])


def test_the_map_of_the_code_is_true() -> None:
    """Every file and folder that it names exists, and it leaves out no folder."""
    text = README.partition("\n## Read it\n")[2].partition("\n## ")[0]
    package = ROOT / "customvision_async"
    named = {
        name
        for name in re.findall(r"`([a-z_/]+(?:\.py|/))`", text)
        if name != "customvision_async/"
    }
    places = (ROOT, package, package / "_transport", package / "_batch", package / "_project")
    assert not [name for name in named if not any((place / name).exists() for place in places)]
    folders = {f"{path.name}/" for path in package.iterdir() if (path / "__init__.py").exists()}
    assert folders <= named


def test_it_sends_nobody_to_a_package_index_for_what_is_not_there() -> None:
    """The package is not yet on a package index.

    A bare `pip install` of its name would fail, or install the package of a stranger.
    """
    said = [
        README,
        *(
            path.read_text(encoding="utf-8")
            for path in (ROOT / "customvision_async" / "cli").glob("*.py")
        ),
    ]
    assert not [
        text
        for text in said
        if re.search(r"pip install '?customvision_async(?!\[[a-z,]+\] @ )", text)
    ]
