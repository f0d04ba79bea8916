"""The operations of the Training API that predict: quick tests, stored predictions, suggested tags."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from .. import limits
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
from ._image_data import Picture, named_blob, within

__all__ = ["StoredPredictionOperations"]


class StoredPredictionOperations(Caller):
    """See the module."""

    async def quick_test_image(
        self,
        project_id: Id,
        image_data: Picture,
        *,
        iteration_id: Id | None = None,
        store: bool | None = None,
    ) -> ImagePrediction:
        """What an iteration (the default one unless given) says about a picture; `store=False` (since v3.1) keeps nothing."""
        _, blob = await named_blob(image_data)
        query = {"iterationId": iteration_id, "store": store}
        answer = await self.call(
            "QuickTestImage",
            path={"projectId": project_id},
            query=query,
            content=octet_stream(blob),
        )
        return cast(ImagePrediction, answer.value)

    async def quick_test_image_url(
        self, project_id: Id, url: str, *, iteration_id: Id | None = None, store: bool | None = None
    ) -> ImagePrediction:
        """The same for a picture that the service fetches."""
        content = self._json({"url": plain_text(url, "url")})
        query = {"iterationId": iteration_id, "store": store}
        answer = await self.call(
            "QuickTestImageUrl", path={"projectId": project_id}, query=query, content=content
        )
        return cast(ImagePrediction, answer.value)

    async def query_predictions(
        self, project_id: Id, query: PredictionQueryToken
    ) -> PredictionQueryResult:
        """A page of stored predictions; the answer's token asks for the next. At most 2 tags can be combined."""
        within(limits.TAGS_PER_PREDICTION_QUERY, len(query.tags), "QueryPredictions")
        answer = await self.call(
            "QueryPredictions", path={"projectId": project_id}, content=self._json(query)
        )
        return cast(PredictionQueryResult, answer.value)

    query_prediction_results = query_predictions
    """The name v1.2 has for it."""

    async def delete_prediction(self, project_id: Id, ids: Iterable[Id]) -> None:
        """Delete up to 64 stored predictions."""
        await self.call(
            "DeletePrediction", path={"projectId": project_id}, query={"ids": ids_of(ids, "ids")}
        )

    async def query_suggested_images(
        self, project_id: Id, iteration_id: Id, query: SuggestedTagAndRegionQueryToken
    ) -> SuggestedTagAndRegionQuery:
        """A page of untagged images with the tags an iteration suggests (since v3.1); the answer's token asks for the next."""
        answer = await self.call(
            "QuerySuggestedImages",
            path={"projectId": project_id},
            query={"iterationId": iteration_id},
            content=self._json(query),
        )
        return cast(SuggestedTagAndRegionQuery, answer.value)

    async def query_suggested_image_count(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        tag_ids: Iterable[Id] | None = None,
        threshold: float | None = None,
    ) -> dict[str, int]:
        """How many untagged images each tag is suggested for, by the tag's id (since v3.1)."""
        content = self._json(
            TagFilter(tag_ids=tuple(ids_of(tag_ids or (), "tag_ids")), threshold=threshold)
        )
        path, query = {"projectId": project_id}, {"iterationId": iteration_id}
        return cast(
            "dict[str, int]",
            (
                await self.call("QuerySuggestedImageCount", path=path, query=query, content=content)
            ).value,
        )

    async def suggest_tags_and_regions(
        self, project_id: Id, iteration_id: Id, image_ids: Iterable[Id]
    ) -> list[SuggestedTagAndRegion]:
        """What an iteration would tag up to 64 images with (since v3.1)."""
        query = {"iterationId": iteration_id, "imageIds": ids_of(image_ids, "image_ids")}
        answer = await self.call(
            "SuggestTagsAndRegions", path={"projectId": project_id}, query=query
        )
        return cast("list[SuggestedTagAndRegion]", answer.value)
