"""The bodies of create requests, as in the REST reference. They name tags by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from uuid import UUID

from .._content import Blob
from .inputs import Region

__all__ = [
    "HasId",
    "Id",
    "ImageFileCreateBatch",
    "ImageFileCreateEntry",
    "ImageIdCreateBatch",
    "ImageIdCreateEntry",
    "ImageUrlCreateBatch",
    "ImageUrlCreateEntry",
]


class HasId(Protocol):
    """Any model with an id: Project, Image, Tag, Iteration, ImagePrediction, Domain."""

    @property
    def id(self) -> str: ...


Id: TypeAlias = str | UUID | HasId
"""An id: a string, a `uuid.UUID`, or a model with an id."""


@dataclass(frozen=True, slots=True)
class ImageFileCreateEntry:
    """One image of an :class:`ImageFileCreateBatch`. The tags of regions must be ids."""

    name: str
    contents: bytes | Blob = field(repr=False)
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageUrlCreateEntry:
    """One image of an :class:`ImageUrlCreateBatch`. The tags of regions must be ids."""

    url: str
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageIdCreateEntry:
    """One prediction of an :class:`ImageIdCreateBatch`. The tags of regions must be ids."""

    id: Id
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageFileCreateBatch:
    """Up to 64 images and 20 tags. `tag_ids` and `metadata` apply to all images."""

    images: Sequence[ImageFileCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ImageUrlCreateBatch:
    """Up to 64 URLs and 20 tags. `tag_ids` and `metadata` apply to all images."""

    images: Sequence[ImageUrlCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ImageIdCreateBatch:
    """Up to 64 stored predictions and 20 tags. `tag_ids` and `metadata` apply to all images."""

    images: Sequence[ImageIdCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None
