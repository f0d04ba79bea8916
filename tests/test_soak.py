"""A part of the soak test. For all of it: ``python -m tests.soak --images 1000000``."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.soak.__main__ import MOST_GROWTH, serving, soak


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_many_images_leave_nothing_behind() -> None:
    """100,000 images over loopback HTTP leak no memory, descriptors or tasks."""
    with serving() as port:
        done = asyncio.run(soak(100_000, port))
    assert done.there == done.images
    assert done.growth <= MOST_GROWTH
    assert done.descriptors[0] == done.descriptors[1]
    assert done.tasks[0] == done.tasks[1]
