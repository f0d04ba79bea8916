"""Tags of a project."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ._base import Body, Model
from .enums import TagType

__all__ = ["Tag", "TagFilter", "TagList", "TagUpdate"]


class Tag(Model, frozen=True, kw_only=True):
    """A tag of a project.

    `image_count` is the number of images with the tag, in the workspace or the requested iteration.
    """

    id: str
    name: str
    description: str | None = None
    type: TagType = TagType.REGULAR
    image_count: int = 0


class TagList(Model, frozen=True, kw_only=True):
    """The tags of a project in v1.2, with counts of images."""

    tags: tuple[Tag, ...] = ()
    total_tagged_images: int = 0
    total_untagged_images: int = 0


class TagUpdate(Body, frozen=True, kw_only=True):
    """Changes to a tag. UNSET fields are not sent.

    The specification of v3.x requires all fields.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    type: TagType | UnsetType = UNSET


class TagFilter(Body, frozen=True, kw_only=True):
    """A filter for counts of suggested images, by tags and minimum probability (since v3.1)."""

    tag_ids: tuple[str, ...] = ()
    threshold: float | None = None
