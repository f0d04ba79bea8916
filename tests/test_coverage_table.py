"""docs/operations.md is current and complete, and the methods named in docs/ exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import customvision_async
from customvision_async import models
from customvision_async._operations import Operations, PredictionOperations
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operations import OPERATIONS
from customvision_async.emulator import Emulator
from tests.coverage_table import CLIENTS, COMMAND, PAGE, SDKS, VERBS, cell, page, snake, verbs
from tests.support.command import environment
from tests.support.images import fill, image_bytes

DOCS = Path(PAGE).parent
MOVING = DOCS / "moving-from-the-official-sdk.md"


def test_the_page_is_current() -> None:
    """The page is the output of the command."""
    assert PAGE.read_text("utf-8") == page(), f"run {COMMAND}"


def test_every_operation_of_every_version_is_in_client_and_emulator() -> None:
    """If a release of Microsoft's SDK supports the version, the tests call the operation with it
    too.
    """
    for row in OPERATIONS.values():
        for version in ApiVersion if row.api == "Training" else PredictionVersion:
            expected = (
                "-"
                if not row.in_version(version)
                else "CES"
                if (row.api, version.value) in SDKS
                else "CE"
            )
            assert cell(row, version) == expected, (row.id, version)


def test_every_operation_has_its_verb() -> None:
    """Every operation has a method that exists, except those of v1.2 only."""
    assert VERBS.keys() == OPERATIONS.keys()
    for operation in OPERATIONS:
        for client, verb in verbs(operation):
            assert callable(getattr(client, verb)), (operation, verb)
    assert {operation for operation, text in VERBS.items() if not text} == {"GetAccountInfo"}


def test_the_page_on_moving_names_every_call_of_the_sdk() -> None:
    """Each operation of both clients of the SDK has a line."""
    first_cells = [
        line.split("|")[1]
        for line in MOVING.read_text("utf-8").splitlines()
        if line.startswith("|")
    ]
    named = {name for text in first_cells for name in re.findall(r"`(\w+)", text)}
    newest = {
        snake(row.id)
        for row in OPERATIONS.values()
        if row.in_version(ApiVersion.V3_4_PREVIEW) or row.in_version(PredictionVersion.V3_1)
    }
    assert newest - named == set()


def test_the_program_on_moving_runs(tmp_path: Path) -> None:
    """Unchanged, in a process of its own, from an empty project to predictions."""
    fill(tmp_path / "photos", ("apple", "pear"), 6)
    (tmp_path / "new").mkdir()
    for seed in (0, 1000):  # the first apple and the first pear
        (tmp_path / "new" / f"{seed}.jpg").write_bytes(image_bytes(seed))
    program = re.search(r"```python\n(.+?)```", MOVING.read_text("utf-8"), re.DOTALL)
    assert program is not None
    with Emulator(training_seconds=0.1) as emulator:
        more = {
            "VISION_PREDICTION_ENDPOINT": emulator.endpoint,
            "VISION_PREDICTION_KEY": emulator.prediction_key,
            "VISION_PREDICTION_RESOURCE_ID": "/subscriptions/0",
        }
        command = [sys.executable, "-W", "error", "-c", program[1]]
        env = environment(emulator, **more)
        result = subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=env, timeout=60
        )
    assert result.returncode == 0, result.stderr
    assert sorted(result.stdout.splitlines()) == ["0.jpg apple", "1000.jpg pear"]


@pytest.mark.parametrize("file", sorted(path.name for path in DOCS.glob("*.md")))
def test_the_calls_in_the_docs_exist(file: str) -> None:
    """``project.x(``, ``training.x(``, ``prediction.x(`` and every imported name exist."""
    text = (DOCS / file).read_text("utf-8")
    for client, verb in re.findall(r"\b(training|project|prediction)\.(\w+)\(", text):
        assert callable(getattr(CLIENTS[client], verb, None)), f"{client}.{verb}"
    for verb in re.findall(r"\boperations\.(\w+)\(", text):
        assert hasattr(Operations, verb) or hasattr(PredictionOperations, verb), verb
    for names in re.findall(r"^from customvision_async import (.+)$", text, re.MULTILINE):
        for name in names.split(","):
            assert name.strip() in customvision_async.__all__
    for names in re.findall(r"^from customvision_async\.models import (.+)$", text, re.MULTILINE):
        for name in names.split(","):
            assert name.strip() in models.__all__
