"""``customvision demo``, run as in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import environment, run

pytestmark = pytest.mark.anyio


async def test_the_demo_comes_out_as_it_should(tmp_path: Path) -> None:
    """Show every step, name the invalid files with their causes, and end with a table."""
    done = await run("demo", "--images", "60", env=environment(), cwd=tmp_path)
    assert done.code == 0, done.err
    for text in (
        "Creating the project Orchard",
        "61 of 63 images uploaded (1 there already)",
        "60 images for the 61 files that landed: a copy is no new image",
        "ripe",
        "regions",
        "deleted",
        "everything came out as it should.",
    ):
        assert text in done.out
    for bad in ("cut short.jpg", "too large.jpg", "empty.png", "not an image.jpg", "notes.txt"):
        assert bad in done.err
    assert list(tmp_path.iterdir()) == []


async def test_the_demo_in_json_has_the_table_in_its_summary(tmp_path: Path) -> None:
    """The JSON summary contains the rows of the table."""
    done = await run("demo", "--images", "60", "--json", env=environment(), cwd=tmp_path)
    assert done.code == 0, done.err
    assert {"upload a folder", "list the images", "delete"} <= {
        row["step"] for row in done.summary["steps"]
    }
