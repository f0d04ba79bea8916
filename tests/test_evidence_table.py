"""docs/emulator-evidence.md is current, and every line of evidence has a test."""

from __future__ import annotations

from customvision_async.emulator import SWITCHES
from tests.evidence_table import COMMAND, LINES, PAGE, page, shown_by


def test_the_page_is_current() -> None:
    """The page is the output of the command."""
    assert PAGE.read_text("utf-8") == page(), f"run {COMMAND}"


def test_every_line_has_its_tests() -> None:
    """No test and no switch belongs to a missing line."""
    assert shown_by().keys() == LINES.keys()
    assert {switch.line for switch in SWITCHES.values()} - {""} <= LINES.keys()


def test_grades_agree() -> None:
    """A switch has the grade of its line, unless it covers the unknown part of it."""
    for switch in SWITCHES.values():
        if switch.line:
            assert switch.grade in (*LINES[switch.line].grade.split("/"), "C"), switch.name
