"""Upload images: prepare the items, send each chunk in one request, and add what did not fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.work_item import Failed, Outcome, WorkItem
from .._batching import BatchContext
from .._content import ContentError
from ..models.inputs import TagLike
from .tag_resolver import TagResolver
from .upload_followups import apply_followups
from .upload_items import UploadItems
from .upload_requests import create_images, names_for
from .upload_results import join_results, unreadable

__all__ = ["Uploads", "upload_limits"]


def upload_limits(chunk_bytes: int) -> ChunkLimits:
    """Return the limits of one create request, with a body of at most `chunk_bytes`."""
    max_bytes = min(chunk_bytes, limits.MAX_BODY_BYTES.value)
    return ChunkLimits(limits.IMAGES_PER_BATCH.value, max_bytes, limits.TAGS_PER_BATCH.value)


class Uploads:
    """The `prepare` and `send` of one upload run. See :class:`UploadItems` for `prepare`.

    An image is created with the tags and regions that fit the create request. The rest are added
    afterwards. So are all tags and regions of an image that the project already has, because the
    service ignores them in a create request for a duplicate.
    """

    def __init__(
        self, context: BatchContext, resolver: TagResolver, tags: Iterable[TagLike]
    ) -> None:
        self._context = context
        self._items = UploadItems(context.operations.version, resolver, tags)
        self.prepare = self._items.prepare

    async def send(self, work_items: Sequence[WorkItem]) -> list[Outcome]:
        """Create the missing tags of one chunk, its images, then what did not fit the request."""
        refusals = await self._items.resolve_tags(work_items)
        ready = [
            work_item
            for work_item, refusal in zip(work_items, refusals, strict=True)
            if refusal is None
        ]
        created = iter(await self._create(ready) if ready else [])
        return [
            next(created) if refusal is None else Failed(str(refusal), cause=refusal)
            for refusal in refusals
        ]

    async def _create(self, work_items: Sequence[WorkItem]) -> list[Outcome]:
        names = names_for(work_items)
        with self._items.sending(work_items):
            try:
                with self._context.metered(work_items, creates=True) as meter:
                    summary = await create_images(self._context, work_items, names, meter)
            except ContentError as error:
                # The frames hold buffers, and refer to the error.
                error.__traceback__ = None
                return [unreadable(work_item, error) for work_item in work_items]
        outcomes = join_results(work_items, names, summary.images, meter.date)
        await apply_followups(self._context, work_items, outcomes)
        return outcomes
