"""Normalize and inspect a single image before it is sent, off the event loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio.to_thread

from .. import limits
from .._content import Blob, ContentError
from ..errors import LimitExceeded
from ..models.inputs import ImageFile, ImageUrl, SkippedItem
from ..sources import ScannedImage
from .image_header import inspect_given

__all__ = ["blob_of", "content_error_as_os_error", "load_image", "normalize_image"]


def normalize_image(item: Any) -> ImageFile | ImageUrl | SkippedItem:
    """Convert a caller's image to one of the input classes.

    A string is a path, unless it starts with ``http://`` or ``https://``.

    Raises:
        TypeError: `item` is not an image.
    """
    if isinstance(item, (ImageFile, ImageUrl, SkippedItem)):
        return item
    if isinstance(item, str) and item.startswith(("http://", "https://")):
        return ImageUrl(item)
    if isinstance(item, (str, os.PathLike)):
        return ImageFile(item)
    if isinstance(item, (bytes, bytearray, memoryview)):
        return ImageFile(data=item)
    if hasattr(item, "read"):
        return ImageFile(file=item)
    raise TypeError(
        f"cannot predict a {type(item).__name__}: "
        "give an ImageFile, an ImageUrl, a path, bytes, an open file or a URL"
    )


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


async def load_image(item: Any, limit: limits.Limit) -> ImageFile | ImageUrl:
    """Normalize and inspect an image.

    Raises:
        TypeError, ValueError, OSError: `item` is not an image, or cannot be read.
        LimitExceeded: The image is over `limit`.
    """
    image = normalize_image(item)
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
