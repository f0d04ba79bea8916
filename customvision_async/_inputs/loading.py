"""Read and inspect single images before they are sent, off the event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeGuard

import anyio.to_thread

from .. import limits
from .._content import Blob, ContentError
from ..errors import LimitExceeded, attempt, words_of
from ..models.inputs import ImageFile, ImageFromPrediction, ImageUrl, SkippedItem
from .image_header import inspect_given
from .normalize import normalize_image
from .scanned import ScannedImage

__all__ = [
    "blob_of",
    "content_error_as_os_error",
    "is_async_file",
    "load_image",
    "predictable_image",
    "read_async_file",
]


def is_async_file(image: object) -> TypeGuard[ImageFile]:
    """Return whether an image is a file with an asynchronous ``read``."""
    if not isinstance(image, ImageFile) or image.file is None:
        return False
    # An object of the caller may raise.
    return inspect.iscoroutinefunction(attempt(getattr, image.file, "read"))


async def read_async_file(image: ImageFile, limit: limits.Limit) -> ImageFile:
    """Read a file with an asynchronous ``read``, such as an upload to a web framework.

    It is read whole, from its current position, because it could not be sent twice.

    Raises:
        ValueError: The file cannot be read, or returns something else than bytes.
    """
    file: Any = image.file
    name = image.name or "the file"
    parts: list[bytes] = []
    left = limit.value + 1
    try:
        # A stream may return fewer bytes than requested.
        while left > 0 and (part := await file.read(left)):
            if not isinstance(part, bytes):
                raise TypeError(f"its read() returned {type(part).__name__}, not bytes")
            parts.append(part)
            left -= len(part)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # The file awaits something that other code cancelled.
        raise ValueError(f"{name}: cannot be read: it was cancelled") from None
    except Exception as error:  # noqa: BLE001 - an object of the caller may raise anything
        raise ValueError(f"{name}: cannot be read: {words_of(error)}") from None
    return ImageFile(
        data=b"".join(parts),
        name=image.name,
        tags=image.tags,
        regions=image.regions,
        metadata=image.metadata,
    )


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
    if is_async_file(image):
        image = await read_async_file(image, limit)
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
