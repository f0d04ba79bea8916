"""The operations on projects, domains and, in v1.2, the account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import UNSET

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
    """See the module."""

    async def get_account_info(self) -> Account:
        """Who the key belongs to, with quotas (v1.2 alone)."""
        return cast(Account, (await self.call("GetAccountInfo")).value)

    async def get_domains(self) -> list[Domain]:
        """The domains a project can be built on."""
        return cast("list[Domain]", (await self.call("GetDomains")).value)

    async def get_domain(self, domain_id: Id) -> Domain:
        """One domain."""
        return cast(Domain, (await self.call("GetDomain", path={"domainId": domain_id})).value)

    async def get_projects(self) -> list[Project]:
        """All projects of the resource."""
        return cast("list[Project]", (await self.call("GetProjects")).value)

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
    ) -> Project:
        """Create a project. Where the name is taken, the service may give the new one another: read it from the answer.

        `classification_type` needs v2.1, `target_export_platforms` v3.0, the two URIs v3.4-preview.
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
        return cast(Project, (await self.call("CreateProject", query=query, content=content)).value)

    async def get_project(self, project_id: Id) -> Project:
        """One project."""
        return cast(Project, (await self.call("GetProject", path={"projectId": project_id})).value)

    async def update_project(
        self, project_id: Id, updated_project: Project | ProjectUpdate
    ) -> Project:
        """Change a project. Of a Project, what can be changed is sent: its name, description and settings."""
        update = (
            _project_update(updated_project)
            if isinstance(updated_project, Project)
            else updated_project
        )
        return cast(
            Project,
            (
                await self.call(
                    "UpdateProject", path={"projectId": project_id}, content=self._json(update)
                )
            ).value,
        )

    async def delete_project(self, project_id: Id) -> None:
        """Delete a project with all that is in it. One with a published iteration is refused."""
        await self.call("DeleteProject", path={"projectId": project_id})

    async def get_artifact(self, project_id: Id, path: str) -> bytes:
        """The file behind a relative URI of a resource with a private network (since v3.3)."""
        return cast(
            bytes,
            (
                await self.call("GetArtifact", path={"projectId": project_id}, query={"path": path})
            ).value,
        )

    async def export_project(self, project_id: Id) -> ProjectExport:
        """A token by which the project can be imported elsewhere (since v3.2)."""
        return cast(
            ProjectExport, (await self.call("ExportProject", path={"projectId": project_id})).value
        )

    async def import_project(self, token: str, *, name: str | None = None) -> Project:
        """Begin to import a project by the token of its export (since v3.2; `name` since v3.3). See the answer's `status`."""
        return cast(
            Project, (await self.call("ImportProject", query={"token": token, "name": name})).value
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
