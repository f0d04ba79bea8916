"""What a model says about a picture, and what the service keeps of it."""

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
    """A box in a picture: fractions of its width and height, from the top left corner."""

    left: float
    top: float
    width: float
    height: float


class Prediction(Model, frozen=True, kw_only=True):
    """One tag and how probable it is, from 0 to 1; where it is, if the model detects."""

    probability: float
    tag_id: str
    tag_name: str | None = None
    bounding_box: BoundingBox | None = None
    tag_type: TagType | None = None
    tag: str | None = None
    """The name v1.x uses; read `tag_name`, which has the value too."""

    def __post_init__(self) -> None:
        if self.tag_name is None and self.tag is not None:
            force_setattr(self, "tag_name", self.tag)


class ImagePrediction(Model, frozen=True, kw_only=True):
    """What a model says about one picture, the most probable first."""

    id: str
    project: str | None = None
    iteration: str | None = None
    created: datetime | None = None
    predictions: tuple[Prediction, ...] = ()

    def __post_init__(self) -> None:
        make_aware(self, "created")


class StoredImagePrediction(Model, frozen=True, kw_only=True):
    """A prediction the service kept with its picture, which may become a training image (v1.2 calls it Prediction)."""

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
    """Of v1.2 to v2.1; see `original_uri`."""

    def __post_init__(self) -> None:
        make_aware(self, "created")

    @property
    def original_uri(self) -> str | None:
        """Where the picture is, as it was sent or the nearest to that which the version has."""
        return self.original_image_uri or self.image_uri or self.resized_image_uri


class PredictionQueryTag(Body, frozen=True, kw_only=True):
    """A tag to ask stored predictions for, with the probabilities wanted."""

    id: str
    min_threshold: float = 0.0
    max_threshold: float = 1.0


class PredictionQueryToken(Body, frozen=True, kw_only=True):
    """What stored predictions to ask for, and where to go on: the answer's token asks for the next page."""

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
    """What an iteration would tag an untagged image with (since v3.1)."""

    id: str
    project: str | None = None
    iteration: str | None = None
    created: datetime | None = None
    predictions: tuple[Prediction, ...] = ()
    prediction_uncertainty: float = 0.0

    def __post_init__(self) -> None:
        make_aware(self, "created")


class StoredSuggestedTagAndRegion(SuggestedTagAndRegion, frozen=True, kw_only=True):
    """The same, kept, with its picture."""

    width: int = 0
    height: int = 0
    domain: str | None = None
    resized_image_uri: str | None = None
    thumbnail_uri: str | None = None
    original_image_uri: str | None = None


class SuggestedTagAndRegionQueryToken(Body, frozen=True, kw_only=True):
    """What suggestions to ask for, and where to go on: the answer's token asks for the next page (since v3.1)."""

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
