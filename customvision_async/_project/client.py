"""The client of one project: its images, tags and regions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar, cast, overload
from uuid import UUID

from .. import limits
from .._batch.report import has_value
from .._batch.run import BatchRun
from .._batch.work_item import Outcome, WorkItem
from .._batching import DONE, image_id
from .._inputs.normalize import is_single_image
from .._paging import AsyncItemPaged
from .._wire.request import ValidatedIds, id_of
from ..errors import CustomVisionError, ItemError, NotFoundError
from ..models import (
    Image,
    Project,
    SkippedItem,
)
from ..models.inputs import ImageInput, TagLike
from .base import ImageLike, ImageT, IterationLike, Source, as_tags, prepare_ids
from .exports import ExportMethods
from .image_list import ImageList
from .iterations import IterationMethods
from .metadata import MetadataMethods
from .predictions import PredictionMethods
from .regions import RegionMethods
from .tag_resolver import TagResolver
from .tags import TagMethods
from .uploads import Uploads, upload_limits

__all__ = ["ProjectClient", "ProjectLike"]

UploadItem: TypeAlias = ImageInput | SkippedItem
"""What the source of an upload may yield."""

InputT = TypeVar("InputT", bound=ImageInput)
UploadT = TypeVar("UploadT", bound=UploadItem)


class ProjectClient(
    TagMethods, RegionMethods, MetadataMethods, IterationMethods, ExportMethods, PredictionMethods
):
    """The images, tags and regions of one project.

    Get one from a :class:`~customvision_async.TrainingClient`.

    Methods in the plural take any number of items, from any iterable or async iterable, and return
    a :class:`BatchRun` to await or to iterate over. Methods in the singular send one request, or a
    few. `list_*` methods return an async iterator, and are not awaited.
    """

    def __repr__(self) -> str:
        return f"<ProjectClient {self.id}{f' {self.name!r}' if self.name else ''}>"

    async def get_properties(self) -> Project:
        """Return the properties of the project: its name, description, settings and status."""
        return await self.operations.get_project(self.id)

    # --- images

    @overload
    def upload_images(
        self,
        images: InputT,
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[InputT, Image]: ...
    @overload
    def upload_images(
        self,
        images: Source[UploadT],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadT, Image]: ...
    @overload
    def upload_images(
        self,
        images: ImageInput | Source[UploadItem],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadItem, Image]: ...
    def upload_images(
        self,
        images: ImageInput | Source[UploadItem],
        *,
        tags: Iterable[TagLike] = (),
        create_missing_tags: bool = False,
    ) -> BatchRun[UploadItem, Image]:
        """Upload any number of images: files, bytes, URLs and stored predictions together.

        The `image` of a result is the image that the service stored. `duplicate` is true if the
        project had the image before. Its tags and regions are then added to that image. A file that
        is not an image, or exceeds a limit of the service, fails on its own before it is sent.

        Args:
            images: An image, or an iterable or async iterable of images, read only as fast as the
                service accepts them. An image is an :class:`ImageFile`, an :class:`ImageUrl`, a
                path, a URL, bytes, an open binary file, or a stored prediction (a model, or its id
                as a `uuid.UUID`).
            tags: Tags of every image, besides its own.
            create_missing_tags: Create tags that the project lacks.
        """
        source = cast("Source[UploadItem]", [images] if is_single_image(images) else images)
        context = self._context()
        resolver = TagResolver(self.operations, self.id, create_missing=create_missing_tags)
        uploads = Uploads(context, resolver, as_tags(tags))
        return self._run(
            source,
            context,
            uploads.prepare,
            uploads.send,
            upload_limits(self._concurrency.max_chunk_bytes),
            "upload_images",
        )

    async def upload_image(
        self,
        image: ImageInput,
        tags: Iterable[TagLike] = (),
        *,
        create_missing_tags: bool = False,
    ) -> Image:
        """Upload one image, as a web handler does, and return the image that the service stored.

        If the project had the image before, add the tags to that image and return it.

        Args:
            image: The image. See :meth:`upload_images`.
            tags: Tags of the image, besides its own.
            create_missing_tags: Create tags that the project lacks.

        Raises:
            CustomVisionError: The upload failed. An error of the service or the connection has its
                own class, such as :class:`~customvision_async.AuthenticationError`. An image that
                cannot be uploaded raises an :class:`~customvision_async.ItemError`, or
                :class:`~customvision_async.LimitExceeded`.
        """
        run = self.upload_images([image], tags=tags, create_missing_tags=create_missing_tags)
        async with run:
            result = await anext(run)
        if has_value(result):
            return result.image
        if result.error is None:
            raise ItemError(
                "the project has this image already, and the service does not report its id:"
                " find it with list_images",
                index=0,
                item=image,
                status=result.status,
            )
        cause = result.error.__cause__
        raise cause if isinstance(cause, CustomVisionError) else result.error

    @overload
    def delete_images(self, images: Source[ImageT]) -> BatchRun[ImageT, None]: ...
    @overload
    def delete_images(  # type: ignore[overload-cannot-match]  # see ImageT
        self, images: Source[ImageLike]
    ) -> BatchRun[ImageLike, None]: ...
    def delete_images(self, images: Source[ImageLike]) -> BatchRun[ImageLike, None]:
        """Delete images from the project, but not from trained iterations.

        An image that does not exist counts as deleted.
        """
        context = self._context()

        async def send(work_items: Sequence[WorkItem]) -> Sequence[Outcome]:
            try:
                with context.metered(work_items) as meter:
                    await self.operations.delete_images(
                        self.id,
                        ValidatedIds([work_item.payload for work_item in work_items]),
                        meter=meter,
                    )
            except NotFoundError as error:
                if len(work_items) > 1 or error.code != "NotFoundImage":
                    raise
            return [DONE] * len(work_items)

        return self._run(
            images,
            context,
            prepare_ids(size=37),
            send,
            self._url_limits(limits.IDS_PER_DELETE.value),
            "delete_images",
        )

    def list_images(
        self,
        *,
        tagged: bool | None = None,
        tags: Iterable[TagLike] = (),
        iteration: IterationLike | None = None,
        order: Literal["newest", "oldest"] = "newest",
        filter: str | None = None,
        page_size: int = limits.MAX_PAGE_SIZE.value,
    ) -> AsyncItemPaged[Image]:
        """List images, in pages that are prefetched.

        An image that exists during the whole walk is yielded exactly once, also while others are
        uploaded and deleted.

        Args:
            tagged: True for images with tags only, False for those without.
            tags: Images with at least one of these tags only. More than 20 tags take several walks.
            iteration: Images of a trained iteration, instead of the current images.
            order: By creation time.
            filter: Condition on the metadata, in the grammar of the service:
                ``metadata=key1 eq 'value1' and key2 ne 'value2'`` (since v3.3).
            page_size: Images per page, 2 to 256.

        Raises:
            LimitExceeded: `page_size` is out of range.
        """
        return self._images(tagged, as_tags(tags), iteration, filter).paged(order, page_size)

    async def count_images(
        self,
        *,
        tagged: bool | None = None,
        tags: Iterable[TagLike] = (),
        iteration: IterationLike | None = None,
        filter: str | None = None,
    ) -> int:
        """Return the number of images that :meth:`list_images` would yield."""
        return await self._images(tagged, as_tags(tags), iteration, filter).count()

    async def get_image(self, image: ImageLike, *, iteration: IterationLike | None = None) -> Image:
        """Return one image (since v2.0).

        Raises:
            NotFoundError: The project has no such image.
        """
        found = await self.operations.get_images_by_ids(
            self.id, [image_id(image)], iteration_id=iteration
        )
        if not found:
            raise NotFoundError(
                f"the project has no image {image_id(image)}",
                status=200,
                operation="GetImagesByIds",
            )
        return found[0]

    def _images(
        self,
        tagged: bool | None,
        tags: tuple[TagLike, ...],
        iteration: IterationLike | None,
        filter: str | None,
    ) -> ImageList:
        iteration_id = None if iteration is None else id_of(iteration, "iteration")
        return ImageList(
            self.operations,
            self.id,
            self._tags_once(tags),
            tagged,
            bool(tags),
            iteration_id,
            filter,
            self._concurrency.prefetch_pages,
        )


ProjectLike: TypeAlias = str | UUID | Project | ProjectClient
"""A project as a caller gives it: its id, its model or its client."""
