"""Predictions, stored predictions, and suggested tags and regions."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import force_setattr

from ._base import Body, Model, make_aware
from .enums import OrderBy, SortBy, TagType

__all__ = [
    "BoundingBox",
    "ImagePrediction",
    "Prediction",
    "PredictionQueryResult",
    "PredictionQueryTag",
    "PredictionQueryToken",
    "StoredImagePrediction",
    "StoredSuggestedTagAndRegion",
    "SuggestedTagAndRegion",
    "SuggestedTagAndRegionQuery",
    "SuggestedTagAndRegionQueryToken",
]


class BoundingBox(Model, frozen=True, kw_only=True):
    """A box in an image.

    `left` and `width` are fractions of the image width, `top` and `height` of its height, measured
    from the top left corner.
    """

    left: float
    top: float
    width: float
    height: float


class Prediction(Model, frozen=True, kw_only=True):
    """One predicted tag with its probability, from 0 to 1.

    `bounding_box` is set for object detection.
    """

    probability: float
    tag_id: str
    tag_name: str | None = None
    bounding_box: BoundingBox | None = None
    tag_type: TagType | None = None
    tag: str | None = None
    """The name of this field in v1.x. Read `tag_name`, which has the same value."""

    def __post_init__(self) -> None:
        if self.tag_name is None and self.tag is not None:
            force_setattr(self, "tag_name", self.tag)


class ImagePrediction(Model, frozen=True, kw_only=True):
    """The predictions for one image, the most probable first."""

    id: str
    project: str | None = None
    iteration: str | None = None
    created: datetime | None = None
    predictions: tuple[Prediction, ...] = ()

    def __post_init__(self) -> None:
        make_aware(self, "created")


class StoredImagePrediction(Model, frozen=True, kw_only=True):
    """A prediction that the service stored with its image. It can become a training image.

    v1.2 calls it Prediction.
    """

    id: str
    project: str | None = None
    iteration: str | None = None
    created: datetime | None = None
    predictions: tuple[Prediction, ...] = ()
    domain: str | None = None
    resized_image_uri: str | None = None
    thumbnail_uri: str | None = None
    original_image_uri: str | None = None
    image_uri: str | None = None
    """In v1.2 to v2.1 only. See `original_uri`."""

    def __post_init__(self) -> None:
        make_aware(self, "created")

    @property
    def original_uri(self) -> str | None:
        """URI of the image as sent, or the closest to it in this API version."""
        return self.original_image_uri or self.image_uri or self.resized_image_uri


class PredictionQueryTag(Body, frozen=True, kw_only=True):
    """A tag to filter stored predictions by, with a range of probabilities."""

    id: str
    min_threshold: float = 0.0
    max_threshold: float = 1.0


class PredictionQueryToken(Body, frozen=True, kw_only=True):
    """A query for stored predictions. The token of a response requests the next page."""

    session: str | None = None
    continuation: str | None = None
    max_count: int | None = None
    order_by: OrderBy | None = None
    tags: tuple[PredictionQueryTag, ...] = ()
    iteration_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    application: str | None = None

    def __post_init__(self) -> None:
        make_aware(self, "start_time", "end_time")


class PredictionQueryResult(Model, frozen=True, kw_only=True):
    """A page of stored predictions (v1.2 calls it PredictionQuery)."""

    token: PredictionQueryToken | None = None
    results: tuple[StoredImagePrediction, ...] = ()


class SuggestedTagAndRegion(Model, frozen=True, kw_only=True):
    """The tags and regions that an iteration suggests for an untagged image (since v3.1)."""

    id: str
    project: str | None = None
    iteration: str | None = None
    created: datetime | None = None
    predictions: tuple[Prediction, ...] = ()
    prediction_uncertainty: float = 0.0

    def __post_init__(self) -> None:
        make_aware(self, "created")


class StoredSuggestedTagAndRegion(SuggestedTagAndRegion, frozen=True, kw_only=True):
    """Stored suggestions, with their image."""

    width: int = 0
    height: int = 0
    domain: str | None = None
    resized_image_uri: str | None = None
    thumbnail_uri: str | None = None
    original_image_uri: str | None = None


class SuggestedTagAndRegionQueryToken(Body, frozen=True, kw_only=True):
    """A query for suggestions (since v3.1). The token of a response requests the next page."""

    tag_ids: tuple[str, ...] = ()
    threshold: float | None = None
    session: str | None = None
    continuation: str | None = None
    max_count: int | None = None
    sort_by: SortBy | None = None


class SuggestedTagAndRegionQuery(Model, frozen=True, kw_only=True):
    """A page of suggestions (since v3.1)."""

    token: SuggestedTagAndRegionQueryToken | None = None
    results: tuple[StoredSuggestedTagAndRegion, ...] = ()
