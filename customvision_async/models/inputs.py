"""What a person gives: images by file, URL or prediction, with tags and regions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, TypeAlias
from uuid import UUID

from .tags import Tag

__all__ = ["ImageFile", "ImageFromPrediction", "ImageUrl", "Region", "SkippedItem", "TagLike"]

TagLike: TypeAlias = str | UUID | Tag
"""A tag as a person gives it: its name, its id or its model."""


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture that shows `tag`: fractions of its width and height, from the top left corner.

    Whether it lies within the picture is looked at when it is used, so that one bad region costs one image.
    """

    tag: TagLike
    left: float
    top: float
    width: float
    height: float


def _listed(
    tags: Iterable[TagLike], regions: Iterable[Region]
) -> tuple[tuple[TagLike, ...], tuple[Region, ...]]:
    if isinstance(tags, str):
        raise TypeError(f"tags is one string; write tags=[{tags!r}]")
    if isinstance(tags, Tag):
        raise TypeError(f"tags is one tag; write tags=[...] around {tags.name!r}")
    return tuple(tags), tuple(regions)


@dataclass(frozen=True, slots=True, init=False)
class ImageFile:
    """A picture to upload: exactly one of `path`, `data` (bytes) and `file` (open, binary; read from where it stands).

    `name` is what results call it (its path where none is given); it falls back to the name of the file, and need not be unique.
    `tags` are names, ids or tags. `metadata` needs v3.3.
    """

    path: str | os.PathLike[str] | None
    data: bytes | bytearray | memoryview | None = field(repr=False)
    file: BinaryIO | None
    name: str | None
    tags: tuple[TagLike, ...]
    regions: tuple[Region, ...]
    metadata: Mapping[str, str] | None

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        data: bytes | bytearray | memoryview | None = None,
        file: BinaryIO | None = None,
        name: str | None = None,
        tags: Iterable[TagLike] = (),
        regions: Iterable[Region] = (),
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Raises TypeError unless exactly one of `path`, `data` and `file` is given, and of its type."""
        given = (path is not None) + (data is not None) + (file is not None)
        if given != 1:
            raise TypeError(
                f"an ImageFile takes exactly one of path, data and file; {given} were given"
            )
        if path is not None and not isinstance(path, (str, os.PathLike)):
            raise TypeError(
                f"path must be a str or an os.PathLike, not {type(path).__name__}; bytes go in data="
            )
        if data is not None and not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data must be bytes, not {type(data).__name__}; a path goes in path=")
        if name is None:
            name = _file_name(path if path is not None else getattr(file, "name", None))
        put = object.__setattr__
        put(self, "path", path)
        put(self, "data", data)
        put(self, "file", file)
        put(self, "name", name)
        tags, regions = _listed(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


def _file_name(path: object) -> str | None:
    if isinstance(path, (str, os.PathLike)):
        text = os.fspath(path)
        if isinstance(text, str):
            return os.path.basename(text) or text
    return None  # in memory, or opened by number


@dataclass(frozen=True, slots=True, init=False)
class ImageUrl:
    """A picture for the service to fetch from `url`. `name` is what results call it, the URL unless given."""

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
        """Raises TypeError if `url` is not a string."""
        if not isinstance(url, str):
            raise TypeError(f"url must be a str, not {type(url).__name__}")
        put = object.__setattr__
        put(self, "url", url)
        put(self, "name", url if name is None else name)
        tags, regions = _listed(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


@dataclass(frozen=True, slots=True, init=False)
class ImageFromPrediction:
    """A stored prediction to make a training image of: its `id`. `name` is what results call it, the id unless given."""

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
        tags, regions = _listed(tags, regions)
        put(self, "tags", tags)
        put(self, "regions", regions)
        put(self, "metadata", metadata)


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """Something a source leaves out, and why: it stands in the report as skipped."""

    name: str
    reason: str
    path: str | None = None
