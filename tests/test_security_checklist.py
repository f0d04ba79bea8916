"""The security checklist is complete, current and correct."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from uuid import UUID

from customvision_async import TrainingClient
from customvision_async._transport.atomic_file import AtomicFile
from customvision_async.cli._failed_items import FailedItems
from tests.security_checklist import PAGE, RULES, missing, page


def test_every_rule_names_tests_that_exist() -> None:
    """A rule without a test is about something that this package does not do."""
    assert missing() == []
    assert [number for number, _, held in RULES if not held] == ["S15", "S16"]


def test_the_page_is_current() -> None:
    """docs/security.md is the output of the command."""
    assert PAGE.read_text(encoding="utf-8") == page()


def _list_a_failure(path: Path) -> None:
    client = TrainingClient("http://127.0.0.1:1", "k" * 32)
    failed = FailedItems(client.get_project_client(UUID(int=1)), path)
    failed.finish(["a.jpg"], [])
    assert (failed.path, failed.listed, failed.trouble) == (path, 1, "")


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Other users can read neither a downloaded file nor a failed-items file, whatever the
    umask.
    """
    before = os.umask(0)
    try:
        file = AtomicFile(str(tmp_path / "download"), overwrite=False)
        file.open()
        file.commit()
        _list_a_failure(tmp_path / "failed.jsonl")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {
        "download": 0o600,
        "failed.jsonl": 0o600,
    }


def test_the_floor_of_aiohttp() -> None:
    """Earlier versions allow CR and LF in part headers and keep headers on redirects.

    See CVE-2026-50269 and others.
    """
    assert tuple(map(int, version("aiohttp").split(".")[:3])) >= (3, 14, 3)
    project = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert '"aiohttp>=3.14.3"' in project
