"""A project is found by its name, or created."""

from __future__ import annotations

import asyncio

import pytest

from customvision_async import TrainingClient
from customvision_async.emulator import Emulator

pytestmark = pytest.mark.anyio


async def test_a_project_is_created_once() -> None:
    async with (
        Emulator() as emulator,
        TrainingClient(emulator.endpoint, emulator.training_key) as training,
    ):
        first = await training.find_or_create_project(
            "Orchard", "ObjectDetection/General", description="Fruit"
        )
        second = await training.find_or_create_project("Orchard", "ObjectDetection/General")
        assert second.id == first.id
        assert (await first.get_properties()).description == "Fruit"
        assert len(await training.list_projects().to_list()) == 1


async def test_programs_that_create_it_at_the_same_time_get_the_same_one() -> None:
    """The service gives the later ones another name. These are removed again."""
    async with (
        Emulator(think_seconds=0.02) as emulator,
        TrainingClient(emulator.endpoint, emulator.training_key) as training,
    ):
        found = await asyncio.gather(
            *(training.find_or_create_project("Orchard") for _ in range(5))
        )
        assert len({project.id for project in found}) == 1
        assert [project.name for project in await training.list_projects().to_list()] == ["Orchard"]


async def test_a_project_of_another_domain_is_not_taken_for_it() -> None:
    async with (
        Emulator() as emulator,
        TrainingClient(emulator.endpoint, emulator.training_key) as training,
    ):
        await training.create_project("Orchard", "General")
        with pytest.raises(ValueError, match="another name"):
            await training.find_or_create_project("Orchard", "ObjectDetection/General")
