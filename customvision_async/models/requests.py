"""The bodies of the create calls, as the REST reference has them: ids only, one call's worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias
from uuid import UUID

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
"""An id as a person gives it: text, `uuid.UUID`, or the model that has it."""


@dataclass(frozen=True, slots=True)
class ImageFileCreateEntry:
    """One picture of a files batch. The tag of a region must be an id here."""

    name: str
    contents: bytes = field(repr=False)
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageUrlCreateEntry:
    """One picture of a URL batch. The tag of a region must be an id here."""

    url: str
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageIdCreateEntry:
    """One stored prediction of a predictions batch. The tag of a region must be an id here."""

    id: Id
    tag_ids: Sequence[Id] = ()
    regions: Sequence[Region] = ()


@dataclass(frozen=True, slots=True)
class ImageFileCreateBatch:
    """Up to 64 pictures and 20 tags; `tag_ids` and `metadata` go on all of them."""

    images: Sequence[ImageFileCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ImageUrlCreateBatch:
    """Up to 64 URLs and 20 tags; `tag_ids` and `metadata` go on all of them."""

    images: Sequence[ImageUrlCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ImageIdCreateBatch:
    """Up to 64 stored predictions and 20 tags; `tag_ids` and `metadata` go on all of them."""

    images: Sequence[ImageIdCreateEntry] = ()
    tag_ids: Sequence[Id] = ()
    metadata: Mapping[str, str] | None = None
