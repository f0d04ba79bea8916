"""Helpers of the tests of the evidence table: a project to train, and its iterations."""

from __future__ import annotations

from typing import Any

from tests.support.images import image_bytes
from tests.support.operations import Caller, calling

DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"
COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"
OCTETS = {"Content-Type": "application/octet-stream"}
JSON = {"Content-Type": "application/json"}


async def project_with_images(call: Caller, *, each: int = 5, **query: str) -> str:
    """Create a project with two tags and `each` images per tag."""
    project = await call.project(**query)
    for start, name in ((0, "apple"), (100, "pear")):
        tag = await call.tag(project, name)
        images = {str(seed): image_bytes(seed) for seed in range(start, start + each)}
        await call.upload(project, images, [tag])
    return project


async def trained(call: Caller, project: str, query: str = "") -> str:
    """Train and return the path of the new iteration."""
    return f"{project}/iterations/{(await call('POST', f'{project}/train{query}'))['id']}"


def quick(**options: Any) -> Any:
    """Yield an emulator that trains at once, and a caller."""
    return calling(training_seconds=0, **options)
