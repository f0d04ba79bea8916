"""Tags of a project."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from ._base import Body, Model
from .enums import TagType

__all__ = ["Tag", "TagFilter", "TagList", "TagUpdate"]


class Tag(Model, frozen=True, kw_only=True):
    """A tag of a project; `image_count` is how many images of the workspace (or the iteration asked for) have it."""

    id: str
    name: str
    description: str | None = None
    type: TagType = TagType.REGULAR
    image_count: int = 0


class TagList(Model, frozen=True, kw_only=True):
    """How v1.2 answers for the tags of a project."""

    tags: tuple[Tag, ...] = ()
    total_tagged_images: int = 0
    total_untagged_images: int = 0


class TagUpdate(Body, frozen=True, kw_only=True):
    """What can be changed of a tag; what is left UNSET is not sent (v3.x documents all as required)."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    type: TagType | UnsetType = UNSET


class TagFilter(Body, frozen=True, kw_only=True):
    """Which suggested images to count: with which tags suggested, above which probability (since v3.1)."""

    tag_ids: tuple[str, ...] = ()
    threshold: float | None = None
