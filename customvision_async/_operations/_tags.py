"""The operations on the tags of a project."""

from __future__ import annotations

from typing import cast

from msgspec import UNSET

from .._versions import ApiVersion
from ..models import Id, Tag, TagUpdate
from ._call import Caller

__all__ = ["TagOperations"]


class TagOperations(Caller):
    """See the module."""

    async def get_tags(self, project_id: Id, *, iteration_id: Id | None = None) -> list[Tag]:
        """All tags of a project, or of one of its iterations."""
        return cast(
            "list[Tag]",
            (
                await self.call(
                    "GetTags", path={"projectId": project_id}, query={"iterationId": iteration_id}
                )
            ).value,
        )

    async def create_tag(
        self, project_id: Id, name: str, *, description: str | None = None, type: str | None = None
    ) -> Tag:
        """Create a tag; its name must be new. `type` needs v2.2: "Regular", "Negative", and from v3.3 "GeneralProduct"."""
        query = {"name": name, "description": description, "type": type}
        return cast(
            Tag, (await self.call("CreateTag", path={"projectId": project_id}, query=query)).value
        )

    async def get_tag(self, project_id: Id, tag_id: Id, *, iteration_id: Id | None = None) -> Tag:
        """One tag."""
        path = {"projectId": project_id, "tagId": tag_id}
        return cast(
            Tag, (await self.call("GetTag", path=path, query={"iterationId": iteration_id})).value
        )

    async def update_tag(self, project_id: Id, tag_id: Id, updated_tag: Tag | TagUpdate) -> Tag:
        """Change a tag. Of a Tag, what can be changed is sent: its name, description and type (from v2.2)."""
        update = updated_tag
        if isinstance(update, Tag):
            has_type = self.version >= ApiVersion.V2_2
            update = TagUpdate(
                name=update.name,
                description=update.description,
                type=update.type if has_type else UNSET,
            )
        path = {"projectId": project_id, "tagId": tag_id}
        return cast(
            Tag, (await self.call("UpdateTag", path=path, content=self._json(update))).value
        )

    async def delete_tag(self, project_id: Id, tag_id: Id) -> None:
        """Delete a tag; images that had it stay."""
        await self.call("DeleteTag", path={"projectId": project_id, "tagId": tag_id})
