"""docs/emulator-evidence.md: current, and every line of evidence has a test."""

from __future__ import annotations

from customvision_async.emulator import SWITCHES
from tests.evidence_table import COMMAND, LINES, PAGE, page, shown_by


def test_the_page_is_current() -> None:
    """What the command writes is what is there."""
    assert PAGE.read_text("utf-8") == page(), f"run {COMMAND}"


def test_every_line_has_its_tests() -> None:
    """And no test, no switch is of a line that is not there."""
    assert shown_by().keys() == LINES.keys()
    assert {switch.line for switch in SWITCHES.values()} - {""} <= LINES.keys()


def test_grades_agree() -> None:
    """A switch is as sure as its line, unless it is about the part of it that is not known."""
    for switch in SWITCHES.values():
        if switch.line:
            assert switch.grade in (*LINES[switch.line].grade.split("/"), "C"), switch.name
