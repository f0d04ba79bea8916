"""The predictions of the training API: quick tests, stored predictions, and suggestions."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Literal, TypeVar, overload

import msgspec

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.run import BatchRun
from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._batching import DONE, image_id
from .._inputs.loading import content_error_as_os_error, load_image
from .._paging import AsyncItemPaged
from .._wire.request import id_of
from ..errors import DecodeError, LimitExceeded, NotFoundError
from ..models import (
    ImagePrediction,
    ImageRegionProposal,
    OrderBy,
    PredictionQueryTag,
    PredictionQueryToken,
    SortBy,
    StoredImagePrediction,
    StoredSuggestedTagAndRegion,
    SuggestedTagAndRegion,
    SuggestedTagAndRegionQueryToken,
)
from ..models.inputs import ImageSource, ImageUrl, PredictionLike, TagLike
from .base import ImageLike, ImageT, IterationLike, ProjectBase, Source, as_tags, prepare_ids

__all__ = ["PredictionMethods"]

T = TypeVar("T")
PredictionT = TypeVar("PredictionT", bound=PredictionLike)

_MAX_STALE_PAGES = 3
"""After this many pages in a row without a new item, the service repeats itself."""


class PredictionMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` on predictions and suggestions."""

    async def quick_test(
        self,
        image: ImageSource,
        *,
        iteration: IterationLike | None = None,
        store: bool | None = None,
    ) -> ImagePrediction:
        """Predict an image of up to 6 MB with a trained iteration.

        Args:
            image: Path, bytes, open file or :class:`ImageFile`. Or a URL (a string or an
                :class:`ImageUrl`), which the service fetches.
            iteration: Iteration to predict with. Defaults to the project's default iteration.
            store: Whether the service stores the image and its prediction (False since v3.1), for
                :meth:`list_predictions`. The service stores them by default.

        Raises:
            ValueError: The format of the image is not supported.
            LimitExceeded: The image is too large. Nothing was sent.
        """
        loaded = await load_image(image, limits.IMAGE_BYTES)
        if isinstance(loaded, ImageUrl):
            return await self.operations.quick_test_image_url(
                self.id, loaded.url, iteration_id=iteration, store=store
            )
        with content_error_as_os_error():
            return await self.operations.quick_test_image(
                self.id, loaded, iteration_id=iteration, store=store
            )

    # --- stored predictions

    def list_predictions(
        self,
        *,
        iteration: IterationLike | None = None,
        tags: Iterable[TagLike | PredictionQueryTag] = (),
        order: Literal["newest", "oldest", "suggested"] = "newest",
        start: datetime | None = None,
        end: datetime | None = None,
        application: str | None = None,
        page_size: int | None = None,
    ) -> AsyncItemPaged[StoredImagePrediction]:
        """List the predictions that the service has stored. It stores them for 30 days.

        Pass them to :meth:`upload_images` to use them as training images, or to
        :meth:`delete_predictions`.

        Args:
            iteration: List only predictions of this iteration.
            tags: List only predictions with one of these tags, up to 2. A
                :class:`~customvision_async.models.PredictionQueryTag` gives a range of
                probabilities.
            order: Order of the list. "suggested" lists first the images that would help training
                most.
            start, end: List only predictions from this time.
            application: List only predictions that were stored with this name.
            page_size: Predictions per page. Defaults to the choice of the service.

        Raises:
            LimitExceeded: More than 2 tags.
        """
        wanted = tuple(tags) if not isinstance(tags, str) else as_tags(tags)
        if len(wanted) > limits.TAGS_PER_PREDICTION_QUERY.value:
            raise LimitExceeded(limits.TAGS_PER_PREDICTION_QUERY, len(wanted), "QueryPredictions")
        first = PredictionQueryToken(
            order_by=OrderBy(order.capitalize()),
            iteration_id=None if iteration is None else id_of(iteration, "iteration"),
            start_time=start,
            end_time=end,
            application=application,
            max_count=page_size,
        )

        async def fetch(
            token: PredictionQueryToken,
        ) -> tuple[Sequence[StoredImagePrediction], PredictionQueryToken | None]:
            page = await self.operations.query_predictions(self.id, token)
            return page.results, page.token

        async def begin() -> PredictionQueryToken:
            return msgspec.structs.replace(
                first, tags=tuple([await self._query_tag(tag) for tag in wanted])
            )

        return AsyncItemPaged(lambda: _token_pages(begin, fetch, lambda item: item.id))

    async def _query_tag(self, tag: TagLike | PredictionQueryTag) -> PredictionQueryTag:
        return (
            tag
            if isinstance(tag, PredictionQueryTag)
            else PredictionQueryTag(id=await self._tag_id(tag))
        )

    def delete_predictions(self, predictions: Source[PredictionT]) -> BatchRun[PredictionT, None]:
        """Delete any number of stored predictions, by id or model.

        A prediction that does not exist, or no longer exists, counts as deleted.
        """
        context = self._context()

        async def send(items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(items) as meter:
                    await self.operations.delete_prediction(
                        self.id, [item.payload for item in items], meter=meter
                    )
            except NotFoundError as error:
                if error.code == "NotFoundProject" or not error.code.startswith("NotFound"):
                    raise
                if len(items) > 1:
                    # At least one of them does not exist. Smaller chunks find out which.
                    return [Resend(Failed(str(error), error.code, error))] * len(items)
            return [DONE] * len(items)

        def read(prediction: PredictionLike) -> str:
            return id_of(prediction, "prediction")

        limit = self._url_limits(limits.PREDICTIONS_PER_DELETE.value)
        return self._run(
            predictions,
            context,
            prepare_ids(size=37, read=read),
            send,
            limit,
            "delete_predictions",
        )

    # --- suggestions

    def list_suggested_images(
        self,
        iteration: IterationLike,
        *,
        tags: Iterable[TagLike] = (),
        threshold: float | None = None,
        order: Literal["least_certain", "most_certain"] | None = None,
        page_size: int | None = None,
    ) -> AsyncItemPaged[StoredSuggestedTagAndRegion]:
        """List the untagged images, with the tags and regions that an iteration suggests.

        Available since v3.1.

        Args:
            iteration: Iteration that suggests.
            tags: List only images for which one of these tags is suggested.
            threshold: Minimum probability of a suggestion.
            order: Order by how certain the iteration is.
            page_size: Images per page. Defaults to the choice of the service.
        """
        iteration_id, wanted = id_of(iteration, "iteration"), as_tags(tags)
        find = self._tags_once(wanted)
        sort = {
            "most_certain": SortBy.UNCERTAINTY_ASCENDING,
            "least_certain": SortBy.UNCERTAINTY_DESCENDING,
            None: None,
        }
        if order not in sort:
            raise ValueError(f"order must be 'most_certain' or 'least_certain', not {order!r}")

        async def fetch(
            token: SuggestedTagAndRegionQueryToken,
        ) -> tuple[Sequence[StoredSuggestedTagAndRegion], SuggestedTagAndRegionQueryToken | None]:
            page = await self.operations.query_suggested_images(self.id, iteration_id, token)
            return page.results, page.token

        async def begin() -> SuggestedTagAndRegionQueryToken:
            ids = await find() if wanted else ()
            return SuggestedTagAndRegionQueryToken(
                tag_ids=ids, threshold=threshold, sort_by=sort[order], max_count=page_size
            )

        return AsyncItemPaged(lambda: _token_pages(begin, fetch, lambda item: item.id))

    async def count_suggested_images(
        self,
        iteration: IterationLike,
        *,
        tags: Iterable[TagLike] = (),
        threshold: float | None = None,
    ) -> dict[str, int]:
        """Return the number of untagged images for which each tag is suggested (since v3.1).

        The keys are ids of tags. See :meth:`list_suggested_images` for the arguments.
        """
        ids = await self._tags_once(as_tags(tags))()
        return await self.operations.query_suggested_image_count(
            self.id, iteration, tag_ids=ids, threshold=threshold
        )

    @overload
    def suggest_tags_and_regions(
        self, iteration: IterationLike, images: Source[ImageT]
    ) -> BatchRun[ImageT, SuggestedTagAndRegion | None]: ...
    @overload
    def suggest_tags_and_regions(  # type: ignore[overload-cannot-match]  # see ImageT
        self, iteration: IterationLike, images: Source[ImageLike]
    ) -> BatchRun[ImageLike, SuggestedTagAndRegion | None]: ...
    def suggest_tags_and_regions(
        self, iteration: IterationLike, images: Source[ImageLike]
    ) -> BatchRun[ImageLike, SuggestedTagAndRegion | None]:
        """Suggest tags and regions for any number of images (since v3.1).

        The `value` of each result is the suggestion of the iteration, or None if it has none.
        """
        context = self._context()
        iteration_id = id_of(iteration, "iteration")
        limit = ChunkLimits(limits.IMAGES_PER_SUGGESTION.value)

        async def send(items: Sequence[WorkItem]) -> Sequence[Outcome]:
            with context.metered(items) as meter:
                found = await self.operations.suggest_tags_and_regions(
                    self.id, iteration_id, [item.payload for item in items], meter=meter
                )
            if len(items) == 1 and len(found) <= 1:
                return [Done(value=found[0] if found else None)]
            by_id = {suggestion.id.lower(): suggestion for suggestion in found}
            if found and not any(item.payload in by_id for item in items):
                # According to the reference, these are ids of predictions. Then a suggestion can
                # only be matched to its image if there is one image per request.
                limit.count = 1
                return [UNANSWERED] * len(items)
            return [Done(value=by_id.get(item.payload)) for item in items]

        return self._run(
            images, context, prepare_ids(size=1), send, limit, "suggest_tags_and_regions"
        )

    async def get_region_proposals(self, image: ImageLike) -> ImageRegionProposal:
        """Return the regions of an image that may show an object, of any kind (since v2.0).

        The most confident come first.
        """
        return await self.operations.get_image_region_proposals(self.id, image_id(image))


_Token = TypeVar("_Token", PredictionQueryToken, SuggestedTagAndRegionQueryToken)


async def _token_pages(
    begin: Callable[[], Awaitable[_Token]],
    fetch: Callable[[_Token], Awaitable[tuple[Sequence[T], _Token | None]]],
    key: Callable[[T], str],
) -> AsyncGenerator[Sequence[T], None]:
    """Yield the new items of each page of a list whose responses have a token for the next page.

    Only the position of that token is used. The query stays that of `begin`.
    """
    token = await begin()
    seen: set[str] = set()
    stale = 0
    while True:
        results, following = await fetch(token)
        fresh = [item for item in results if key(item) not in seen]
        seen.update(key(item) for item in fresh)
        if fresh:
            yield fresh
        if following is None or not following.continuation:
            return
        stale = 0 if fresh else stale + 1
        if stale >= _MAX_STALE_PAGES:
            raise DecodeError(
                "the service repeats the same items with tokens for more, so the list cannot be"
                " read to its end"
            )
        token = msgspec.structs.replace(
            token, session=following.session, continuation=following.continuation
        )
