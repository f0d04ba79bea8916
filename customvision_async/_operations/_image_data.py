"""Pictures as a caller of a single operation gives them, as blobs and as entries of a batch."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from anyio import to_thread

from .. import limits
from .._content import Blob
from .._wire.bodies import RegionTuple
from .._wire.request import id_of, ids_of
from ..errors import LimitExceeded
from ..models import Id, ImageFile, ImageRegionCreateEntry, Region

__all__ = [
    "Entry",
    "Picture",
    "check_batch",
    "check_metadata",
    "named_blob",
    "region_tuple",
    "region_tuples",
    "within",
]

Picture: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str] | BinaryIO | ImageFile
"""A picture: its bytes, the path of a file, a file open for reading (binary), or an ImageFile."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A picture of a batch, with ids in place of tags."""

    name: str
    blob: Blob
    tag_ids: Sequence[str]
    regions: Sequence[RegionTuple]


async def named_blob(picture: Picture) -> tuple[str | None, Blob]:
    """The name of a picture, if it has one, and the place of its bytes. A file is looked at in a worker thread."""
    image = picture if isinstance(picture, ImageFile) else _image(picture)
    if image.data is not None:
        return image.name, Blob(memoryview(image.data).nbytes, data=image.data)
    return image.name, await to_thread.run_sync(_look, image)


def _image(picture: Picture) -> ImageFile:
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return ImageFile(data=picture)
    if isinstance(picture, (str, os.PathLike)):
        return ImageFile(picture)
    if hasattr(picture, "read"):
        return ImageFile(file=picture)  # type: ignore[arg-type]  # an ImageFile never gets here
    raise TypeError(
        f"a picture is bytes, a path, an open file or an ImageFile, not {type(picture).__name__}"
    )


def _look(image: ImageFile) -> Blob:
    if image.path is not None:
        path = os.fspath(image.path)
        facts = os.stat(path)
        return Blob(facts.st_size, path=path, stamp=(facts.st_dev, facts.st_ino, facts.st_mtime_ns))
    file = image.file
    if file is None or isinstance(file.read(0), str):
        raise TypeError("the file must be open in binary mode")
    offset = file.tell()
    end = file.seek(0, os.SEEK_END)
    file.seek(offset)
    return Blob(max(0, end - offset), file=file, offset=offset)


def region_tuple(tag: object, box: Region | ImageRegionCreateEntry) -> RegionTuple:
    """A region as it is sent.

    Raises:
        ValueError: `tag` is no id, or a number is none.
    """
    numbers = (float(box.left), float(box.top), float(box.width), float(box.height))
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"a region must have four finite numbers, not {numbers}")
    return (id_of(tag, "the tag of a region"), *numbers)


def region_tuples(regions: Iterable[Region]) -> list[RegionTuple]:
    """Regions as they are sent; their tags must be ids here. Raises as :func:`region_tuple`."""
    return [region_tuple(region.tag, region) for region in regions]


def within(limit: limits.Limit, actual: int, what: str) -> None:
    """Raise LimitExceeded if `actual` is over the limit."""
    if actual > limit.value:
        raise LimitExceeded(limit, actual, what)


def check_batch(
    operation: str,
    tag_ids: Iterable[Id],
    entries: Sequence[tuple[Sequence[str], Sequence[RegionTuple]]],
) -> list[str]:
    """The ids of the tags of a whole batch, after its limits were looked at: 64 images, 20 distinct tags.

    `entries` are the tags and regions of each image.
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


def check_metadata(operation: str, metadata: Mapping[str, str] | None) -> None:
    """Raise LimitExceeded if the metadata is more than the service keeps of an image."""
    if not metadata:
        return
    within(limits.METADATA_PAIRS, len(metadata), operation)
    for key, value in metadata.items():
        within(limits.METADATA_KEY_LENGTH, len(key), f"{operation}: metadata key {key[:20]!r}")
        within(limits.METADATA_VALUE_LENGTH, len(value), f"{operation}: metadata {key!r}")
