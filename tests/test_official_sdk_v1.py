"""Microsoft's first SDK (azure-cognitiveservices-vision-customvision 0.1.0: Training v1.2, Prediction v1.1) drives the emulator.

It has the name of the newer one, so it lives in a folder of its own, which the environment variable names::

    pip install --no-deps --target FOLDER azure-cognitiveservices-vision-customvision==0.1.0
    CUSTOMVISION_SDK_0_1_0=FOLDER python -m pytest tests/test_official_sdk_v1.py
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from customvision_async.emulator import Emulator

FOLDER = os.environ.get("CUSTOMVISION_SDK_0_1_0", "")

pytestmark = pytest.mark.skipif(not FOLDER, reason="CUSTOMVISION_SDK_0_1_0 does not say where the SDK 0.1.0 is")


def test_every_operation_of_the_first_sdk() -> None:
    """All 34 operations of Training v1.2 and the four of Prediction v1.1, in the dialect of their time."""
    program = Path(__file__).parent / "support" / "old_sdk.py"
    with Emulator(prediction_key="p", training_seconds=0) as emulator:
        arguments = [sys.executable, str(program), emulator.endpoint, emulator.training_key, emulator.prediction_key]
        ended = subprocess.run(arguments, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": FOLDER}, timeout=100)
        assert ended.returncode == 0, ended.stderr[-3000:]
        assert len(ended.stdout.split()) == 38
        assert {request.status for request in emulator.requests} <= {200, 204}
