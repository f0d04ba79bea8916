"""Count how often the way of an image, an id and a page changes module: ``python -m
tests.module_changes``.

A change is a call or a return from a module of the client to another one, while one image is
uploaded, one image is deleted, and one page is listed. Both ways of a call count.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import customvision_async
from customvision_async import ImageFile
from tests.support.emulated_project import project_on_emulator
from tests.support.images import image_bytes

__all__ = ["count_changes"]

PACKAGE = Path(customvision_async.__file__).parent


async def _changes(work: Callable[[], Awaitable[object]]) -> int:
    modules: list[str] = []

    def profile(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event in ("call", "return") and path.is_relative_to(PACKAGE):
            module = str(path.relative_to(PACKAGE))
            if not module.startswith("emulator"):
                modules.append(module)

    sys.setprofile(profile)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return sum(one != other for one, other in pairwise(modules))


async def count_changes() -> dict[str, int]:
    """Return the number of changes of module for each of the three ways."""
    async with project_on_emulator() as one:
        project = one.project
        await project.upload_images([ImageFile(data=image_bytes(1))])

        async def upload() -> None:
            await project.upload_images([ImageFile(data=image_bytes(2))])

        async def page() -> None:
            async for _ in project.list_images():
                pass

        async def delete() -> None:
            await project.delete_images([image])

        image = (await one.images())[0]
        return {
            "an uploaded image": await _changes(upload),
            "a deleted id": await _changes(delete),
            "a listed page": await _changes(page),
        }


if __name__ == "__main__":
    for name, count in asyncio.run(count_changes()).items():
        print(f"{name}: {count}")  # noqa: T201  # a command
