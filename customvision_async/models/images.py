"""Images, their tags and regions, and the results of batches."""

from __future__ import annotations

from datetime import datetime

from ._base import Created, Model, make_aware
from .enums import ImageCreateStatus, ImageMetadataUpdateStatus
from .predictions import BoundingBox, Prediction

__all__ = [
    "Image",
    "ImageCreateResult",
    "ImageCreateSummary",
    "ImageMetadataUpdateEntry",
    "ImageMetadataUpdateSummary",
    "ImagePerformance",
    "ImageRegion",
    "ImageRegionCreateEntry",
    "ImageRegionCreateResult",
    "ImageRegionCreateSummary",
    "ImageRegionProposal",
    "ImageTag",
    "ImageTagCreateEntry",
    "ImageTagCreateSummary",
    "RegionProposal",
]


class ImageTag(Created, frozen=True, kw_only=True):
    """A tag on an image. `tag_name` is set in lists, but not in responses to create requests."""

    tag_id: str
    tag_name: str | None = None


class ImageRegion(Created, frozen=True, kw_only=True):
    """A tagged region of an image.

    `left` and `width` are fractions of the image width, `top` and `height` of its height, measured
    from the top left corner. The service keeps seven digits.
    """

    region_id: str
    tag_id: str
    left: float
    top: float
    width: float
    height: float
    tag_name: str | None = None


class Image(Created, frozen=True, kw_only=True):
    """An image of a project. `width` and `height` are in pixels.

    The URIs expire after a day. List the image again for new ones. In a resource with a private
    network they are relative paths, to pass to ``get_artifact`` (v3.3).
    """

    id: str
    width: int = 0
    height: int = 0
    resized_image_uri: str | None = None
    thumbnail_uri: str | None = None
    original_image_uri: str | None = None
    tags: tuple[ImageTag, ...] = ()
    regions: tuple[ImageRegion, ...] = ()
    metadata: dict[str, str] | None = None
    image_uri: str | None = None
    """In v1.2 to v2.1 only. See `original_uri`."""
    predictions: tuple[Prediction, ...] = ()
    """In v1.2 only."""

    @property
    def original_uri(self) -> str | None:
        """URI of the image as uploaded, or the closest to it in this API version."""
        return self.original_image_uri or self.image_uri or self.resized_image_uri


class ImageCreateResult(Model, frozen=True, kw_only=True):
    """The result of one image of a create batch.

    `source_url` is the uploaded name (in double quotes for uploads by data), the URL, or the id of
    the prediction.
    """

    status: ImageCreateStatus
    source_url: str | None = None
    image: Image | None = None


class ImageCreateSummary(Model, frozen=True, kw_only=True):
    """The results of a create batch, in any order."""

    is_batch_successful: bool
    images: tuple[ImageCreateResult, ...] = ()


class ImageTagCreateEntry(Model, frozen=True, kw_only=True):
    """A pair of an image and a tag."""

    image_id: str
    tag_id: str


class ImageTagCreateSummary(Model, frozen=True, kw_only=True):
    """The results of tagging: pairs created, duplicated, or over the limit of tags per image."""

    created: tuple[ImageTagCreateEntry, ...] = ()
    duplicated: tuple[ImageTagCreateEntry, ...] = ()
    exceeded: tuple[ImageTagCreateEntry, ...] = ()


class ImageRegionCreateEntry(Model, frozen=True, kw_only=True):
    """A region to create on an image. See :class:`ImageRegion` for the coordinates."""

    image_id: str
    tag_id: str
    left: float
    top: float
    width: float
    height: float


class ImageRegionCreateResult(Model, frozen=True, kw_only=True):
    """A region created on an image."""

    image_id: str
    tag_id: str
    left: float
    top: float
    width: float
    height: float
    region_id: str = ""
    tag_name: str | None = None
    created: datetime | None = None

    def __post_init__(self) -> None:
        make_aware(self, "created")


class ImageRegionCreateSummary(Model, frozen=True, kw_only=True):
    """The results of creating regions.

    Each region is created, duplicated, or exceeds the limit of regions per image.
    """

    created: tuple[ImageRegionCreateResult, ...] = ()
    duplicated: tuple[ImageRegionCreateEntry, ...] = ()
    exceeded: tuple[ImageRegionCreateEntry, ...] = ()


class ImageMetadataUpdateEntry(Model, frozen=True, kw_only=True):
    """The result of one image of a metadata update (since v3.3)."""

    image_id: str
    status: ImageMetadataUpdateStatus
    metadata: dict[str, str] | None = None


class ImageMetadataUpdateSummary(Model, frozen=True, kw_only=True):
    """The results of a metadata update (since v3.3)."""

    is_batch_successful: bool
    images: tuple[ImageMetadataUpdateEntry, ...] = ()


class RegionProposal(Model, frozen=True, kw_only=True):
    """A possible object in an image, without a tag. `confidence` is from 0 to 1."""

    confidence: float
    bounding_box: BoundingBox | None = None


class ImageRegionProposal(Model, frozen=True, kw_only=True):
    """The possible objects in one image (since v2.0)."""

    image_id: str
    project_id: str | None = None
    proposals: tuple[RegionProposal, ...] = ()


class ImagePerformance(Model, frozen=True, kw_only=True):
    """The performance of an iteration on one image of its training set (since v2.0)."""

    id: str
    predictions: tuple[Prediction, ...] = ()
    created: datetime | None = None
    width: int = 0
    height: int = 0
    image_uri: str | None = None
    thumbnail_uri: str | None = None
    tags: tuple[ImageTag, ...] = ()
    regions: tuple[ImageRegion, ...] = ()

    def __post_init__(self) -> None:
        make_aware(self, "created")
