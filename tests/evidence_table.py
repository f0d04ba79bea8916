"""The table of public evidence on the real service, and of its use in the emulator.

``python -m tests.evidence_table`` writes docs/emulator-evidence.md; ``--check`` only tells whether
it is current. Defaults, values and sources come from the emulator's table of switches. The tests
come from their markers ``evidence("D1")``.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from pathlib import Path

from customvision_async.emulator import SWITCHES

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "emulator-evidence.md"
COMMAND = "python -m tests.evidence_table"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of evidence. `note` tells where the emulator differs, and why."""

    grade: str
    shows: str
    source: str
    note: str = ""


LINES = {
    "D1": Line(
        "A",
        "Export platforms and flavors in any case; six flavors that no document has",
        (
            "irisml-tasks-azure-customvision, cvsutils, Intelligent Kiosk, "
            "azure-intelligent-edge-patterns"
        ),
    ),
    "D2": Line("A", "JSON with single quotes is taken (more than that: C)", "AI-900 labs"),
    "D3": Line("A", "Iterations are listed newest first", "azure-docs#77596"),
    "D4": Line("A", "Enum values in any case, in queries and bodies", "cvsutils, AzureVision (R)"),
    "D5": Line(
        "A",
        "Prediction v1.1 and v2.0 without a default iteration: 404",
        "azure-sdk-for-net#4556, azure-docs#11923, #28149",
        "A quick test of the training API still takes the iteration trained last.",
    ),
    "D6": Line("C", "Browsers may call (CORS)", "VoTT's web build"),
    "D7": Line(
        "B",
        "The same region twice in one batch is a 400; created[] comes in another order",
        "two tests against a real project",
    ),
    "D8": Line("C", "A list in the query that is given twice counts twice", "custom-vision-client"),
    "D9": Line(
        "B", "A published iteration is not published again", "a test against a real project"
    ),
    "D10": Line("B", "A tag without images stops a training", "seen for detection"),
    "D11": Line("A", "OKDuplicate adds the tags and regions sent", "python-sdk-samples#56"),
    "D12": Line(
        "A",
        "18 domains",
        "Microsoft Learn, select-domain",
        "The recording of 2020 has 14: it is replayed with newer_domains off.",
    ),
    "D13": Line(
        "A",
        "UpdateProject keeps imageProcessingSettings",
        "Training-v3.1.json and later",
        "useNegativeSet is read-only in these documents, which win: it stays as it is.",
    ),
    "D14": Line("C", "An unknown tag of one entry costs that image alone", "python-sdk-samples#56"),
    "D15": Line(
        "A", "Storage addresses in the query of v3.3", "Microsoft Learn, storage-integration"
    ),
    "D16": Line(
        "A", "v1.2: the workspace is an iteration that is New", "azure-sdk-for-python#1873"
    ),
    "D17": Line(
        "B",
        "Bodies of another media type are a 415; predictionId must be an Azure id",
        "azure-docs#12513; a test against a real project",
        "v3.0 takes any predictionId, as the recording of a developer's own machine does.",
    ),
    "D18": Line(
        "A/B",
        "Words that clients look for",
        "azure-docs#46280, #91074, #82899; studentambassadors#176; azure-sdk-for-python#24026",
    ),
}


def shown_by() -> dict[str, list[str]]:
    """Return the tests of each line, by their markers."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        text = file.read_text("utf-8")
        for node in ast.walk(ast.parse(text)) if "mark.evidence" in text else ():
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.evidence":
                    for line in map(ast.literal_eval, mark.args):
                        found.setdefault(line, []).append(f"{file.stem}::{node.name}")
    return found


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page() -> str:
    """Return the page."""
    tests = shown_by()
    out = [
        "# What the emulator knows of the real service",
        "",
        (
            f"Made by `{COMMAND}`; not to be edited. Grades: R recorded; A Microsoft's code, "
            "documents or engineers; B a test"
        ),
        (
            "against a real project; C not known, or inferred; T says nothing of the service, it "
            "is for tests. What is graded A"
        ),
        (
            "or B is the default; recordings and OpenAPI documents go before it, and the notes say "
            "where they did."
        ),
        "",
        "## Lines of evidence",
        "",
        _row("line", "the real service", "grade", "source", "switch and its default", "tests"),
        _row(*["---"] * 6),
    ]
    for name, line in LINES.items():
        switches = [
            f"`{switch.name}={switch.default!r}`"
            for switch in SWITCHES.values()
            if switch.line == name
        ]
        shown = [f"`{test}`" for test in tests.get(name, [])]
        what = f"{line.shows}. {line.note}".strip()
        out.append(
            _row(
                name,
                what,
                line.grade,
                line.source,
                ", ".join(switches) or "always",
                ", ".join(shown),
            )
        )
    out += [
        "",
        "## Switches",
        "",
        "Arguments of `Emulator`, or members of `switches` in a profile.",
        "",
        _row("switch", "meaning", "default", "other values", "grade", "line", "source"),
        _row(*["---"] * 7),
    ]
    for switch in SWITCHES.values():
        others = [f"`{value!r}`" for value in switch.values if value != switch.default]
        out.append(
            _row(
                f"`{switch.name}`",
                switch.meaning,
                f"`{switch.default!r}`",
                ", ".join(others) or "any number",
                switch.grade,
                switch.line,
                switch.source,
            )
        )
    return "\n".join(out) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or with ``--check`` tell whether it is current."""
    if "--check" in arguments:
        return int(not PAGE.is_file() or PAGE.read_text("utf-8") != page())
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
