"""What every test shares."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio: aiohttp knows no other."""
    return "asyncio"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line(
        "markers", "evidence(line): the line (D1 to D18) of the emulator's table that a test shows"
    )
