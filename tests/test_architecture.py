"""docs/architecture.md lists every folder of the package, and only modules that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.module_changes import count_changes

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "customvision_async"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = set(re.findall(r"`([\w/]+(?:\.py|/))`", PAGE))


def test_every_path_of_the_page_exists() -> None:
    """The page is updated when a module moves."""
    assert len(PATHS) > 20
    missing = {path for path in PATHS if not ((PACKAGE / path).exists() or (ROOT / path).exists())}
    assert not missing


def test_the_page_names_everything_at_the_root_of_the_package() -> None:
    """A new module at the root, or a new folder, has a line."""
    entries = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in PACKAGE.iterdir()
        if (path.is_dir() and (path / "__init__.py").exists()) or path.suffix == ".py"
    }
    assert entries - PATHS <= {"__main__.py"}


@pytest.mark.anyio
async def test_the_page_counts_the_changes_of_module() -> None:
    """The figures of the page are those of the code, within a tenth."""
    stated = {name: int(count) for name, count in re.findall(r"\| (an? .+) \| (\d+) \|", PAGE)}
    counted = await count_changes()
    assert stated.keys() == counted.keys()
    assert all(abs(count - stated[name]) <= stated[name] / 10 for name, count in counted.items())
