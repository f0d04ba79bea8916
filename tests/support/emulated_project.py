"""A project on an emulator over real sockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from customvision_async import ApiVersion, Concurrency, Image, ProjectClient, Retry, TrainingClient
from customvision_async.emulator import Emulator
from customvision_async.emulator._ids import guid_text
from customvision_async.emulator._image_files import digest

VERSIONS = (
    ApiVersion.V1_2,
    ApiVersion.V2_1,
    ApiVersion.V3_0,
    ApiVersion.V3_3,
    ApiVersion.V3_4_PREVIEW,
)
"""The versions between which batches differ."""

QUICK = Retry(
    max_attempts=3,
    initial_backoff=0.001,
    throttle_backoff=0.001,
    max_backoff=0.01,
    retry_ratio=1.0,
    min_retries=1000,
)
"""Retries without long waits."""


@dataclass
class EmulatedProject:
    """An emulator, its client and an empty project."""

    emulator: Emulator
    training: TrainingClient
    project: ProjectClient

    def asked(self, *operations: str) -> int:
        """Return the number of requests for `operations`, or for uploads if none is named."""
        return sum(
            request.operation.startswith(operations or "CreateImagesFrom")
            for request in self.emulator.requests
        )

    def forget(self) -> None:
        """Forget the requests so far."""
        self.emulator.requests.clear()

    async def tags(self) -> dict[str, str]:
        """Return the ids of the tags by name."""
        return {tag.name: tag.id async for tag in self.project.list_tags()}

    async def images(self) -> list[Image]:
        """Return all images."""
        return await self.project.list_images().all()

    async def tag_counts(self) -> Counter[str]:
        """Return the number of images of each tag. (Images of v1.2 have no tag names.)"""
        names = {id: name for name, id in (await self.tags()).items()}
        return Counter(names[tag.tag_id] for image in await self.images() for tag in image.tags)


@asynccontextmanager
async def project_on_emulator(
    *,
    domain: str = "General",
    version: ApiVersion = ApiVersion.V3_3,
    tags: tuple[str, ...] = (),
    retry: Retry = QUICK,
    concurrency: Concurrency | None = None,
    classification_type: str | None = None,
    **options: Any,
) -> AsyncIterator[EmulatedProject]:
    """Yield a project with `tags` in an emulator with `options`."""
    async with (
        Emulator(seed=1, **options) as emulator,
        TrainingClient(
            emulator.endpoint,
            emulator.training_key,
            api_version=version,
            retry=retry,
            concurrency=concurrency,
        ) as training,
    ):
        project = await training.create_project(
            "Orchard", domain=domain, classification_type=classification_type
        )
        for tag in tags:
            await project.create_tag(tag)
        one = EmulatedProject(emulator, training, project)
        one.forget()
        yield one


def found(one: EmulatedProject, data: bytes) -> str:
    """Return the id of the image with this content."""
    assert one.emulator._resource is not None
    return guid_text(
        one.emulator._resource.state.scalar("SELECT id FROM images WHERE digest = ?", digest(data))
    )
