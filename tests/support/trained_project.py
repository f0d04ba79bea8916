"""A project that is ready to be trained, on an emulator over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from customvision_async import (
    ApiVersion,
    ImageFile,
    Iteration,
    Polling,
    ProjectClient,
    Region,
    TrainingClient,
)
from customvision_async.emulator import Emulator

from .images import image_bytes

FAST = Polling(initial_interval=0.02)
RESOURCE = (
    "/subscriptions/0/resourceGroups/1/providers/Microsoft.CognitiveServices/accounts/orchard"
)


@asynccontextmanager
async def serving(
    version: ApiVersion | str = ApiVersion.V3_3, **options: Any
) -> AsyncIterator[tuple[Emulator, TrainingClient]]:
    """Yield an emulator that trains quickly, and its client."""
    options = {"training_seconds": 0.05} | options
    async with (
        Emulator(**options) as emulator,
        TrainingClient(
            emulator.endpoint,
            emulator.training_key,
            api_version=version,
            prediction_resource_id=RESOURCE,
        ) as training,
    ):
        yield emulator, training


async def project_with_images(
    training: TrainingClient,
    *,
    each: int = 6,
    domain: str = "General (compact)",
    tags: tuple[str, ...] = ("apple", "pear"),
) -> ProjectClient:
    """Create a project with `each` images per tag. Their seeds start at 0, 100, and so on."""
    detection = domain.startswith("ObjectDetection/")
    project = await training.create_project("Orchard", domain)
    images = []
    for place, tag in enumerate(tags):
        for seed in range(100 * place, 100 * place + each):
            regions = [Region(tag, 0.1, 0.1, 0.5, 0.5)] if detection else []
            images.append(
                ImageFile(data=image_bytes(seed), tags=[] if detection else [tag], regions=regions)
            )
    await project.upload_images(images, create_missing_tags=True)
    return project


async def trained(project: ProjectClient) -> Iteration:
    """Train the project and return the iteration."""
    return await project.begin_training(polling=FAST)
