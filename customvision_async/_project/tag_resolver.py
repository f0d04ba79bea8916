"""Resolve the tags that callers give to the ids of a project's tags.

A string is a name. It is an id only if no tag has that name, and it is a UUID.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from uuid import UUID

import anyio

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


_MAX_SHOWN = 60
"""Maximum characters of a name in an error."""
_MAX_CREATING = 8
"""Tags to create at the same time. More would delay the uploads of the images before them."""
_REFUSED = (FailureAction.DIVIDE, FailureAction.DOWN, FailureAction.TOO_LARGE)


class UnknownTag(CustomVisionError, LookupError):
    """No tag of the project has the name, or it could not be created. The text says what to do."""


class TagResolver:
    """Resolve tags to ids during one run. The project's tags are listed once, when first needed.

    A tag has a key during the run: its id, or its name if the run is to create it. :meth:`key_of`
    returns the key at once, and :meth:`resolve` creates the tags when their ids are needed.

    Args:
        operations: The operations of the service.
        project_id: The project.
        create_missing: Create tags that the project lacks.
    """

    def __init__(
        self, operations: Operations, project_id: str, *, create_missing: bool = False
    ) -> None:
        self._operations = operations
        self._project_id = project_id
        self._create_missing = create_missing
        self._listed = False
        self._ids: dict[str, str] = {}
        """Per name of a tag, its id."""
        self._missing: set[str] = set()
        """Names that the project lacked when they were first looked up."""
        self._creating: dict[str, asyncio.Event] = {}
        self._slots = asyncio.Semaphore(_MAX_CREATING)
        self._refused: dict[str, UnknownTag] = {}

    async def load(self, tags: Iterable[TagLike]) -> None:
        """List the project's tags, unless that was done or `tags` has no name.

        Raises:
            CustomVisionError: The tags could not be listed.
        """
        if not self._listed and any(isinstance(attempt(_name_of, tag), str) for tag in tags):
            self._ids.update(await self._list())
            self._listed = True

    def key_of(self, tag: TagLike) -> str:
        """Return the key of a tag that was given to :meth:`load`.

        Raises:
            UnknownTag: The project has no such tag, and it is not to be created.
        """
        if isinstance(tag, (Tag, UUID)):
            return id_of(tag, "tag")
        if not isinstance(tag, str):
            raise UnknownTag(f"a tag must be a name, an id or a Tag, not {type(tag).__name__}")
        # A subclass may hash and compare in its own way.
        name = str.__str__(tag)
        if name in self._missing:
            return name
        if name in self._ids:
            return self._ids[name]
        if _is_uuid(name):
            return str(UUID(name))
        if self._create_missing:
            self._missing.add(name)
            return name
        raise UnknownTag(
            f"the project has no tag {_cut(name)} ({_tags_in_words(self._ids)}): create it first,"
            " or have an upload create it (create_missing_tags)"
        )

    async def ids_of(self, tags: Iterable[TagLike]) -> tuple[str, ...]:
        """Return the ids of tags, each once. Create missing ones if that is allowed.

        Raises:
            UnknownTag: The project has no such tag, or it could not be created.
            CustomVisionError: The tags could not be listed.
        """
        tags = tuple(tags)
        await self.load(tags)
        keys = [self.key_of(tag) for tag in tags]
        resolved = await self.resolve(keys)
        ids: dict[str, None] = {}
        for key in keys:
            tag_id = resolved.get(key, key)
            if isinstance(tag_id, UnknownTag):
                raise tag_id
            ids[tag_id] = None
        return tuple(ids)

    async def resolve(self, keys: Iterable[str]) -> dict[str, str | UnknownTag]:
        """Return the id of each key that is a name, or why it could not be created.

        Each tag is created once in a run. Several are created at the same time.

        Raises:
            CustomVisionError: Any other tag would get the same error.
        """
        names = {key for key in keys if key in self._missing}
        if not names:
            return {}
        errors: list[Exception] = []

        async def create(name: str) -> None:
            try:
                await self._create_if_missing(name)
            except Exception as error:  # noqa: BLE001 - raised below, without a group around it
                errors.append(error)

        if waiting := sorted(name for name in names if self._resolved(name) is None):
            async with anyio.create_task_group() as tasks:
                for name in waiting:
                    tasks.start_soon(create, name)
        if errors:
            try:
                raise errors[0]
            finally:
                # The traceback refers to this frame.
                errors.clear()
        return {name: found for name in names if (found := self._resolved(name)) is not None}

    def _resolved(self, name: str) -> str | UnknownTag | None:
        return self._ids.get(name) or self._refused.get(name)

    async def _create_if_missing(self, name: str) -> None:
        while self._resolved(name) is None:
            if (created := self._creating.get(name)) is not None:
                # Another chunk has the same tag.
                await created.wait()
                continue
            self._creating[name] = asyncio.Event()
            try:
                async with self._slots:
                    await self._create(name, self._ids)
            finally:
                self._creating.pop(name).set()

    async def _list(self) -> dict[str, str]:
        return {tag.name: tag.id for tag in await self._operations.get_tags(self._project_id)}

    async def _create(self, name: str, ids: dict[str, str]) -> None:
        """Create a tag and add it to `ids`, or its refusal to `_refused`.

        Raises:
            CustomVisionError: Any other tag would get the same error.
        """
        try:
            await self._create_once(name, ids)
        except (ValueError, TypeError, ServiceError, DecodeError) as error:
            if not _is_about_the_name(error):
                raise
            if getattr(error, "code", "") == "BadRequestTagNameNotUnique":
                ids.update(await self._list())
                self._match_case_insensitive(name, ids)
            if name not in ids:
                self._refused[name] = UnknownTag(
                    f"the tag {_cut(name)} could not be created: {error}"
                )

    async def _create_once(self, name: str, ids: dict[str, str]) -> None:
        """Create a tag. After a lost response, list the tags, and create it at most once more.

        Creating a tag is not idempotent: a second request would fail, or create a second tag.
        """
        for last in (False, True):
            try:
                ids[name] = (await self._operations.create_tag(self._project_id, name)).id
                return
            except (TransportError, ServiceError, DecodeError) as error:
                if not _may_have_been_created(error):
                    raise
                ids.update(await self._list())
                if name in ids:
                    return
                if last or isinstance(error, ConnectError):
                    raise

    @staticmethod
    def _match_case_insensitive(name: str, ids: dict[str, str]) -> None:
        """Add `name` to `ids` as the tag whose name differs only in case.

        The service compares names without regard to case. It refuses `name` as taken, though no tag
        has exactly that name.
        """
        alike = [known for known in ids if known.casefold() == name.casefold()]
        if name not in ids and len(alike) == 1:
            ids[name] = ids[alike[0]]


def _may_have_been_created(error: Exception) -> bool:
    return not isinstance(error, ServiceError) or error.status >= 500 or error.status == 408


def _name_of(tag: object) -> str | None:
    """Return a name as plain text, else None. A subclass may hash and compare in its own way."""
    return str.__str__(tag) if isinstance(tag, str) else None


def _is_about_the_name(error: Exception) -> bool:
    """Return whether another tag may succeed, because only this one was refused."""
    return isinstance(error, InternalServerError) or classify_error(error) in _REFUSED


def _tags_in_words(ids: dict[str, str]) -> str:
    if not ids:
        return "it has no tags"
    names = ", ".join(_cut(name) for name in sorted(ids)[:10])
    return f"its tags are {names}" + (", ..." if len(ids) > 10 else "")


def _cut(name: str) -> str:
    if len(name) <= _MAX_SHOWN:
        return shown(name)
    return f"{shown(name[:_MAX_SHOWN])}... ({len(name):,} characters)"


def _is_uuid(text: str) -> bool:
    try:
        return len(text) >= 32 and bool(UUID(text))
    except ValueError:
        return False
