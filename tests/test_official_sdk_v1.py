"""Microsoft's first SDK (0.1.0, 2018: Training v1.2, Prediction v1.1) calls all its operations.

It conflicts with 3.1.1, so it is installed in a folder of its own and runs in its own process.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from customvision_async.emulator import Emulator
from tests.support.images import image_bytes

SDK = "azure-cognitiveservices-vision-customvision==0.1.0"
SCRIPT = Path(__file__).parent / "support" / "first_sdk.py"


@pytest.fixture(scope="module")
def first_sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the SDK. Skip the tests if no package index is reachable."""
    pytest.importorskip("msrest")
    folder = tmp_path_factory.mktemp("sdk")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--disable-pip-version-check",
        "--target",
        str(folder),
        SDK,
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=100)
    if result.returncode:
        pytest.skip(f"{SDK} cannot be installed here: {result.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def seen(first_sdk: Path) -> dict[str, Any]:
    """Return the observations of the SDK."""
    with Emulator(
        training_key="a" * 32, prediction_key="b" * 32, training_seconds=0.05, seed=7
    ) as emulator:
        given = {
            "endpoint": emulator.endpoint,
            "training_key": emulator.training_key,
            "prediction_key": emulator.prediction_key,
            "images": [base64.b64encode(image_bytes(seed)).decode() for seed in range(14)],
        }
        command = [sys.executable, "-W", "ignore", str(SCRIPT)]
        environment = {**os.environ, "PYTHONPATH": str(first_sdk)}
        result = subprocess.run(
            command,
            input=json.dumps(given),
            capture_output=True,
            text=True,
            env=environment,
            timeout=100,
        )
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def test_every_operation_of_the_first_sdk_was_called(seen: dict[str, Any]) -> None:
    """34 of training and 4 of prediction, all of which succeed."""
    assert seen["not_called"] == []


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("account", [True, True]),
        ("domain", True),
        ("project", ["First", "2018", 1]),
        ("renamed", "First of all"),
        ("tag", ["apple", "quince"]),
        ("uploaded", [True, True, ["0.jpg", "1.jpg"]]),
        ("page", [5, True, True]),
        ("urls", "OKDuplicate"),
        ("pairs", 6),
        ("untagged", [True]),
        ("tags", [[["apple", 11], ["quince", 6]], 12, 1]),
        ("trained", ["Completed", 1]),
        ("default", True),
        ("performance", True),
        ("export", "TensorFlow"),
        ("exports", 1),
        ("quick", ["apple", "quince"]),
        ("quick_url", 2),
        ("predicted", ["apple", "quince"]),
        ("stored", 1),
        ("from_prediction", "OK"),
        ("left", 0),
    ],
)
def test_the_first_sdk_saw_what_it_expects(
    seen: dict[str, Any], what: str, expected: object
) -> None:
    """The SDK's models can read the PascalCase dialect of v1.2."""
    assert seen[what] == expected
