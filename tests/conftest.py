"""Configuration of all tests."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A busy machine generates examples slowly, which says nothing about the code.
settings.register_profile("any machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run async tests on asyncio, because aiohttp supports nothing else."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers."""
    config.addinivalue_line(
        "markers", "evidence(line): the line (D1 to D18) of the emulator's table that a test shows"
    )
