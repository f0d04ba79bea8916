"""Configuration of all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, because aiohttp supports nothing else."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line(
        "markers", "evidence(line): the line (D1 to D18) of the emulator's table that a test shows"
    )
