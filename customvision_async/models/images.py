"""Images, the tags and regions on them, and what a batch of them comes to."""

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
    """A tag on an image. In the answer to a create call `tag_name` is None; lists fill it in."""

    tag_id: str
    tag_name: str | None = None


class ImageRegion(Created, frozen=True, kw_only=True):
    """A tagged region of an image: fractions of its width and height, from the top left corner, to seven digits."""

    region_id: str
    tag_id: str
    left: float
    top: float
    width: float
    height: float
    tag_name: str | None = None


class Image(Created, frozen=True, kw_only=True):
    """An image of a project. `width` and `height` are pixels.

    The URIs live for a day, then list the image again. Of images in a resource with a private network they are
    relative paths, to be given to ``get_artifact`` (v3.3).
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
    """Of v1.2 to v2.1; see `original_uri`."""
    predictions: tuple[Prediction, ...] = ()
    """Of v1.2 alone."""

    @property
    def original_uri(self) -> str | None:
        """Where the picture is, as it was uploaded or the nearest to that which the version has."""
        return self.original_image_uri or self.image_uri or self.resized_image_uri


class ImageCreateResult(Model, frozen=True, kw_only=True):
    """What became of one image of a create batch.

    `source_url` is the name sent (for uploads by data in double quotes), the URL, or the id of the prediction.
    """

    status: ImageCreateStatus
    source_url: str | None = None
    image: Image | None = None


class ImageCreateSummary(Model, frozen=True, kw_only=True):
    """What became of a create batch. The results may be in another order than the images were sent in."""

    is_batch_successful: bool
    images: tuple[ImageCreateResult, ...] = ()


class ImageTagCreateEntry(Model, frozen=True, kw_only=True):
    """A pair of an image and a tag."""

    image_id: str
    tag_id: str


class ImageTagCreateSummary(Model, frozen=True, kw_only=True):
    """What became of tag pairs: made, there before, or over the limit of tags per image."""

    created: tuple[ImageTagCreateEntry, ...] = ()
    duplicated: tuple[ImageTagCreateEntry, ...] = ()
    exceeded: tuple[ImageTagCreateEntry, ...] = ()


class ImageRegionCreateEntry(Model, frozen=True, kw_only=True):
    """A region to put on an image; see :class:`ImageRegion` for the numbers."""

    image_id: str
    tag_id: str
    left: float
    top: float
    width: float
    height: float


class ImageRegionCreateResult(Model, frozen=True, kw_only=True):
    """A region that was put on an image."""

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
    """What became of regions: made, there before, or over the limit of regions per image."""

    created: tuple[ImageRegionCreateResult, ...] = ()
    duplicated: tuple[ImageRegionCreateEntry, ...] = ()
    exceeded: tuple[ImageRegionCreateEntry, ...] = ()


class ImageMetadataUpdateEntry(Model, frozen=True, kw_only=True):
    """What became of the metadata of one image (since v3.3)."""

    image_id: str
    status: ImageMetadataUpdateStatus
    metadata: dict[str, str] | None = None


class ImageMetadataUpdateSummary(Model, frozen=True, kw_only=True):
    """What became of a metadata update (since v3.3)."""

    is_batch_successful: bool
    images: tuple[ImageMetadataUpdateEntry, ...] = ()


class RegionProposal(Model, frozen=True, kw_only=True):
    """A place where something may be, with no name for it; `confidence` is from 0 to 1."""

    confidence: float
    bounding_box: BoundingBox | None = None


class ImageRegionProposal(Model, frozen=True, kw_only=True):
    """Where things may be in an image (since v2.0)."""

    image_id: str
    project_id: str | None = None
    proposals: tuple[RegionProposal, ...] = ()


class ImagePerformance(Model, frozen=True, kw_only=True):
    """How an iteration did on one image of its training set (since v2.0)."""

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
