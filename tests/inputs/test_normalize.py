"""The forms in which an image may be given, through the public clients."""

from __future__ import annotations

from uuid import uuid4

import pytest

from customvision_async import ImageFromPrediction, PredictionClient
from customvision_async.emulator import Emulator
from customvision_async.sources import manifest_entry
from tests.support.emulated_project import project_on_emulator
from tests.support.images import image_bytes

pytestmark = pytest.mark.anyio


async def test_a_string_with_a_scheme_is_a_url_to_upload() -> None:
    """As for a prediction: the service fetches it, alone and in a list."""
    async with project_on_emulator() as one:
        await one.project.upload_images(image_bytes(1), tags=["a"], create_missing_tags=True)
        (image,) = await one.images()
        assert image.original_uri is not None
        for given in (image.original_uri, [image.original_uri]):
            async with one.project.upload_images(given) as upload:
                (result,) = [result async for result in upload]
            assert result.ok, result.error
        assert one.asked("CreateImagesFromUrls") == 2


def test_a_string_with_a_scheme_is_listed_as_a_url() -> None:
    """A failed-items file says where the image is, not a path below the working directory."""
    url = "https://photos.example/a.jpg"
    entry = manifest_entry(url)
    assert entry is not None
    assert entry == {"url": url}


@pytest.mark.parametrize("given", [uuid4(), ImageFromPrediction(uuid4())])
async def test_a_prediction_cannot_be_predicted(given: ImageFromPrediction) -> None:
    """It is refused before a request, and says so."""
    async with (
        Emulator() as emulator,
        PredictionClient(emulator.endpoint, emulator.prediction_key) as prediction,
    ):
        with pytest.raises(TypeError, match="cannot be predicted"):
            await prediction.classify_image(uuid4(), "m", given)  # type: ignore[arg-type]
        assert not emulator.requests


async def test_a_single_operation_names_the_form_that_it_cannot_send() -> None:
    async with project_on_emulator() as one:
        with pytest.raises(TypeError, match="not an image file"):
            await one.training.operations.create_images_from_data(
                one.project.id,
                "https://photos.example/a.jpg",
            )
        assert one.asked("CreateImagesFromData") == 0
