"""Inspect a single image before it is sent, off the event loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import anyio.to_thread

from .. import limits
from .._content import Blob, ContentError
from ..errors import LimitExceeded
from ..models.inputs import ImageFile, ImageFromPrediction, ImageUrl, SkippedItem
from .image_header import inspect_given
from .normalize import normalize_image
from .scanned import ScannedImage

__all__ = ["blob_of", "content_error_as_os_error", "load_image", "predictable_image"]


def predictable_image(item: object) -> ImageFile | ImageUrl | SkippedItem:
    """Convert an image of the caller to one that the service can predict.

    Raises:
        TypeError: `item` is not an image, or is a prediction.
    """
    image = normalize_image(item)
    if isinstance(image, ImageFromPrediction):
        raise TypeError("a prediction cannot be predicted again: give the image itself")
    return image


def blob_of(image: ImageFile, limit: limits.Limit) -> Blob:
    """Return the blob of an image. Block to inspect it, unless a scan has done so.

    Raises:
        ValueError, LimitExceeded, OSError: The image cannot be sent.
    """
    scanned = image.blob if isinstance(image, ScannedImage) else None
    if scanned is None:
        return inspect_given(image, size_limit=limit)
    if isinstance(scanned, OSError):
        raise scanned
    if scanned.size > limit.value:
        raise LimitExceeded(limit, scanned.size, image.name or "")
    return scanned


async def load_image(item: object, limit: limits.Limit) -> ImageFile | ImageUrl:
    """Normalize and inspect an image to predict.

    Raises:
        TypeError, ValueError, OSError: `item` is not an image, or cannot be read.
        LimitExceeded: The image is over `limit`.
    """
    image = predictable_image(item)
    if isinstance(image, SkippedItem):
        raise ValueError(f"{image.name}: {image.reason}")
    if isinstance(image, ImageFile):
        await anyio.to_thread.run_sync(blob_of, image, limit)
    return image


@contextmanager
def content_error_as_os_error() -> Iterator[None]:
    """Raise an OSError for a ContentError: a file disappeared or changed while it was sent."""
    reason = ""
    try:
        yield
    except ContentError as error:
        reason = error.reason
    if reason:
        raise OSError(reason)
