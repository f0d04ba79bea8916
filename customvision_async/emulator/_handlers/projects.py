"""Projects, domains and the account."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import json
from typing import Any

from ..._versions import ApiVersion as V
from .._api_request import ApiRequest, ApiResponse, handles
from .._bodies import field, list_field, match_any_case, text_field
from .._domains import DOMAINS, GENERAL, Domain
from .._resource import Resource
from .._service_fault import ACCESS_DENIED, GatewayFault, ServiceFault
from .._views import domain_json, project_json

_PLATFORMS = ("CoreML", "TensorFlow", "DockerFile", "ONNX", "VAIDK", "OpenVino")
_STORAGE = ("exportModelContainerUri", "notificationQueueUri")


@handles("GetDomains")
def get_domains(request: ApiRequest) -> ApiResponse:
    """Return all domains. v1.2 has no object detection."""
    newer = request.resource.switches.newer_domains
    known = [
        domain
        for domain in DOMAINS
        if (newer or not domain.newer) and (request.version >= V.V2_0 or not domain.detects)
    ]
    return ApiResponse(value=[domain_json(domain, request.version) for domain in known])


@handles("GetDomain")
def get_domain(request: ApiRequest) -> ApiResponse:
    """Return one domain."""
    request.key("domainId")
    return ApiResponse(
        value=domain_json(request.resource.domain(request.match.path["domainId"]), request.version)
    )


@handles("GetAccountInfo")
def get_account_info(request: ApiRequest) -> ApiResponse:
    """Return keys and quotas (v1.2 only)."""
    return ApiResponse(value=request.resource.account())


@handles("GetProjects")
def get_projects(request: ApiRequest) -> ApiResponse:
    """Return all projects in SQL Server's order of their ids."""
    rows = request.resource.state.rows("SELECT * FROM projects ORDER BY id")
    return ApiResponse(value=[project_json(request.resource, row, request.version) for row in rows])


@handles("GetProject")
def get_project(request: ApiRequest) -> ApiResponse:
    """Return one project."""
    return ApiResponse(
        value=project_json(
            request.resource, request.resource.project(request.key("projectId")), request.version
        )
    )


def free_name(resource: Resource, name: str) -> str:
    """Return `name`, or if it is taken the first free numbered one, such as "Orchard (1)"."""
    taken = {row[0].lower() for row in resource.state.rows("SELECT name FROM projects")}
    if name.lower() not in taken:
        return name
    return next(
        f"{name} ({number})"
        for number in range(1, len(taken) + 2)
        if f"{name} ({number})".lower() not in taken
    )


def check_project_quota(resource: Resource) -> None:
    """Raise a fault if the resource has the maximum number of projects of its tier."""
    count = resource.state.scalar("SELECT count(*) FROM projects")
    if count >= resource.quota.projects:
        if resource.switches.quota_is_401:
            raise GatewayFault(401, ACCESS_DENIED, reason="Access Denied")
        raise ServiceFault(
            "BadRequestExceedProjectLimit",
            f"You have reached the limit of {count} projects of your pricing tier.",
        )


def _wanted_domain(resource: Resource, id: str | None) -> Domain:
    if not id:
        return GENERAL
    try:
        return resource.domain(id)
    except ServiceFault:
        raise ServiceFault(
            "BadRequestProjectUnknownDomain",
            f"The domain id {id} is unknown. GetDomains lists the ids.",
        ) from None


def _classification(domain: Domain, given: str | None) -> str | None:
    if domain.detects:
        return None
    known = {"multilabel": "Multilabel", "multiclass": "Multiclass"}
    found = known.get((given or "Multilabel").lower())
    if found is None:
        raise ServiceFault(
            "BadRequestProjectUnknownClassification",
            f"Unknown classification type '{given}'. Use Multiclass or Multilabel.",
        )
    return found


def _platforms(given: list[Any]) -> str:
    found = [match_any_case(str(platform), _PLATFORMS) for platform in given]
    for platform, known in zip(given, found, strict=True):
        if known is None:
            raise ServiceFault(
                "BadRequestProjectUnsupportedExportPlatform",
                f"Unsupported export platform '{platform}'.",
            )
    return json.dumps(found)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 256:
        raise ServiceFault(
            "BadRequestProjectName", "The project name must have 1 to 256 characters."
        )
    return name


@handles("CreateProject")
def create_project(request: ApiRequest) -> ApiResponse:
    """Create a project from the query. A name that is taken gets a number."""
    resource, state = request.resource, request.resource.state
    name = _name(request.text("name"))
    domain = _wanted_domain(resource, request.text("domainId"))
    kind = _classification(domain, request.text("classificationType"))
    platforms = request.texts("targetExportPlatforms")
    check_project_quota(resource)
    key, now = state.ids.key(), state.clock.now()
    state.db.execute(
        "INSERT INTO projects (id, name, description, domain, classification, platforms, "
        "options, created, modified, ready,"
        " workspace, workspace_since) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",
        (
            key,
            free_name(resource, name),
            request.text("description") or "",
            domain.id,
            kind,
            _platforms(platforms),
            json.dumps(_storage(request)),
            now,
            now,
            state.ids.key(),
            now,
        ),
    )
    return ApiResponse(value=project_json(resource, resource.project(key), request.version))


def _storage(request: ApiRequest) -> dict[str, str]:
    """Return the storage addresses of a new project: from the query in v3.3, the body in
    v3.4-preview.
    """
    options: dict[str, str] = {}
    for name in _STORAGE if request.version >= V.V3_3 else ():
        given = text_field(request.json, name) if request.version >= V.V3_4_PREVIEW else None
        if given or request.text(name):
            options[name] = given or request.text(name) or ""
    return options


@handles("UpdateProject")
def update_project(request: ApiRequest) -> ApiResponse:
    """Change name, description or settings. Members that the body omits stay unchanged."""
    resource, body = request.resource, request.json
    row = resource.project(request.key("projectId"))
    name, description, settings = (
        text_field(body, "name"),
        text_field(body, "description"),
        field(body, "settings"),
    )
    name = row["name"] if name is None else _name(name)
    if resource.state.scalar(
        "SELECT 1 FROM projects WHERE lower(name) = lower(?) AND id <> ?", name, row["id"]
    ):
        raise ServiceFault(
            "BadRequestProjectNameNotUnique", f"A project named '{name}' already exists."
        )
    domain = _wanted_domain(resource, text_field(settings, "domainId") or row["domain"])
    if domain.detects != resource.domain(row["domain"]).detects:
        raise ServiceFault(
            "BadRequestProjectUnsupportedDomainTypeChange",
            "A project cannot change between classification and detection.",
        )
    kind = _classification(
        domain, text_field(settings, "classificationType") or row["classification"]
    )
    targets = (
        list_field(settings, "targetExportPlatforms")
        if field(settings, "targetExportPlatforms") is not None
        else None
    )
    options = json.loads(row["options"])
    augmentations = field(field(settings, "imageProcessingSettings"), "augmentationMethods")
    if augmentations is not None:
        options["augmentationMethods"] = _augmentations(augmentations)
    resource.state.db.execute(
        "UPDATE projects SET name = ?, description = ?, domain = ?, classification = ?, "
        "platforms = ?, options = ?, modified = ?"
        " WHERE id = ?",
        (
            name,
            row["description"] if description is None else description,
            domain.id,
            kind,
            row["platforms"] if targets is None else _platforms(targets),
            json.dumps(options),
            resource.state.clock.now(),
            row["id"],
        ),
    )
    return ApiResponse(value=project_json(resource, resource.project(row["id"]), request.version))


def _augmentations(given: Any) -> dict[str, bool]:
    """Return the augmentation methods of a body, each on or off."""
    if not isinstance(given, dict) or not all(isinstance(on, bool) for on in given.values()):
        raise ServiceFault("BadRequest", "augmentationMethods must be an object of true and false.")
    return given


@handles("DeleteProject")
def delete_project(request: ApiRequest) -> ApiResponse:
    """Delete a project with its content. Reject a project with a published iteration."""
    resource, db = request.resource, request.resource.state.db
    key = resource.project(request.key("projectId"))["id"]
    if resource.state.scalar(
        "SELECT 1 FROM iterations WHERE project = ? AND publish_name IS NOT NULL", key
    ):
        raise ServiceFault(
            "BadRequestIterationIsPublished",
            "The project has a published iteration. Unpublish it before deleting the project.",
        )
    digests = {
        row[0]
        for table in ("images", "predictions")
        for row in db.execute(f"SELECT digest FROM {table} WHERE project = ?", (key,))
    }
    for table in ("image_tags", "regions"):
        db.execute(
            f"DELETE FROM {table} WHERE image IN (SELECT id FROM images WHERE project = ?)", (key,)
        )
    for table in ("iteration_images", "exports"):
        db.execute(
            f"DELETE FROM {table} WHERE iteration IN (SELECT id FROM iterations WHERE project = ?)",
            (key,),
        )
    for table in ("images", "tags", "iterations", "predictions"):
        db.execute(f"DELETE FROM {table} WHERE project = ?", (key,))
    db.execute("DELETE FROM projects WHERE id = ?", (key,))
    resource.delete_orphans(digests)
    return ApiResponse(204)
