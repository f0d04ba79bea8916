"""The operations of the Training API on predictions: quick tests, stored ones, suggestions."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType

from .. import limits
from .._transport.base import Meter
from .._wire.bodies import octet_stream
from .._wire.request import ids_of, plain_text
from ..models import (
    Id,
    ImagePrediction,
    PredictionQueryResult,
    PredictionQueryToken,
    SuggestedTagAndRegion,
    SuggestedTagAndRegionQuery,
    SuggestedTagAndRegionQueryToken,
    TagFilter,
)
from ._call import Caller
from ._image_data import ImageData, named_blob, within

__all__ = ["StoredPredictionOperations"]


class StoredPredictionOperations(Caller):
    """The operations of the Training API on predictions."""

    async def quick_test_image(
        self,
        project_id: Id,
        image_data: ImageData,
        *,
        iteration_id: Id | None = None,
        store: bool | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict an image by an iteration, or by the default one.

        ``store=False`` (since v3.1) stores nothing.
        """
        _, blob = await named_blob(image_data)
        query = {"iterationId": iteration_id, "store": store}
        return await self._call(
            "QuickTestImage",
            ImagePrediction,
            path={"projectId": project_id},
            query=query,
            content=octet_stream(blob),
            meter=meter,
        )

    async def quick_test_image_url(
        self,
        project_id: Id,
        url: str,
        *,
        iteration_id: Id | None = None,
        store: bool | None = None,
        meter: Meter | None = None,
    ) -> ImagePrediction:
        """Predict an image that the service fetches. See :meth:`quick_test_image`."""
        content = self._json({"url": plain_text(url, "url")})
        query = {"iterationId": iteration_id, "store": store}
        return await self._call(
            "QuickTestImageUrl",
            ImagePrediction,
            path={"projectId": project_id},
            query=query,
            content=content,
            meter=meter,
        )

    async def query_predictions(
        self, project_id: Id, query: PredictionQueryToken, *, meter: Meter | None = None
    ) -> PredictionQueryResult:
        """Return a page of stored predictions.

        The token in the response requests the next page. A query has at most 2 tags.
        """
        within(limits.TAGS_PER_PREDICTION_QUERY, len(query.tags), "QueryPredictions")
        return await self._call(
            "QueryPredictions",
            PredictionQueryResult,
            path={"projectId": project_id},
            content=self._json(query),
            meter=meter,
        )

    query_prediction_results = query_predictions
    """Name of the operation in v1.2."""

    async def delete_prediction(
        self, project_id: Id, ids: Iterable[Id], *, meter: Meter | None = None
    ) -> None:
        """Delete up to 64 stored predictions."""
        await self._call(
            "DeletePrediction",
            NoneType,
            path={"projectId": project_id},
            query={"ids": ids_of(ids, "ids")},
            meter=meter,
        )

    async def query_suggested_images(
        self,
        project_id: Id,
        iteration_id: Id,
        query: SuggestedTagAndRegionQueryToken,
        *,
        meter: Meter | None = None,
    ) -> SuggestedTagAndRegionQuery:
        """Return a page of untagged images with the tags that an iteration suggests (since v3.1).

        The token in the response requests the next page.
        """
        return await self._call(
            "QuerySuggestedImages",
            SuggestedTagAndRegionQuery,
            path={"projectId": project_id},
            query={"iterationId": iteration_id},
            content=self._json(query),
            meter=meter,
        )

    async def query_suggested_image_count(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        tag_ids: Iterable[Id] | None = None,
        threshold: float | None = None,
        meter: Meter | None = None,
    ) -> dict[str, int]:
        """Return the number of untagged images by the id of the suggested tag (since v3.1)."""
        content = self._json(
            TagFilter(tag_ids=tuple(ids_of(tag_ids or (), "tag_ids")), threshold=threshold)
        )
        path, query = {"projectId": project_id}, {"iterationId": iteration_id}
        return await self._call(
            "QuerySuggestedImageCount",
            dict[str, int],
            path=path,
            query=query,
            content=content,
            meter=meter,
        )

    async def suggest_tags_and_regions(
        self,
        project_id: Id,
        iteration_id: Id,
        image_ids: Iterable[Id],
        *,
        meter: Meter | None = None,
    ) -> list[SuggestedTagAndRegion]:
        """Return the tags that an iteration suggests for up to 64 images (since v3.1)."""
        query = {"iterationId": iteration_id, "imageIds": ids_of(image_ids, "image_ids")}
        return await self._call(
            "SuggestTagsAndRegions",
            list[SuggestedTagAndRegion],
            path={"projectId": project_id},
            query=query,
            meter=meter,
        )
