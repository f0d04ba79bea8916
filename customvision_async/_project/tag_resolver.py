"""From the tags a person gives to ids.

A string is a name first; only a name that no tag has and that reads as a UUID is an id.
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from .._batch.settler import FailureAction
from .._batching import classify_error
from .._operations import Operations
from .._wire.request import id_of
from ..errors import (
    ConnectError,
    CustomVisionError,
    DecodeError,
    InternalServerError,
    ServiceError,
    TransportError,
    attempt,
    shown,
)
from ..models import Tag
from ..models.inputs import TagLike

__all__ = ["TagResolver", "UnknownTag"]


_SHOWN = 60
"""Characters of a name that an error shows."""
_REFUSED = (FailureAction.DIVIDE, FailureAction.DOWN, FailureAction.TOO_LARGE)


class UnknownTag(CustomVisionError, LookupError):
    """No tag of the project has the name, or it could not be made; the message says what to do."""


class TagResolver:
    """The tags of one project, for the length of one run: listed once, and only if a name is met."""

    def __init__(
        self, operations: Operations, project_id: str, *, create_missing: bool = False
    ) -> None:
        self._operations = operations
        self._project_id = project_id
        self._create_missing = create_missing
        self._ids: dict[str, str] | None = None
        self._refused: dict[str, str] = {}

    async def learn(self, tags: Iterable[TagLike]) -> None:
        """Make ready to answer for `tags`: list those of the project if need be, and make the
        missing ones if asked to, once each.

        Raises:
            CustomVisionError: the tags could not be listed.
        """
        found = [attempt(_name_of, tag) for tag in tags]
        names = {name for name in found if isinstance(name, str)}
        if not names:
            return
        if self._ids is None:
            self._ids = await self._listed()
        if self._create_missing:
            for name in sorted(names - self._ids.keys() - self._refused.keys()):
                if not _is_uuid(name):
                    await self._create(name, self._ids)

    def id_of(self, tag: TagLike) -> str:
        """The id of `tag`.

        Raises:
            UnknownTag: there is none.
        """
        if isinstance(tag, Tag):
            return id_of(tag, "tag")
        if isinstance(tag, UUID):
            return id_of(tag, "tag")
        if not isinstance(tag, str):
            raise UnknownTag(f"a tag is a name, an id or a Tag, not {type(tag).__name__}")
        tag = str.__str__(tag)  # a subclass may hash and compare as it likes
        ids = self._ids or {}
        if tag in ids:
            return ids[tag]
        if _is_uuid(tag):
            return str(UUID(tag))
        if tag in self._refused:
            raise UnknownTag(f"the tag {_cut(tag)} could not be created: {self._refused[tag]}")
        names = ", ".join(_cut(name) for name in sorted(ids)[:10]) + (
            ", ..." if len(ids) > 10 else ""
        )
        there = f"its tags are {names}" if ids else "it has no tags"
        raise UnknownTag(
            f"the project has no tag {_cut(tag)} ({there}): create it first, or have an upload"
            " make it (create_missing_tags)"
        )

    async def _listed(self) -> dict[str, str]:
        return {tag.name: tag.id for tag in await self._operations.get_tags(self._project_id)}

    async def _create(self, name: str, ids: dict[str, str]) -> None:
        """Make a tag.

        Not repeated blindly: after a lost answer, or if somebody else was first, the list tells.

        What is wrong with the name, or with the tag alone, is kept for those that ask for it; what
        is wrong with all is raised.
        """
        try:
            for last in (False, True):
                try:
                    ids[name] = (await self._operations.create_tag(self._project_id, name)).id
                    return
                except (TransportError, ServiceError, DecodeError) as error:
                    if (
                        isinstance(error, ServiceError)
                        and error.status < 500
                        and error.status != 408
                    ):
                        raise
                    ids.update(await self._listed())
                    if name in ids:
                        return
                    if last or isinstance(error, ConnectError):
                        raise
        except (ValueError, TypeError, ServiceError, DecodeError) as error:
            if not _is_about_the_name(error):
                raise
            if getattr(error, "code", "") == "BadRequestTagNameNotUnique":
                ids.update(await self._listed())
                self._adopt(name, ids)
            if name not in ids:
                self._refused[name] = str(error)

    @staticmethod
    def _adopt(name: str, ids: dict[str, str]) -> None:
        """The service holds a name to be taken that no tag has just so: then it is that of the tag
        which differs in case alone.
        """
        alike = [known for known in ids if known.casefold() == name.casefold()]
        if name not in ids and len(alike) == 1:
            ids[name] = ids[alike[0]]


def _name_of(tag: object) -> str | None:
    """Return a tag that is a name as plain text: a subclass may hash and compare as it likes."""
    return str.__str__(tag) if isinstance(tag, str) else None


def _is_about_the_name(error: Exception) -> bool:
    """Return whether another tag may fare better: the request was refused, not the caller."""
    return isinstance(error, InternalServerError) or classify_error(error) in _REFUSED


def _cut(name: str) -> str:
    return (
        shown(name)
        if len(name) <= _SHOWN
        else f"{shown(name[:_SHOWN])}... ({len(name):,} characters)"
    )


def _is_uuid(text: str) -> bool:
    try:
        return len(text) >= 32 and bool(UUID(text))
    except ValueError:
        return False
