"""Images as callers of a single operation give them, as blobs and as entries of a batch."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, NamedTuple, TypeAlias, cast

from anyio import to_thread

from .. import limits
from .._content import Blob, restored
from .._inputs.normalize import normalize_image
from .._wire.bodies import RegionTuple
from .._wire.request import id_of, ids_of
from ..errors import LimitExceeded, attempt, shown
from ..models import Id, ImageFile, ImageRegionCreateEntry, Region

__all__ = [
    "Entry",
    "ImageData",
    "NamedBlob",
    "check_batch",
    "named_blob",
    "region_tuple",
    "region_tuples",
    "within",
]


class NamedBlob(NamedTuple):
    """An inspected image: its name in the request, and its bytes."""

    name: str
    blob: Blob


ImageData: TypeAlias = (
    bytes | bytearray | memoryview | str | os.PathLike[str] | IO[bytes] | ImageFile | NamedBlob
)
"""An image: bytes, the path of a file, a file open in binary mode, or an ImageFile."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of a batch, with the ids of its tags."""

    name: str
    blob: Blob
    tag_ids: Sequence[str]
    regions: Sequence[RegionTuple]


async def named_blob(image: ImageData) -> tuple[str | None, Blob]:
    """Return the name of an image, or None, and its bytes. Inspect files in a worker thread."""
    if isinstance(image, NamedBlob):
        return image
    file = image if isinstance(image, ImageFile) else attempt(normalize_image, image)
    if not isinstance(file, ImageFile):
        raise TypeError(
            f"{shown(image)} is not an image file: give bytes, a path, an open file or an ImageFile"
        )
    if file.data is not None:
        return file.name, Blob(memoryview(file.data).nbytes, data=file.data)
    return file.name, await to_thread.run_sync(_inspect, file)


def _inspect(image: ImageFile) -> Blob:
    if image.path is not None:
        path = os.fsdecode(image.path)
        facts = os.stat(path)
        return Blob(
            facts.st_size, path=path, fingerprint=(facts.st_dev, facts.st_ino, facts.st_mtime_ns)
        )
    file = image.file
    assert file is not None
    if inspect.iscoroutinefunction(file.read):
        raise TypeError("it is an asynchronous file: read it, and give the bytes")
    file = cast("IO[bytes]", file)
    with restored(file):
        if isinstance(file.read(0), str):
            raise TypeError("the file must be open in binary mode")
        offset = file.tell()
        end = file.seek(0, os.SEEK_END)
    return Blob(max(0, end - offset), file=file, offset=offset)


def region_tuple(tag: object, box: Region | ImageRegionCreateEntry) -> RegionTuple:
    """Return a region as it is sent.

    Raises:
        ValueError: `tag` is not an id, or a number is not finite.
    """
    numbers = (float(box.left), float(box.top), float(box.width), float(box.height))
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"a region must have four finite numbers, not {numbers}")
    return (id_of(tag, "the tag of a region"), *numbers)


def region_tuples(regions: Iterable[Region]) -> list[RegionTuple]:
    """Return regions as they are sent. Their tags must be ids. See :func:`region_tuple`."""
    return [region_tuple(region.tag, region) for region in regions]


def within(limit: limits.Limit, actual: int, name: str) -> None:
    """Raise LimitExceeded if `actual` is over the limit."""
    if actual > limit.value:
        raise LimitExceeded(limit, actual, name)


def check_batch(
    operation: str,
    tag_ids: Iterable[Id],
    entries: Sequence[tuple[Sequence[str], Sequence[RegionTuple]]],
) -> list[str]:
    """Check the limits of a batch, and return the ids of the tags that all images share.

    Args:
        operation: Name of the operation, for errors.
        tag_ids: Tags that all images share.
        entries: Tags and regions of each image.

    Raises:
        LimitExceeded: There are more than 64 images or 20 distinct tags.
    """
    within(limits.IMAGES_PER_BATCH, len(entries), operation)
    common = ids_of(tag_ids, "tag_ids")
    distinct = {
        *common,
        *(tag for tags, _ in entries for tag in tags),
        *(region[0] for _, regions in entries for region in regions),
    }
    within(limits.TAGS_PER_BATCH, len(distinct), operation)
    return common
