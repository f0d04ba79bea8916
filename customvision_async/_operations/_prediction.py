"""The operations of the Prediction API: classify and detect by published name (v3.x), predict by iteration (v1.1, v2.0)."""

from __future__ import annotations

from typing import cast

from .._content import Content
from .._versions import PredictionVersion
from .._wire.bodies import octet_stream
from .._wire.request import plain_text
from ..models import Id, ImagePrediction
from ._call import Caller, Sends
from ._image_data import Picture, named_blob

__all__ = ["PredictionOperations"]


class PredictionOperations(Caller):
    """Every operation of the Prediction API, in one version at one endpoint.

    Pictures: up to 4 MB, as bytes, a path, an open file or an ImageFile. `application` is kept with the prediction.
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
        image_data: Picture,
        *,
        application: str | None = None,
    ) -> ImagePrediction:
        """Classify a picture, and keep it with the prediction."""
        return await self._published(
            "ClassifyImage", project_id, published_name, await _picture(image_data), application
        )

    async def classify_image_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        image_data: Picture,
        *,
        application: str | None = None,
    ) -> ImagePrediction:
        """Classify a picture, and keep nothing."""
        return await self._published(
            "ClassifyImageWithNoStore",
            project_id,
            published_name,
            await _picture(image_data),
            application,
        )

    async def classify_image_url(
        self, project_id: Id, published_name: str, url: str, *, application: str | None = None
    ) -> ImagePrediction:
        """Classify the picture at a URL, and keep it with the prediction."""
        return await self._published(
            "ClassifyImageUrl", project_id, published_name, self._url(url), application
        )

    async def classify_image_url_with_no_store(
        self, project_id: Id, published_name: str, url: str, *, application: str | None = None
    ) -> ImagePrediction:
        """Classify the picture at a URL, and keep nothing."""
        return await self._published(
            "ClassifyImageUrlWithNoStore", project_id, published_name, self._url(url), application
        )

    async def detect_image(
        self,
        project_id: Id,
        published_name: str,
        image_data: Picture,
        *,
        application: str | None = None,
    ) -> ImagePrediction:
        """Find things in a picture, and keep it with the prediction."""
        return await self._published(
            "DetectImage", project_id, published_name, await _picture(image_data), application
        )

    async def detect_image_with_no_store(
        self,
        project_id: Id,
        published_name: str,
        image_data: Picture,
        *,
        application: str | None = None,
    ) -> ImagePrediction:
        """Find things in a picture, and keep nothing."""
        return await self._published(
            "DetectImageWithNoStore",
            project_id,
            published_name,
            await _picture(image_data),
            application,
        )

    async def detect_image_url(
        self, project_id: Id, published_name: str, url: str, *, application: str | None = None
    ) -> ImagePrediction:
        """Find things in the picture at a URL, and keep it with the prediction."""
        return await self._published(
            "DetectImageUrl", project_id, published_name, self._url(url), application
        )

    async def detect_image_url_with_no_store(
        self, project_id: Id, published_name: str, url: str, *, application: str | None = None
    ) -> ImagePrediction:
        """Find things in the picture at a URL, and keep nothing."""
        return await self._published(
            "DetectImageUrlWithNoStore", project_id, published_name, self._url(url), application
        )

    async def predict_image(
        self,
        project_id: Id,
        image_data: Picture,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
    ) -> ImagePrediction:
        """Predict a picture by an iteration or the project's default one, and keep it (v1.1 and v2.0)."""
        return await self._by_iteration(
            "PredictImage", project_id, iteration_id, await _picture(image_data), application
        )

    async def predict_image_with_no_store(
        self,
        project_id: Id,
        image_data: Picture,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
    ) -> ImagePrediction:
        """Predict a picture by an iteration or the project's default one, and keep nothing (v1.1 and v2.0)."""
        return await self._by_iteration(
            "PredictImageWithNoStore",
            project_id,
            iteration_id,
            await _picture(image_data),
            application,
        )

    async def predict_image_url(
        self,
        project_id: Id,
        url: str,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
    ) -> ImagePrediction:
        """Predict the picture at a URL by an iteration or the project's default one, and keep it (v1.1 and v2.0)."""
        return await self._by_iteration(
            "PredictImageUrl", project_id, iteration_id, self._url(url), application
        )

    async def predict_image_url_with_no_store(
        self,
        project_id: Id,
        url: str,
        *,
        iteration_id: Id | None = None,
        application: str | None = None,
    ) -> ImagePrediction:
        """Predict the picture at a URL by an iteration or the project's default one, and keep nothing (v1.1 and v2.0)."""
        return await self._by_iteration(
            "PredictImageUrlWithNoStore", project_id, iteration_id, self._url(url), application
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
    ) -> ImagePrediction:
        path = {"projectId": project_id, "publishedName": published_name}
        return cast(
            ImagePrediction,
            (
                await self.call(
                    operation, path=path, query={"application": application}, content=content
                )
            ).value,
        )

    async def _by_iteration(
        self,
        operation: str,
        project_id: Id,
        iteration_id: Id | None,
        content: Content,
        application: str | None,
    ) -> ImagePrediction:
        query = {"iterationId": iteration_id, "application": application}
        answer = await self.call(
            operation, path={"projectId": project_id}, query=query, content=content
        )
        return cast(ImagePrediction, answer.value)


async def _picture(picture: Picture) -> Content:
    return octet_stream((await named_blob(picture))[1])
