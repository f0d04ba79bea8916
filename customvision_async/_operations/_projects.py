"""The operations on projects and domains, and on the account in v1.2."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType

from msgspec import UNSET

from .._transport.base import Meter
from ..models import (
    Account,
    CreateProjectOptions,
    Domain,
    Id,
    Project,
    ProjectExport,
    ProjectSettings,
    ProjectSettingsUpdate,
    ProjectUpdate,
)
from ._call import Caller

__all__ = ["ProjectOperations"]


class ProjectOperations(Caller):
    """The operations on projects and domains."""

    async def get_account_info(self, *, meter: Meter | None = None) -> Account:
        """Return the owner of the key and the quotas (v1.2 only)."""
        return await self._call("GetAccountInfo", Account, meter=meter)

    async def get_domains(self, *, meter: Meter | None = None) -> list[Domain]:
        """Return the domains of the resource."""
        return await self._call("GetDomains", list[Domain], meter=meter)

    async def get_domain(self, domain_id: Id, *, meter: Meter | None = None) -> Domain:
        """Return a domain."""
        return await self._call("GetDomain", Domain, path={"domainId": domain_id}, meter=meter)

    async def get_projects(self, *, meter: Meter | None = None) -> list[Project]:
        """Return all projects of the resource."""
        return await self._call("GetProjects", list[Project], meter=meter)

    async def create_project(
        self,
        name: str,
        *,
        description: str | None = None,
        domain_id: Id | None = None,
        classification_type: str | None = None,
        target_export_platforms: Iterable[str] | None = None,
        export_model_container_uri: str | None = None,
        notification_queue_uri: str | None = None,
        meter: Meter | None = None,
    ) -> Project:
        """Create a project.

        If the name is taken, the service may choose another, which is in the response.
        `classification_type` needs v2.1, `target_export_platforms` v3.0, and the two URIs
        v3.4-preview.
        """
        query = {
            "name": name,
            "description": description,
            "domainId": domain_id,
            "classificationType": classification_type,
            "targetExportPlatforms": None
            if target_export_platforms is None
            else list(target_export_platforms) or None,
        }
        content = None
        if export_model_container_uri is not None or notification_queue_uri is not None:
            options = CreateProjectOptions(
                export_model_container_uri=UNSET
                if export_model_container_uri is None
                else export_model_container_uri,
                notification_queue_uri=UNSET
                if notification_queue_uri is None
                else notification_queue_uri,
            )
            content = self._json(options)
        return await self._call("CreateProject", Project, query=query, content=content, meter=meter)

    async def get_project(self, project_id: Id, *, meter: Meter | None = None) -> Project:
        """Return a project."""
        return await self._call("GetProject", Project, path={"projectId": project_id}, meter=meter)

    async def update_project(
        self,
        project_id: Id,
        updated_project: Project | ProjectUpdate,
        *,
        meter: Meter | None = None,
    ) -> Project:
        """Update the name, the description and the settings of a project."""
        update = (
            _project_update(updated_project)
            if isinstance(updated_project, Project)
            else updated_project
        )
        return await self._call(
            "UpdateProject",
            Project,
            path={"projectId": project_id},
            content=self._json(update),
            meter=meter,
        )

    async def delete_project(self, project_id: Id, *, meter: Meter | None = None) -> None:
        """Delete a project with all its contents.

        The service refuses to delete a project with a published iteration.
        """
        await self._call("DeleteProject", NoneType, path={"projectId": project_id}, meter=meter)

    async def get_artifact(self, project_id: Id, path: str, *, meter: Meter | None = None) -> bytes:
        """Return the file at a relative URI of a resource with a private network (since v3.3)."""
        return await self._call(
            "GetArtifact", bytes, path={"projectId": project_id}, query={"path": path}, meter=meter
        )

    async def export_project(self, project_id: Id, *, meter: Meter | None = None) -> ProjectExport:
        """Return a token by which another resource can import the project (since v3.2)."""
        return await self._call(
            "ExportProject", ProjectExport, path={"projectId": project_id}, meter=meter
        )

    async def import_project(
        self, token: str, *, name: str | None = None, meter: Meter | None = None
    ) -> Project:
        """Start to import a project by the token of its export (since v3.2; `name` since v3.3).

        The `status` in the response shows the state.
        """
        return await self._call(
            "ImportProject", Project, query={"token": token, "name": name}, meter=meter
        )


def _project_update(project: Project) -> ProjectUpdate:
    settings = UNSET if project.settings is None else _settings_update(project.settings)
    return ProjectUpdate(name=project.name, description=project.description, settings=settings)


def _settings_update(settings: ProjectSettings) -> ProjectSettingsUpdate:
    return ProjectSettingsUpdate(
        domain_id=UNSET if settings.domain_id is None else settings.domain_id,
        classification_type=UNSET
        if settings.classification_type is None
        else settings.classification_type,
        target_export_platforms=settings.target_export_platforms or UNSET,
        image_processing_settings=UNSET
        if settings.image_processing_settings is None
        else settings.image_processing_settings,
    )
