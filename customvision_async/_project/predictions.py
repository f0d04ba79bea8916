"""What the training API predicts: quick tests, the predictions it has kept, and what it would tag
images with.
"""

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

_STUCK = 3
"""Pages in a row without one new item, after which a service is taken to repeat itself for ever."""


class PredictionMethods(ProjectBase):
    """The verbs of :class:`~customvision_async.ProjectClient` on predictions and suggestions."""

    async def quick_test(
        self,
        image: ImageSource,
        *,
        iteration: IterationLike | None = None,
        store: bool | None = None,
    ) -> ImagePrediction:
        """What a trained iteration (the project's default one unless given) says about a loaded,
        up to 6 MB.

        Args: image: a path, bytes, an open file, an :class:`ImageFile`, or an :class:`ImageUrl` or
            web address for the service to fetch. iteration: which. store: False keeps nothing of it
            (since v3.1); the service keeps it otherwise, see :meth:`list_predictions`.

        Raises:
            ValueError: it is no image the service takes.
            LimitExceeded: it is too large.
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

    # --- what was kept

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
        """The predictions the service has kept (for 30 days), page after page by its tokens.

        Args: iteration: only those of this one. tags: only those that found one of these, up to 2;
            a :class:`~customvision_async.models.PredictionQueryTag` says how probable. order:
            "suggested" puts those first that would help training most. start, end: only those made
            in this time. application: only those that were asked for under this name. page_size:
            how many at once; the service's choice unless given.

        They can be given to :meth:`upload_images`, to become training images, and to
        :meth:`delete_predictions`.

        Raises:
            LimitExceeded: more than 2 tags.
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

        return AsyncItemPaged(lambda: _token_pages(begin, fetch, lambda one: one.id))

    async def _query_tag(self, tag: TagLike | PredictionQueryTag) -> PredictionQueryTag:
        return (
            tag
            if isinstance(tag, PredictionQueryTag)
            else PredictionQueryTag(id=await self._tag_id(tag))
        )

    def delete_predictions(self, predictions: Source[PredictionT]) -> BatchRun[PredictionT, None]:
        """Delete kept predictions, given by id or model, any number; one that is not there (any
        more) counts as deleted.
        """
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(work_items) as meter:
                    await self.operations.delete_prediction(
                        self.id, [work_item.payload for work_item in work_items], meter=meter
                    )
            except NotFoundError as error:
                if error.code == "NotFoundProject" or not error.code.startswith("NotFound"):
                    raise
                if len(work_items) > 1:  # one of them is not there: find it
                    return [Resend(Failed(str(error), error.code, error))] * len(work_items)
            return [DONE] * len(work_items)

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

    # --- what an iteration would say

    def list_suggested_images(
        self,
        iteration: IterationLike,
        *,
        tags: Iterable[TagLike] = (),
        threshold: float | None = None,
        order: Literal["least_certain", "most_certain"] | None = None,
        page_size: int | None = None,
    ) -> AsyncItemPaged[StoredSuggestedTagAndRegion]:
        """The untagged images, with the tags and regions an iteration suggests (since v3.1), page
        after page by its tokens.

        Args:
            iteration: which.
            tags: only images that one of these is suggested for.
            threshold: the probability from which on a suggestion counts.
            order: by how certain the iteration is.
            page_size: how many at once; the service's choice unless given.
        """
        which, wanted = id_of(iteration, "iteration"), as_tags(tags)
        find = self._tags_once(wanted)
        sort = {
            "most_certain": SortBy.UNCERTAINTY_ASCENDING,
            "least_certain": SortBy.UNCERTAINTY_DESCENDING,
            None: None,
        }
        if order not in sort:
            raise ValueError(f"order is 'most_certain' or 'least_certain', not {order!r}")

        async def fetch(
            token: SuggestedTagAndRegionQueryToken,
        ) -> tuple[Sequence[StoredSuggestedTagAndRegion], SuggestedTagAndRegionQueryToken | None]:
            page = await self.operations.query_suggested_images(self.id, which, token)
            return page.results, page.token

        async def begin() -> SuggestedTagAndRegionQueryToken:
            ids = await find() if wanted else ()
            return SuggestedTagAndRegionQueryToken(
                tag_ids=ids, threshold=threshold, sort_by=sort[order], max_count=page_size
            )

        return AsyncItemPaged(lambda: _token_pages(begin, fetch, lambda one: one.id))

    async def count_suggested_images(
        self,
        iteration: IterationLike,
        *,
        tags: Iterable[TagLike] = (),
        threshold: float | None = None,
    ) -> dict[str, int]:
        """How many untagged images each tag is suggested for, by the id of the tag (since v3.1)."""
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
        """What an iteration would tag each of any number of images with (since v3.1).

        A result's `value` is the suggestion, or None where there is none.
        """
        context = self._context()
        which = id_of(iteration, "iteration")
        limit = ChunkLimits(limits.IMAGES_PER_SUGGESTION.value)

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            with context.metered(work_items) as meter:
                found = await self.operations.suggest_tags_and_regions(
                    self.id, which, [work_item.payload for work_item in work_items], meter=meter
                )
            if len(work_items) == 1 and len(found) <= 1:
                return [Done(value=found[0] if found else None)]
            by_id = {one.id.lower(): one for one in found}
            if found and not any(work_item.payload in by_id for work_item in work_items):
                # the reference context the id that of a prediction: then only one at a time can be
                # joined
                limit.count = 1
                return [UNANSWERED] * len(work_items)
            return [Done(value=by_id.get(work_item.payload)) for work_item in work_items]

        return self._run(
            images, context, prepare_ids(size=1), send, limit, "suggest_tags_and_regions"
        )

    async def get_region_proposals(self, image: ImageLike) -> ImageRegionProposal:
        """Where things may be in an image, whatever they are, the most confident first (since
        v2.0).
        """
        return await self.operations.get_image_region_proposals(self.id, image_id(image))


_Token = TypeVar("_Token", PredictionQueryToken, SuggestedTagAndRegionQueryToken)


async def _token_pages(
    begin: Callable[[], Awaitable[_Token]],
    fetch: Callable[[_Token], Awaitable[tuple[Sequence[T], _Token | None]]],
    key: Callable[[T], str],
) -> AsyncGenerator[Sequence[T], None]:
    """The pages of a list whose answers say how to go on.

    The question stays ours: of their token only the place is taken.
    """
    token = await begin()
    seen: set[str] = set()
    stale = 0
    while True:
        results, following = await fetch(token)
        fresh = [one for one in results if key(one) not in seen]
        seen.update(key(one) for one in fresh)
        if fresh:
            yield fresh
        if following is None or not following.continuation:
            return
        stale = 0 if fresh else stale + 1
        if stale >= _STUCK:
            raise DecodeError(
                "the service gives no new items and yet a token for more: the list cannot be "
                "walked to its end"
            )
        token = msgspec.structs.replace(
            token, session=following.session, continuation=following.continuation
        )
