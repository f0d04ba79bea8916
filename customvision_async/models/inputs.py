"""Inputs: images by file, URL or prediction, with tags and regions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import IO, Protocol, TypeAlias
from uuid import UUID

from ..errors import attempt
from .predictions import ImagePrediction, StoredImagePrediction
from .tags import Tag

__all__ = [
    "AsyncFile",
    "ImageFile",
    "ImageFromPrediction",
    "ImageInput",
    "ImageSource",
    "ImageUrl",
    "PredictionLike",
    "Region",
    "SkippedItem",
    "TagLike",
]


class AsyncFile(Protocol):
    """A file with an asynchronous ``read``, such as an upload to a web framework."""

    async def read(self, size: int = -1, /) -> bytes:
        """Return up to `size` bytes, or the rest if that is -1."""
        ...


TagLike: TypeAlias = str | UUID | Tag
"""A tag: its name, its id or its model."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of an image that shows `tag`.

    `left` and `width` are fractions of the image width, `top` and `height` of its height, measured
    from the top left corner. The values are checked during the upload, so that an invalid region
    fails only its image.
    """

    tag: TagLike
    left: float
    top: float
    width: float
    height: float


def _as_tuples(
    tags: Iterable[TagLike], regions: Iterable[Region]
) -> tuple[tuple[TagLike, ...], tuple[Region, ...]]:
    if isinstance(tags, str):
        raise TypeError(f"tags is one string; write tags=[{tags!r}]")
    if isinstance(tags, Tag):
        raise TypeError(f"tags is one tag; write tags=[...] around {tags.name!r}")
    return tuple(tags), tuple(regions)


@dataclass(frozen=True, slots=True, init=False)
class ImageFile:
    """An image to upload, from exactly one of `path`, `data` and `file`.

    Args:
        path: Path of the file.
        data: Bytes of the image.
        file: Open binary file, read from its current position, or a file with an asynchronous
            ``read``, which is read into memory.
        name: Name of the image in results. Defaults to the name of the file. Names need not be
            unique.
        tags: Names, ids or models of tags.
        regions: Tagged regions of the image.
        metadata: Keys and values to store with the image (since v3.3).

    Raises:
        TypeError: Not exactly one of `path`, `data` and `file` was given, or an argument has the
            wrong type.
    """

    path: str | os.PathLike[str] | None
    data: bytes | bytearray | memoryview | None = field(repr=False)
    file: IO[bytes] | AsyncFile | None
    name: str | None
    tags: tuple[TagLike, ...]
    regions: tuple[Region, ...]
    metadata: Mapping[str, str] | None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        data: bytes | bytearray | memoryview | None = None,
        file: IO[bytes] | AsyncFile | None = None,
        name: str | None = None,
        tags: Iterable[TagLike] = (),
        regions: Iterable[Region] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        source_count = (path is not None) + (data is not None) + (file is not None)
        if source_count != 1:
            raise TypeError(
                f"an ImageFile takes exactly one of path, data and file; {source_count} were given"
            )
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"path must be a str or an os.PathLike, not {type(path).__name__}; "
                "bytes go in data="
            )
        if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, not {type(data).__name__}; a path goes in path=")
        if name is None:
            name = _file_name(path, file)
        put = object.__setattr__
        put(self, "path", path)
        put(self, "data", data)
        put(self, "file", file)
        put(self, "name", name)
        tags, regions = _as_tuples(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


def _file_name(path: object, file: object) -> str | None:
    source: object = path
    if path is None:
        # Uploads to a web framework have a "filename".
        source = attempt(getattr, file, "name", None) or attempt(getattr, file, "filename", None)
    if isinstance(source, (str, os.PathLike)):
        # A path that raises is reported by the upload.
        text = attempt(lambda: os.fspath(source))
        if isinstance(text, str):
            return os.path.basename(text) or text
    # The image is in memory, or the file was opened by descriptor.
    return None


@dataclass(frozen=True, slots=True, init=False)
class ImageUrl:
    """An image that the service fetches from `url`.

    Args:
        url: URL of the image.
        name: Name of the image in results. Defaults to the URL.
        tags: Names, ids or models of tags.
        regions: Tagged regions of the image.
        metadata: Keys and values to store with the image (since v3.3).

    Raises:
        TypeError: `url` is not a string, or `tags` is a single string or tag.
    """

    url: str
    name: str | None
    tags: tuple[TagLike, ...]
    regions: tuple[Region, ...]
    metadata: Mapping[str, str] | None

    def __init__(
        self,
        url: str,
        *,
        name: str | None = None,
        tags: Iterable[TagLike] = (),
        regions: Iterable[Region] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, not {type(url).__name__}")
        put = object.__setattr__
        put(self, "url", url)
        put(self, "name", url if name is None else name)
        tags, regions = _as_tuples(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


@dataclass(frozen=True, slots=True, init=False)
class ImageFromPrediction:
    """A stored prediction, to create a training image from it.

    Args:
        id: Id of the stored prediction.
        name: Name of the image in results. Defaults to the id.
        tags: Names, ids or models of tags.
        regions: Tagged regions of the image.
        metadata: Keys and values to store with the image (since v3.3).

    Raises:
        TypeError: `tags` is a single string or tag.
    """

    id: str
    name: str | None
    tags: tuple[TagLike, ...]
    regions: tuple[Region, ...]
    metadata: Mapping[str, str] | None

    def __init__(
        self,
        id: str | UUID,
        *,
        name: str | None = None,
        tags: Iterable[TagLike] = (),
        regions: Iterable[Region] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "id", str(id))
        put(self, "name", str(id) if name is None else name)
        tags, regions = _as_tuples(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """An item that a source skips. Reports count it as skipped, with its `reason`."""

    name: str
    reason: str
    path: str | None = None


ImageSource: TypeAlias = (
    ImageFile
    | ImageUrl
    | str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | AsyncFile
)
"""An image: a path, bytes, an open binary file, an ImageFile or an ImageUrl."""

PredictionLike: TypeAlias = str | UUID | ImagePrediction | StoredImagePrediction
"""A stored prediction: its id or its model."""

ImageInput: TypeAlias = (
    ImageSource | ImageFromPrediction | UUID | ImagePrediction | StoredImagePrediction
)
"""An image to upload: an :data:`ImageSource`, or a stored prediction by its model or UUID."""
