"""The operations of the Prediction API.

They classify and detect by published name (v3.x), or predict by iteration (v1.1, v2.0).
"""

from __future__ import annotations

from .._content import Content
from .._transport.base import Meter
from .._versions import PredictionVersion
from .._wire.bodies import octet_stream
from .._wire.request import plain_text
from ..models import Id, ImagePrediction
from ._call import Caller, Sends
from ._image_data import ImageData, named_blob

__all__ = ["PredictionOperations"]


class PredictionOperations(Caller):
    """The operations of the Prediction API, in one version at one endpoint.

    An image is up to 4 MB: bytes, a path, an open file or an ImageFile. `application` is stored
    with the prediction.
    """

    version: PredictionVersion

    def __init__(
        self, pipeline: Sends, endpoint: str, version: PredictionVersion = PredictionVersion.V3_1
    ) -> None:
        super().__init__(pipeline, endpoint, version)

    async def classify_image(
        self,
        project_id: Id,
        published_name: str,
        image_data: ImageData,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Classify an image, and store it with the prediction."""
        return await self._published(
            "ClassifyImage",
            project_id,
            published_name,
            await _body(image_data),
            application,
            meter,
        )

    async def classify_image_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        image_data: ImageData,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Classify an image, and store nothing."""
        return await self._published(
            "ClassifyImageWithNoStore",
            project_id,
            published_name,
            await _body(image_data),
            application,
            meter,
        )

    async def classify_image_url(
        self,
        project_id: Id,
        published_name: str,
        url: str,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Classify the image at a URL, and store it with the prediction."""
        return await self._published(
            "ClassifyImageUrl", project_id, published_name, self._url(url), application, meter
        )

    async def classify_image_url_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        url: str,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Classify the image at a URL, and store nothing."""
        return await self._published(
            "ClassifyImageUrlWithNoStore",
            project_id,
            published_name,
            self._url(url),
            application,
            meter,
        )

    async def detect_image(
        self,
        project_id: Id,
        published_name: str,
        image_data: ImageData,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Detect objects in an image, and store it with the prediction."""
        return await self._published(
            "DetectImage",
            project_id,
            published_name,
            await _body(image_data),
            application,
            meter,
        )

    async def detect_image_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        image_data: ImageData,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Detect objects in an image, and store nothing."""
        return await self._published(
            "DetectImageWithNoStore",
            project_id,
            published_name,
            await _body(image_data),
            application,
            meter,
        )

    async def detect_image_url(
        self,
        project_id: Id,
        published_name: str,
        url: str,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Detect objects in the image at a URL, and store it with the prediction."""
        return await self._published(
            "DetectImageUrl", project_id, published_name, self._url(url), application, meter
        )

    async def detect_image_url_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        url: str,
        *,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Detect objects in the image at a URL, and store nothing."""
        return await self._published(
            "DetectImageUrlWithNoStore",
            project_id,
            published_name,
            self._url(url),
            application,
            meter,
        )

    async def predict_image(
        self,
        project_id: Id,
        image_data: ImageData,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict an image by an iteration or the default one, and store it (v1.1, v2.0)."""
        return await self._by_iteration(
            "PredictImage", project_id, iteration_id, await _body(image_data), application, meter
        )

    async def predict_image_with_no_store(
        self,
        project_id: Id,
        image_data: ImageData,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict an image by an iteration or the default one, and store nothing.

        In v1.1 and v2.0.
        """
        return await self._by_iteration(
            "PredictImageWithNoStore",
            project_id,
            iteration_id,
            await _body(image_data),
            application,
            meter,
        )

    async def predict_image_url(
        self,
        project_id: Id,
        url: str,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict the image at a URL by an iteration or the default one, and store it.

        In v1.1 and v2.0.
        """
        return await self._by_iteration(
            "PredictImageUrl", project_id, iteration_id, self._url(url), application, meter
        )

    async def predict_image_url_with_no_store(
        self,
        project_id: Id,
        url: str,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict the image at a URL by an iteration or the default one, and store nothing.

        In v1.1 and v2.0.
        """
        return await self._by_iteration(
            "PredictImageUrlWithNoStore",
            project_id,
            iteration_id,
            self._url(url),
            application,
            meter,
        )

    def _url(self, url: str) -> Content:
        return self._json({"url": plain_text(url, "url")})

    async def _published(
        self,
        operation: str,
        project_id: Id,
        published_name: str,
        content: Content,
        application: str | None,
        meter: Meter | None,
    ) -> ImagePrediction:
        path = {"projectId": project_id, "publishedName": published_name}
        return await self._call(
            operation,
            ImagePrediction,
            path=path,
            query={"application": application},
            content=content,
            meter=meter,
        )

    async def _by_iteration(
        self,
        operation: str,
        project_id: Id,
        iteration_id: Id | None,
        content: Content,
        application: str | None,
        meter: Meter | None,
    ) -> ImagePrediction:
        query = {"iterationId": iteration_id, "application": application}
        return await self._call(
            operation,
            ImagePrediction,
            path={"projectId": project_id},
            query=query,
            content=content,
            meter=meter,
        )


async def _body(image: ImageData) -> Content:
    return octet_stream((await named_blob(image))[1])
