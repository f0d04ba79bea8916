"""The pytest plugin: fixtures ``emulator``, ``training`` and ``prediction``.

``emulator`` is an :class:`~customvision_async.emulator.Emulator` that runs in its own thread, so
synchronous and asynchronous tests can use it. A mark sets its arguments:
``@pytest.mark.emulator(tier="F0", deduplicate=False)``.

``training`` is a :class:`~customvision_async.TrainingClient` for it and ``prediction`` a
:class:`~customvision_async.PredictionClient`. Both need asynchronous tests: anyio, or
pytest-asyncio in auto mode.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .. import PredictionClient, TrainingClient
    from . import Emulator

__all__ = ["emulator", "prediction", "pytest_configure", "training"]


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark ``emulator``."""
    config.addinivalue_line(
        "markers", "emulator(**options): arguments of Emulator for the fixture of that name"
    )


@pytest.fixture
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """Yield an empty emulator on loopback for one test."""
    from . import Emulator  # imported late: runs without this fixture need no Pillow

    options: dict[str, Any] = {}
    for mark in reversed(list(request.node.iter_markers("emulator"))):
        options |= mark.kwargs
    with Emulator(**options) as running:
        yield running


@pytest.fixture
async def training(emulator: Emulator) -> AsyncIterator[TrainingClient]:
    """Yield a client for the emulator's training API."""
    from .. import TrainingClient

    async with TrainingClient(emulator.endpoint, emulator.training_key) as client:
        yield client


@pytest.fixture
async def prediction(emulator: Emulator) -> AsyncIterator[PredictionClient]:
    """Yield a client for the emulator's prediction API."""
    from .. import PredictionClient

    async with PredictionClient(emulator.endpoint, emulator.prediction_key) as client:
        yield client
