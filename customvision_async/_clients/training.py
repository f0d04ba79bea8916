"""The client of a training resource: its projects and domains."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable
from random import Random
from types import TracebackType
from typing import Self, TypedDict, Unpack
from uuid import UUID

from msgspec import UNSET, UnsetType

from .._events import Observer
from .._operations import Operations
from .._options import Concurrency, Retry, Timeouts
from .._paging import AsyncItemPaged, one_page
from .._polling import AsyncLROPoller, Polling
from .._project.client import ProjectClient, ProjectLike
from .._transport.base import Transport
from .._transport.blob_reader import BlobHosts, BlobReader
from .._transport.credentials import KeyCredential, TokenCredential, mask_secret
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
from .azure import BLOB_HOSTS
from .connection import Connection, ConnectionOptions, from_env
from .project_import import ProjectImport

__all__ = ["TrainingClient"]


class TrainingOptions(ConnectionOptions, total=False):
    """The options of a :class:`TrainingClient`."""

    api_version: ApiVersion | str
    blob_hosts: Iterable[str]
    prediction_resource_id: str | None


class _NewProject(TypedDict, total=False):
    """The optional properties of a new project."""

    description: str | None
    classification_type: Classifier | str | None
    target_export_platforms: Iterable[ExportPlatform | str] | None
    export_model_container_uri: str | None
    notification_queue_uri: str | None


class TrainingClient:
    """A client of one Custom Vision training resource.

    ::

        async with TrainingClient(endpoint, key) as training:
            orchard = await training.create_project("Orchard", domain="General")

    The client connects on the first request. Close it with ``async with`` or :meth:`aclose`.

    Args:
        endpoint: Endpoint of the resource, from its page in the Azure portal:
            ``https://<name>.cognitiveservices.azure.com``. Only https is allowed, except for a
            literal loopback address (the emulator).
        credential: Training key (a string, or a :class:`KeyCredential`, which can be rotated), or
            an object with ``async get_token(...)``, such as one of ``azure.identity.aio``.
        api_version: Version of the training API.
        retry: When to retry requests. See :class:`Retry`.
        timeouts: Timeouts of the phases of a request. See :class:`Timeouts`.
        concurrency: Limits on concurrent work. See :class:`Concurrency`.
        ca_file: Certificates to trust instead of those of the system, for a corporate proxy.
        ssl_context: TLS context to use instead of one with `ca_file`.
        observers: Called with each :data:`Event`.
        blob_hosts: Further hosts to download files from: a host, a suffix of host names
            (".example.com") or an origin ("http://127.0.0.1:40000"). Azure's blob stores are always
            allowed, and so is the loopback address of an emulator endpoint. Downloads never carry
            the credential.
        prediction_resource_id: Default resource for :meth:`ProjectClient.publish_iteration`.
        transport: Transport to use instead of aiohttp, for tests.

    Raises:
        ValueError: The endpoint or the key is invalid.
        TypeError: `credential` is not a credential.
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
        # Private, for tests that run in virtual time.
        _rng: Random | None = None,
        _clock: Callable[[], float] = time.time,
    ) -> None:
        credential = mask_secret(credential)
        connection = Connection(
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
            rng=_rng,
            clock=_clock,
        )
        self.endpoint: str = connection.endpoint
        """The normalized endpoint."""
        self.api_version: ApiVersion = ApiVersion(api_version)
        """The version of the training API."""
        self._concurrency = connection.concurrency
        self._observers = connection.observers
        self._pipeline = connection.pipeline
        self._prediction_resource_id = prediction_resource_id
        hosts = BlobHosts(blob_hosts, suffixes=BLOB_HOSTS, endpoint=self.endpoint)
        self._downloads = Downloader(BlobReader(hosts, timeouts, connection.ssl_context), retry)
        self.operations: Operations = Operations(self._pipeline, self.endpoint, self.api_version)
        """The REST operations: one coroutine per operation, which sends one request.

        They do not split requests that exceed a limit of the service.
        """

    @classmethod
    def from_env(cls, **options: Unpack[TrainingOptions]) -> Self:
        """Return a client configured by environment variables.

        It reads VISION_TRAINING_ENDPOINT, VISION_TRAINING_KEY and, as `prediction_resource_id`,
        the optional VISION_PREDICTION_RESOURCE_ID. Microsoft's quickstarts use the same names.

        Raises:
            LookupError: The endpoint or the key is not set.
        """
        options.setdefault(
            "prediction_resource_id",
            os.environ.get("VISION_PREDICTION_RESOURCE_ID", "").strip() or None,
        )
        return cls(*from_env("VISION_TRAINING_ENDPOINT", "VISION_TRAINING_KEY"), **options)

    def __repr__(self) -> str:
        # A client whose constructor failed has no endpoint, and may appear in a traceback.
        return f"<TrainingClient {getattr(self, 'endpoint', '(not made)')}>"

    async def __aenter__(self) -> Self:
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
        classification_type: Classifier | str | None = None,
        target_export_platforms: Iterable[ExportPlatform | str] | None = None,
        export_model_container_uri: str | None = None,
        notification_queue_uri: str | None = None,
    ) -> ProjectClient:
        """Create a project and return its client.

        If the name is taken, the service chooses another ("Orchard (1)"). See `name` of the result.
        The request is not retried after its response was lost. List the projects to find out
        whether the project was created.

        Args:
            name: Name of the project.
            domain: Name of a domain ("General", "Food (compact)"), its id or its model. Defaults to
                the default of the service. A name that exists for both types means the
                classification domain. Use ``"ObjectDetection/General"`` for detection.
            description: Description of the project.
            classification_type: "Multiclass" (one tag per image) or "Multilabel", for
                classification (since v2.1).
            target_export_platforms: Platforms to export iterations for (since v3.0).
            export_model_container_uri, notification_queue_uri: URIs in Azure storage (since
                v3.4-preview).

        Raises:
            LookupError: No such domain. The message lists the domains.
        """
        domain_id = None if domain is None else await self._domain_id(domain)
        project = await self.operations.create_project(
            name,
            description=description,
            domain_id=domain_id,
            classification_type=classification_type,
            target_export_platforms=target_export_platforms,
            export_model_container_uri=export_model_container_uri,
            notification_queue_uri=notification_queue_uri,
        )
        return self._project(project.id, project.name)

    async def find_or_create_project(
        self, name: str, domain: str | UUID | Domain | None = None, **options: Unpack[_NewProject]
    ) -> ProjectClient:
        """Return the client of the project with this name, and create it if there is none.

        If another program creates the project at the same time, both get the same one.

        Args:
            name: Name of the project.
            domain: Domain of a new project. See :meth:`create_project`.
            options: Further properties of a new project. See :meth:`create_project`.

        Raises:
            LookupError: Several projects have that name, or there is no such domain.
            ValueError: The project exists with another domain than `domain`.
        """
        existing = [one for one in await self.operations.get_projects() if one.name == name]
        if not existing:
            created = await self.create_project(name, domain, **options)
            if created.name == name:
                return created
            if not any(one.name == name for one in await self.operations.get_projects()):
                # The service changed the name for another reason than that it was taken.
                return created
            # Another program was first.
            await self.operations.delete_project(created.id)
        project = await self.find_project(name)
        if existing and domain is not None:
            await self._check_domain(existing[0], domain)
        return project

    async def _check_domain(self, project: Project, domain: str | UUID | Domain) -> None:
        wanted = await self._domain_id(domain)
        actual = project.settings.domain_id if project.settings else None
        if actual is not None and actual.lower() != str(wanted).lower():
            raise ValueError(
                f"the project {project.name!r} exists with the domain {actual}, not {wanted}:"
                " give another name, or change it with update_project"
            )

    def get_project_client(self, project: str | UUID | Project) -> ProjectClient:
        """Return the client of a project, without a request. `project` is an id or a model."""
        return self._project(
            id_of(project, "project"), project.name if isinstance(project, Project) else None
        )

    async def find_project(self, name_or_id: str | UUID | Project) -> ProjectClient:
        """Return the client of an existing project.

        Args:
            name_or_id: Name, id or model of the project. A name takes precedence over an id.

        Raises:
            NotFoundError: No such project. The message lists some projects.
            LookupError: Several projects have that name. The message lists their ids.
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
            existing = f"there are {names}" if projects else "the resource has no projects"
            raise NotFoundError(
                f"no project {wanted!r} ({existing})",
                status=200,
                operation="GetProjects",
            )
        if len(found) > 1:
            raise LookupError(
                f"{len(found)} projects have the name {wanted!r}; "
                f"give an id: {', '.join(project.id for project in found)}"
            )
        return self._project(found[0].id, found[0].name)

    def list_projects(self) -> AsyncItemPaged[Project]:
        """List the projects of the resource, in a single page."""
        return AsyncItemPaged(lambda: one_page(self.operations.get_projects))

    async def get_project(self, project: ProjectLike) -> Project:
        """Return the current state of a project."""
        return await self.operations.get_project(id_of(project, "project"))

    async def update_project(
        self,
        project: ProjectLike,
        *,
        name: str | None = None,
        description: str | None = None,
        domain: str | UUID | Domain | None = None,
        classification_type: Classifier | str | None = None,
        export_platforms: Iterable[ExportPlatform | str] | None = None,
    ) -> Project:
        """Update a project and return it. Properties that are None stay unchanged.

        Args:
            project: Project, its client or its id.
            name: New name.
            description: New description.
            domain: New domain, of the same type as before. See :meth:`create_project`.
            classification_type: "Multiclass" or "Multilabel" (since v2.1).
            export_platforms: Target platforms for exports, for a compact domain (since v3.0).

        Raises:
            LookupError: No such domain.
        """
        current = await self.operations.get_project(id_of(project, "project"))
        settings: ProjectSettingsUpdate | UnsetType = UNSET
        if domain is not None or classification_type is not None or export_platforms is not None:
            old = current.settings or ProjectSettings()
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
            name=current.name if name is None else name,
            description=current.description if description is None else description,
            settings=settings,
        )
        return await self.operations.update_project(current.id, update)

    async def delete_project(self, project: ProjectLike) -> None:
        """Delete a project with all its images. Irreversible, and without confirmation."""
        await self.operations.delete_project(id_of(project, "project"))

    def begin_import(
        self,
        token: str | ProjectExport,
        *,
        name: str | None = None,
        wait: bool = True,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Project, ProjectClient]:
        """Import a project that this or another resource exported (since v3.2).

        Await the poller to get the client of the new project::

            project = await training.begin_import(token)

        If a response is lost, the projects are listed to find out whether the import has started.

        Args:
            token: Result of :meth:`ProjectClient.export_project`, or its token.
            name: Name of the new project (since v3.3). Defaults to the name of the exported
                project. If the name is taken, the service chooses another.
            wait: Whether awaiting the poller waits for the end of the import, not only its start.
            polling: How often to poll.

        Raises (when awaited):
            BadRequestError: With code BadRequestInvalidImportToken: the token is unknown, or more
                than a day old.
            OperationFailed: The import failed.
        """
        import_token = token.token if isinstance(token, ProjectExport) else token
        method = ProjectImport(self.operations, self._imported, token=import_token, name=name)
        return AsyncLROPoller(method, polling, wait=wait)

    def resume_import(
        self, project: str | UUID | Project, *, polling: Polling | None = None
    ) -> AsyncLROPoller[Project, ProjectClient]:
        """Resume waiting for an import that was started earlier, here or in another program.

        `project` is the `id` of the earlier poller, which is the id of the new project.
        """
        return AsyncLROPoller(
            ProjectImport(self.operations, self._imported, project=id_of(project, "project")),
            polling,
        )

    def _imported(self, project: Project) -> ProjectClient:
        return self._project(project.id, project.name)

    # --- domains

    def list_domains(self) -> AsyncItemPaged[Domain]:
        """List the domains that a project can be based on."""
        return AsyncItemPaged(lambda: one_page(self.operations.get_domains))

    async def get_domain(self, domain: str | UUID | Domain) -> Domain:
        """Return a domain by its id or model."""
        return await self.operations.get_domain(id_of(domain, "domain"))

    async def _domain_id(self, domain: str | UUID | Domain) -> str:
        """Return the id of a domain. See :meth:`create_project` for its forms."""
        if isinstance(domain, (UUID, Domain)):
            return id_of(domain, "domain")
        domains = await self.operations.get_domains()
        kind, slash, name = domain.rpartition("/")
        for candidate in domains:
            if candidate.name == name and (not slash or candidate.type == kind):
                return candidate.id
        try:
            return str(UUID(domain))
        except ValueError:
            names = ", ".join(
                f"{known.type}/{known.name}" if known.type else known.name for known in domains
            )
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
