"""The operations on the tags of a project."""

from __future__ import annotations

from types import NoneType

from msgspec import UNSET

from .._transport.base import Meter
from .._versions import ApiVersion
from ..models import Id, Tag, TagUpdate
from ._call import Caller

__all__ = ["TagOperations"]


class TagOperations(Caller):
    """The operations on tags."""

    async def get_tags(
        self, project_id: Id, *, iteration_id: Id | None = None, meter: Meter | None = None
    ) -> list[Tag]:
        """Return all tags of a project, or of one of its iterations."""
        return await self._call(
            "GetTags",
            list[Tag],
            path={"projectId": project_id},
            query={"iterationId": iteration_id},
            meter=meter,
        )

    async def create_tag(
        self,
        project_id: Id,
        name: str,
        *,
        description: str | None = None,
        type: str | None = None,
        meter: Meter | None = None,
    ) -> Tag:
        """Create a tag with a new name.

        `type` needs v2.2: "Regular", "Negative", and from v3.3 "GeneralProduct".
        """
        query = {"name": name, "description": description, "type": type}
        return await self._call(
            "CreateTag", Tag, path={"projectId": project_id}, query=query, meter=meter
        )

    async def get_tag(
        self,
        project_id: Id,
        tag_id: Id,
        *,
        iteration_id: Id | None = None,
        meter: Meter | None = None,
    ) -> Tag:
        """Return a tag."""
        path = {"projectId": project_id, "tagId": tag_id}
        return await self._call(
            "GetTag", Tag, path=path, query={"iterationId": iteration_id}, meter=meter
        )

    async def update_tag(
        self,
        project_id: Id,
        tag_id: Id,
        updated_tag: Tag | TagUpdate,
        *,
        meter: Meter | None = None,
    ) -> Tag:
        """Update the name, the description and the type (since v2.2) of a tag."""
        update = updated_tag
        if isinstance(update, Tag):
            has_type = self.version >= ApiVersion.V2_2
            update = TagUpdate(
                name=update.name,
                description=update.description,
                type=update.type if has_type else UNSET,
            )
        path = {"projectId": project_id, "tagId": tag_id}
        return await self._call(
            "UpdateTag", Tag, path=path, content=self._json(update), meter=meter
        )

    async def delete_tag(self, project_id: Id, tag_id: Id, *, meter: Meter | None = None) -> None:
        """Delete a tag. Its images stay."""
        await self._call(
            "DeleteTag", NoneType, path={"projectId": project_id, "tagId": tag_id}, meter=meter
        )
