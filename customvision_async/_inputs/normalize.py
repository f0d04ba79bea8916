"""The forms in which callers may give an image, in this one place."""

from __future__ import annotations

import os
from typing import IO, TypeAlias, cast
from uuid import UUID

from ..errors import display_name, shown
from ..models.inputs import ImageFile, ImageFromPrediction, ImageUrl, Region, SkippedItem
from ..models.predictions import ImagePrediction, StoredImagePrediction

__all__ = ["NormalizedImage", "is_single_image", "normalize_image"]

NormalizedImage: TypeAlias = ImageFile | ImageUrl | ImageFromPrediction | SkippedItem

_INPUTS = (ImageFile, ImageUrl, ImageFromPrediction)
_BYTES = (bytes, bytearray, memoryview)
_PREDICTIONS = (ImagePrediction, StoredImagePrediction)
_SINGLE = (*_INPUTS, *_BYTES, *_PREDICTIONS, str, os.PathLike, UUID)


def is_single_image(images: object) -> bool:
    """Return whether `images` is one image and not an iterable of images."""
    return isinstance(images, _SINGLE) or hasattr(images, "read")


def normalize_image(item: object) -> NormalizedImage:
    """Convert an image of the caller to one of the input classes.

    A string is a path, unless it starts with ``http://`` or ``https://``.

    Raises:
        TypeError: `item` is not an image, or has a region that is not a Region.
    """
    if isinstance(item, _INPUTS):
        _check_regions(item)
        return item
    if isinstance(item, SkippedItem):
        return item
    if isinstance(item, str) and item.startswith(("http://", "https://")):
        return ImageUrl(item)
    if isinstance(item, (str, os.PathLike)):
        return ImageFile(item)
    if isinstance(item, _BYTES):
        return ImageFile(data=item)
    if isinstance(item, UUID):
        return ImageFromPrediction(item)
    if isinstance(item, _PREDICTIONS):
        return ImageFromPrediction(item.id)
    if hasattr(item, "read"):
        return ImageFile(file=cast("IO[bytes]", item))
    raise TypeError(
        f"{type(item).__name__} is not an image: give an ImageFile, an ImageUrl, a path, a URL, "
        "bytes, an open file or a prediction"
    )


def _check_regions(image: ImageFile | ImageUrl | ImageFromPrediction) -> None:
    regions: tuple[object, ...] = image.regions
    for region in regions:
        if not isinstance(region, Region):
            raise TypeError(
                f"{display_name(image) or 'the bytes'}: a region must be a Region,"
                f" not {shown(region)}"
            )
