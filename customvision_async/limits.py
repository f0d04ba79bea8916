"""The limits of the service, each with its value, its first API version and its source.

This module is the only place that states a limit.
:class:`~customvision_async.errors.LimitExceeded` carries the :class:`Limit` that was exceeded.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ALL_LIMITS",
    "DEFAULT_BODY_BYTES",
    "IDS_PER_DELETE",
    "IDS_PER_GET",
    "IMAGES_PER_BATCH",
    "IMAGES_PER_METADATA_UPDATE",
    "IMAGES_PER_SUGGESTION",
    "IMAGES_PER_UNTAG",
    "IMAGE_ASPECT_RATIO",
    "IMAGE_BYTES",
    "IMAGE_SIDE",
    "MAX_BODY_BYTES",
    "MAX_PAGE_SIZE",
    "METADATA_KEY_LENGTH",
    "METADATA_PAIRS",
    "METADATA_VALUE_LENGTH",
    "PREDICTIONS_PER_DELETE",
    "PREDICTION_BYTES",
    "REGIONS_PER_BATCH",
    "REGIONS_PER_DELETE",
    "REGIONS_PER_IMAGE",
    "TAGS_PER_BATCH",
    "TAGS_PER_FILTER",
    "TAGS_PER_IMAGE",
    "TAGS_PER_PREDICTION_QUERY",
    "TAGS_PER_UNTAG",
    "TAG_PAIRS_PER_BATCH",
    "URL_BYTES",
    "Limit",
]

_SPEC = "OpenAPI description of the operation"
_QUOTAS = "Microsoft Learn, Custom Vision, limits and quotas"


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit of the service.

    Attributes:
        name: The quantity that is limited.
        value: The maximum, in `unit`.
        unit: Unit of `value`.
        since: First API version with the limit.
        source: Where the limit is documented or was observed.
    """

    name: str
    value: int
    unit: str
    since: str
    source: str

    def __str__(self) -> str:
        return f"{self.value:,} {self.unit}"


IMAGES_PER_BATCH = Limit("images per batch", 64, "images", "v1.2", _SPEC)
TAGS_PER_BATCH = Limit("distinct tags per batch", 20, "tags", "v1.2", _SPEC)
TAG_PAIRS_PER_BATCH = Limit("image-tag pairs per batch", 128, "pairs", "v1.2", _SPEC)
REGIONS_PER_BATCH = Limit("regions per batch", 64, "regions", "v2.0", _SPEC)
REGIONS_PER_DELETE = Limit("regions per delete", 64, "ids", "v2.0", _SPEC)
IDS_PER_DELETE = Limit("images per delete", 256, "ids", "v1.2", _SPEC)
IDS_PER_GET = Limit("images per get by id", 256, "ids", "v2.0", _SPEC)
IMAGES_PER_UNTAG = Limit("images per untag", 64, "ids", "v1.2", _SPEC)
TAGS_PER_UNTAG = Limit("tags per untag", 20, "ids", "v1.2", _SPEC)
IMAGES_PER_METADATA_UPDATE = Limit(
    "images per metadata update", 64, "ids", "v3.3", f"{_SPEC} (its text; its schema says 256)"
)
IMAGES_PER_SUGGESTION = Limit("images per tag suggestion", 64, "ids", "v3.1", _SPEC)
PREDICTIONS_PER_DELETE = Limit("predictions per delete", 64, "ids", "v1.2", _SPEC)
TAGS_PER_PREDICTION_QUERY = Limit("tags per prediction query", 2, "tags", "v1.2", _SPEC)
MAX_PAGE_SIZE = Limit("images per page", 256, "images", "v1.2", _SPEC)
TAGS_PER_FILTER = Limit("tags per list filter", 20, "tags", "v1.2", _SPEC)
METADATA_PAIRS = Limit(
    "metadata pairs per image", 10, "pairs", "v3.3", f"{_SPEC} of v3.4-preview (v3.3 says 50)"
)
METADATA_KEY_LENGTH = Limit(
    "length of a metadata key",
    128,
    "characters",
    "v3.3",
    f"{_SPEC} of v3.4-preview (v3.3 says 256)",
)
METADATA_VALUE_LENGTH = Limit(
    "length of a metadata value",
    256,
    "characters",
    "v3.3",
    f"{_SPEC} of v3.4-preview (v3.3 says 512)",
)
IMAGE_BYTES = Limit("size of a training image", 6 * 1024 * 1024, "bytes", "v3.0", _SPEC)
PREDICTION_BYTES = Limit("size of an image to predict", 4 * 1024 * 1024, "bytes", "v3.0", _SPEC)
IMAGE_SIDE = Limit("side of an image", 10_240, "pixels", "v3.3", _QUOTAS)
IMAGE_ASPECT_RATIO = Limit("aspect ratio of an image", 25, "to 1", "v3.4-preview", _QUOTAS)
TAGS_PER_IMAGE = Limit("tags per image", 100, "tags", "v1.2", _QUOTAS)
REGIONS_PER_IMAGE = Limit("regions per image", 300, "regions", "v2.0", _QUOTAS)
DEFAULT_BODY_BYTES = Limit(
    "body of a batch, by default",
    16_000_000,
    "bytes",
    "v1.2",
    "default of this package: no bottleneck below 1.3 Gbit/s at 10 requests/s",
)
MAX_BODY_BYTES = Limit(
    "body of a batch",
    48_000_000,
    "bytes",
    "v1.2",
    "public reports: 408 near 60 MB, none under 55 MB",
)
URL_BYTES = Limit(
    "length of a URL", 8_000, "bytes", "v1.2", "common default of HTTP servers and proxies"
)

ALL_LIMITS: tuple[Limit, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Limit)
)
"""All limits, in the order of this module."""
