"""One training resource: its projects and domains, and the life of the connections to it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType

from .._events import Observer
from .._operations import Operations
from .._options import Concurrency, Retry, Timeouts
from .._paging import AsyncItemPaged, one_page
from .._polling import AsyncLROPoller, Polling
from .._project.client import ProjectClient
from .._transport.base import Transport
from .._transport.blob_reader import BlobHosts, BlobReader
from .._transport.credentials import KeyCredential, TokenCredential, sealed
from .._transport.download import Downloader
from .._versions import ApiVersion
from .._wire.request import id_of
from ..errors import NotFoundError
from ..models import (
    Classifier,
    Domain,
    ExportPlatform,
    Project,
    ProjectExport,
    ProjectSettings,
    ProjectSettingsUpdate,
    ProjectUpdate,
)
from .connection import Connection, from_env
from .project_import import ProjectImport

__all__ = ["TrainingClient"]


class TrainingClient:
    """One Custom Vision training resource.

    ::

        async with TrainingClient(endpoint, key) as training:
            orchard = await training.create_project("Orchard", domain="General")

    Args:
        endpoint: as the resource's page in the Azure portal gives it: ``https://<name>.cognitiveservices.azure.com``.
            https only; http for a literal loopback address (the emulator).
        credential: the training key, as a string or a :class:`KeyCredential` (which can be rotated), or anything with
            ``async get_token(...)`` such as the credentials of ``azure.identity.aio``.
        api_version: the version of the Training API to speak.
        retry, timeouts, concurrency: how it behaves; see these records for each default and its reason.
        ca_file: certificates to trust instead of the system's (a corporate proxy).
        observers: called with each event (requests, retries, chunks settled).
        blob_hosts: hosts that files may be downloaded from, besides Azure's blob stores and (for a client of an emulator) the endpoint's
            own loopback address: a host, the end of host names (".example.com"), or an origin ("http://127.0.0.1:40000"). Downloads never
            carry the credential.
        prediction_resource_id: where :meth:`ProjectClient.publish_iteration` publishes, unless told otherwise.
        transport: what carries requests, in place of aiohttp over the network. For tests.

    Nothing is sent and no connection is made before the first call. Close it with ``async with`` or :meth:`aclose`.

    Raises:
        ValueError: the endpoint or the key cannot be right; the message says why.
        TypeError: the credential is none.
    """

    def __init__(
        self,
        endpoint: str,
        credential: str | KeyCredential | TokenCredential,
        *,
        api_version: ApiVersion | str = ApiVersion.V3_3,
        retry: Retry | None = None,
        timeouts: Timeouts | None = None,
        concurrency: Concurrency | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        observers: Iterable[Observer] = (),
        blob_hosts: Iterable[str] = (),
        prediction_resource_id: str | None = None,
        transport: Transport | None = None,
    ) -> None:
        credential = sealed(credential)
        link = Connection(
            endpoint,
            credential,
            "Training-Key",
            retry=retry,
            timeouts=timeouts,
            concurrency=concurrency,
            ca_file=ca_file,
            ssl_context=ssl_context,
            observers=observers,
            transport=transport,
        )
        self.endpoint = link.endpoint
        """The endpoint in its plain form."""
        self.api_version = ApiVersion(api_version)
        """The version of the API that is spoken."""
        self._concurrency = link.concurrency
        self._observers = link.observers
        self._pipeline = link.pipeline
        self._prediction_resource_id = prediction_resource_id
        hosts = BlobHosts(blob_hosts, endpoint=self.endpoint)
        self._downloads = Downloader(BlobReader(hosts, timeouts, link.ssl_context), retry)
        self.operations = Operations(self._pipeline, self.endpoint, self.api_version)
        """The REST calls themselves, one coroutine each, named after their operationIds: one request, whose limits are yours to mind."""

    @classmethod
    def from_env(cls, **options: Any) -> TrainingClient:
        """A client for the resource that VISION_TRAINING_ENDPOINT and VISION_TRAINING_KEY name, as Microsoft's quickstarts call them.

        VISION_PREDICTION_RESOURCE_ID, if it is set, is where iterations are published.

        Raises:
            LookupError: one of them is not set.
        """
        options.setdefault(
            "prediction_resource_id",
            os.environ.get("VISION_PREDICTION_RESOURCE_ID", "").strip() or None,
        )
        return from_env(cls, ("VISION_TRAINING_ENDPOINT", "VISION_TRAINING_KEY"), options)

    def __repr__(self) -> str:
        return f"<TrainingClient {getattr(self, 'endpoint', '(not made)')}>"  # one that failed to be made is shown by tracebacks

    async def __aenter__(self) -> TrainingClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        try:
            await self._pipeline.aclose()
        finally:
            await self._downloads.aclose()

    # --- projects

    async def create_project(
        self,
        name: str,
        domain: str | UUID | Domain | None = None,
        *,
        description: str | None = None,
        classification_type: str | None = None,
        **options: Any,
    ) -> ProjectClient:
        """Make a project. Where the name is taken the service picks another ("Orchard (1)"): see `.name` of the result.

        Args:
            name: what to call it.
            domain: the name of a domain ("General", "Food (compact)"), its id or its model; the service's default if left out. A name that
                both kinds have ("General") is that of classification: "General" for detection is ``"ObjectDetection/General"``.
            description: for people.
            classification_type: "Multiclass" (one tag an image) or "Multilabel", for classification (since v2.1).
            options: further parameters of the operation; see ``operations.create_project``.

        Not sent again after a lost answer: list the projects to see.

        Raises:
            LookupError: there is no such domain; the message names those there are.
        """
        domain_id = None if domain is None else await self._domain_id(domain)
        made = await self.operations.create_project(
            name,
            description=description,
            domain_id=domain_id,
            classification_type=classification_type,
            **options,
        )
        return self._project(made.id, made.name)

    def get_project_client(self, project: str | UUID | Project) -> ProjectClient:
        """The client of the project with that id. Nothing is sent."""
        return self._project(
            id_of(project, "project"), project.name if isinstance(project, Project) else None
        )

    async def find_project(self, name_or_id: str | UUID | Project) -> ProjectClient:
        """The client of a project that is there, by name or id. A string is a name first.

        Raises:
            NotFoundError: there is none; the message names those there are.
            LookupError: several have that name; the message gives their ids.
        """
        projects = await self.operations.get_projects()
        wanted = name_or_id.id if isinstance(name_or_id, Project) else str(name_or_id)
        found = [project for project in projects if project.name == wanted] or [
            project for project in projects if project.id == wanted.lower()
        ]
        if not found:
            names = ", ".join(repr(project.name) for project in projects[:10]) + (
                ", ..." if len(projects) > 10 else ""
            )
            there = f"there are {names}" if projects else "there are none"
            raise NotFoundError(
                f"no project {wanted!r} ({there})",
                status=404,
                code="NotFoundProject",
                operation="GetProjects",
            )
        if len(found) > 1:
            raise LookupError(
                f"{len(found)} projects are called {wanted!r}; give an id: {', '.join(project.id for project in found)}"
            )
        return self._project(found[0].id, found[0].name)

    def list_projects(self) -> AsyncItemPaged[Project]:
        """The projects of the resource, all at once."""
        return AsyncItemPaged(lambda: one_page(self.operations.get_projects))

    async def get_project(self, project: str | UUID | Project | ProjectClient) -> Project:
        """A project by id, as the service has it now."""
        return await self.operations.get_project(id_of(project, "project"))

    async def update_project(
        self,
        project: str | UUID | Project | ProjectClient,
        *,
        name: str | None = None,
        description: str | None = None,
        domain: str | UUID | Domain | None = None,
        classification_type: Classifier | str | None = None,
        export_platforms: Iterable[ExportPlatform | str] | None = None,
    ) -> Project:
        """Change what is given of a project, and leave the rest. `domain` is as for :meth:`create_project`.

        Args:
            project: which.
            name, description: what to call it.
            domain: of the same kind as before.
            classification_type: "Multiclass" or "Multilabel" (since v2.1).
            export_platforms: what iterations are to be exported for, of a compact domain (since v3.0).

        Raises:
            LookupError: there is no such domain.
        """
        now = await self.operations.get_project(id_of(project, "project"))
        settings: ProjectSettingsUpdate | UnsetType = UNSET
        if domain is not None or classification_type is not None or export_platforms is not None:
            old = now.settings or ProjectSettings()
            domain_id = old.domain_id if domain is None else await self._domain_id(domain)
            kind = (
                old.classification_type
                if classification_type is None
                else Classifier(classification_type)
            )
            platforms = (
                old.target_export_platforms
                if export_platforms is None
                else tuple(map(ExportPlatform, export_platforms))
            )
            settings = ProjectSettingsUpdate(
                domain_id=UNSET if domain_id is None else domain_id,
                classification_type=UNSET if kind is None else kind,
                target_export_platforms=platforms
                if platforms or export_platforms is not None
                else UNSET,
            )
        update = ProjectUpdate(
            name=now.name if name is None else name,
            description=now.description if description is None else description,
            settings=settings,
        )
        return await self.operations.update_project(now.id, update)

    async def delete_project(self, project: str | UUID | Project | ProjectClient) -> None:
        """Delete a project with all its images. The service asks nothing and undoes nothing."""
        await self.operations.delete_project(id_of(project, "project"))

    def begin_import(
        self,
        token: str | ProjectExport,
        *,
        name: str | None = None,
        wait: bool = True,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Project, ProjectClient]:
        """Import a project that was exported, here or from another resource (since v3.2): ``project = await training.begin_import(token)``.

        Args:
            token: what :meth:`ProjectClient.export_project` gave, or the token in it.
            name: what to call it (since v3.3); as it was called unless given. Where the name is taken the service picks another.
            wait: False, and awaiting the poller begins the import and does not wait for its end.
            polling: how often to look.

        A lost answer is resolved by listing the projects.

        Raises (when awaited):
            BadRequestError: code BadRequestInvalidImportToken: the token is of nowhere, or over a day old.
            OperationFailed: the import failed.
        """
        text = token.token if isinstance(token, ProjectExport) else token
        work = ProjectImport(self.operations, self._imported, token=text, name=name)
        return AsyncLROPoller(work, polling, wait=wait)

    def resume_import(
        self, project: str | UUID | Project, *, polling: Polling | None = None
    ) -> AsyncLROPoller[Project, ProjectClient]:
        """Wait for an import that was begun before, here or elsewhere: the poller's `id` is the project's."""
        return AsyncLROPoller(
            ProjectImport(self.operations, self._imported, project=id_of(project, "project")),
            polling,
        )

    def _imported(self, project: Project) -> ProjectClient:
        return self._project(project.id, project.name)

    # --- domains

    def list_domains(self) -> AsyncItemPaged[Domain]:
        """The domains a project can be built on."""
        return AsyncItemPaged(lambda: one_page(self.operations.get_domains))

    async def get_domain(self, domain: str | UUID | Domain) -> Domain:
        """A domain by id."""
        return await self.operations.get_domain(id_of(domain, "domain"))

    async def _domain_id(self, domain: str | UUID | Domain) -> str:
        if isinstance(domain, (UUID, Domain)):
            return id_of(domain, "domain")
        domains = await self.operations.get_domains()
        kind, slash, name = domain.rpartition("/")
        for one in domains:
            if one.name == name and (not slash or one.type == kind):
                return one.id
        try:
            return str(UUID(domain))
        except ValueError:
            names = ", ".join(f"{one.type}/{one.name}" if one.type else one.name for one in domains)
            raise LookupError(f"no domain {domain!r}; there are {names}") from None

    def _project(self, project_id: str, name: str | None) -> ProjectClient:
        return ProjectClient(
            self.operations,
            project_id,
            name=name,
            concurrency=self._concurrency,
            observers=self._observers,
            downloads=self._downloads,
            prediction_resource_id=self._prediction_resource_id,
        )
