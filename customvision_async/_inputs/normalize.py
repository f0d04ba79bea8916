"""One picture, as a person gives it for a prediction: looked at before it is sent, off the event loop."""

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
    """What a person gave, as one of the inputs. A string is a path, unless it begins with ``http://`` or ``https://``.

    Raises:
        TypeError: it is none.
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
        f"cannot predict a {type(item).__name__}: give an ImageFile, an ImageUrl, a path, bytes, an open file or a web address"
    )


def blob_of(picture: ImageFile, limit: limits.Limit) -> Blob | Exception:
    """Where the bytes of a picture are, or why it cannot be sent. Blocks, unless the picture was looked at before."""
    if isinstance(picture, ScannedImage) and picture.blob is not None:
        return (
            picture.blob
            if picture.blob.size <= limit.value
            else LimitExceeded(limit, picture.blob.size, picture.name or "")
        )
    return inspect_given(picture, size_limit=limit)


async def load_image(item: Any, limit: limits.Limit) -> ImageFile | ImageUrl:
    """A picture, after a look at it.

    Raises:
        TypeError, ValueError, OSError: it is none, or cannot be read.
        LimitExceeded: it is over the limit.
    """
    picture = normalize_image(item)
    if isinstance(picture, SkippedItem):
        raise ValueError(f"{picture.name}: {picture.reason}")
    if isinstance(picture, ImageFile):
        blob = await anyio.to_thread.run_sync(blob_of, picture, limit)
        if isinstance(blob, Exception):
            raise blob
    return picture


@contextmanager
def content_error_as_os_error() -> Iterator[None]:
    """A file that vanished or changed while it was sent is an error of the system's kind. Nothing of the request took effect."""
    reason = ""
    try:
        yield
    except ContentError as error:
        reason = error.reason
    if reason:
        raise OSError(reason)
