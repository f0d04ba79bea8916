"""The metadata of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, overload

from .. import limits
from .._batch.chunker import ChunkLimits
from .._batch.run import BatchRun
from .._batch.work_item import UNANSWERED, Failed, Outcome, Resend, WorkItem
from .._batching import DONE, BatchContext, Prepared, image_id, prepare_item
from .._inputs.metadata import check_metadata
from .._versions import ApiVersion
from .._wire.advice import VAGUE_STATUSES, status_help
from .._wire.operation_spec import require
from .base import ImageLike, ImageT, ProjectBase, Source

__all__ = ["MetadataMethods", "MetadataOn", "metadata_limits", "send_metadata"]

MetadataOn: TypeAlias = tuple[ImageLike, Mapping[str, str]]
"""An image, and the metadata to set on it."""

MetadataOnT = TypeVar("MetadataOnT", bound=MetadataOn)


class MetadataMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` for the metadata of images."""

    @overload
    def update_image_metadata(self, images: Source[MetadataOnT]) -> BatchRun[MetadataOnT, None]: ...
    @overload
    def update_image_metadata(
        self, images: Source[ImageT], metadata: Mapping[str, str]
    ) -> BatchRun[ImageT, None]: ...
    @overload
    def update_image_metadata(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike], metadata: Mapping[str, str]
    ) -> BatchRun[ImageLike, None]: ...
    def update_image_metadata(
        self,
        images: Source[ImageLike] | Source[MetadataOn],
        metadata: Mapping[str, str] | None = None,
    ) -> BatchRun[ImageLike | MetadataOn, None]:
        """Set metadata on images (since v3.3).

        Args:
            images: Images, or pairs of an image and its metadata if `metadata` is not given. Images
                with the same metadata share a request.
            metadata: Keys and values to set on every image, at most 10 pairs.

        Raises:
            LimitExceeded: There are too many pairs, or a key or value is too long.
            UnsupportedOperation: The version has no metadata.
        """
        common = None if metadata is None else check_metadata(metadata)
        require(self.operations.version, ApiVersion.V3_3, "metadata of an image")
        context = self._context()

        def make(index: int, item: Any) -> WorkItem:
            image, pairs = _pair(item) if common is None else (image_id(item), common)
            group = tuple(sorted(pairs.items()))
            return WorkItem(index, item, (image, pairs), key=image, partition=group)

        async def prepare(start: int, items: Sequence[Any]) -> Sequence[Prepared]:
            return [
                prepare_item(index, item, make, index, item)
                for index, item in enumerate(items, start)
            ]

        return self._run(
            images,
            context,
            prepare,
            lambda work_items: send_metadata(context, work_items),
            metadata_limits(),
            "update_image_metadata",
        )


def _pair(item: Any) -> tuple[str, dict[str, str]]:
    """Return the image id and the metadata of a pair.

    Raises:
        ValueError, TypeError, LimitExceeded: The item is not a pair of an image and metadata.
    """
    if not isinstance(item, tuple) or len(item) != 2:
        raise TypeError(
            f"{type(item).__name__} is not a pair of an image and metadata: give pairs, or give "
            "metadata="
        )
    return image_id(item[0]), check_metadata(item[1])


def metadata_limits() -> ChunkLimits:
    """Return the limits of a chunk for :func:`send_metadata`.

    The key of each work item must be the id of its image, by which the response is joined.
    """
    return ChunkLimits(limits.IMAGES_PER_METADATA_UPDATE.value)


async def send_metadata(context: BatchContext, work_items: Sequence[WorkItem]) -> list[Outcome]:
    """Set metadata on images. The payloads are pairs of an image id and the metadata of all."""
    with context.metered(work_items) as meter:
        summary = await context.operations.update_image_metadata(
            context.project_id,
            [work_item.payload[0] for work_item in work_items],
            work_items[0].payload[1],
            meter=meter,
        )
    statuses = {entry.image_id.lower(): str(entry.status) for entry in summary.images}
    return [_outcome(statuses.get(work_item.payload[0])) for work_item in work_items]


def _outcome(status: str | None) -> Outcome:
    if status is None:
        return UNANSWERED
    if status == "OK":
        return DONE
    advice = status_help(status)
    failure = Failed(f"{status}: {advice.cause}: {advice.fix}", status)
    return Resend(failure) if status in VAGUE_STATUSES else failure
