"""Tags of a project, and the tags of images."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .._api_request import ApiRequest, ApiResponse, handles
from .._bodies import field, list_field, text_field
from .._ids import guid_key, guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import WORKSPACE
from .._views import tag_json

_TYPES = {"regular": "Regular", "negative": "Negative", "generalproduct": "GeneralProduct"}


def _count(resource: Resource, tag: bytes, iteration: bytes = WORKSPACE) -> int:
    return int(
        resource.state.scalar(
            "SELECT count(*) FROM image_tags WHERE iteration = ? AND tag = ?", iteration, tag
        )
    )


def _view(request: ApiRequest, row: Any, iteration: bytes = WORKSPACE) -> dict[str, Any]:
    return tag_json(row, _count(request.resource, row["id"], iteration), request.version)


def _iteration(request: ApiRequest, project: bytes) -> bytes:
    key = request.optional_key("iterationId")
    if key is None or key == request.resource.project(project)["workspace"]:
        return WORKSPACE
    return bytes(request.resource.iteration(project, key)["id"])


@handles("GetTags")
def get_tags(request: ApiRequest) -> ApiResponse:
    """Return all tags in SQL Server's order of their ids, which is neither by name nor by age."""
    project = request.resource.project(request.key("projectId"))["id"]
    iteration = _iteration(request, project)
    state = request.resource.state
    counts = dict(
        state.rows(
            (
                "SELECT t.tag, count(*) FROM image_tags t JOIN tags ON tags.id = t.tag WHERE "
                "t.iteration = ? AND tags.project = ? GROUP BY 1"
            ),
            iteration,
            project,
        )
    )
    rows = state.rows("SELECT * FROM tags WHERE project = ? ORDER BY id", project)
    if iteration:
        trained = state.scalar("SELECT tags FROM iterations WHERE id = ?", iteration)
        rows = [row for row in rows if guid_text(row["id"]) in trained]
    tags = [tag_json(row, counts.get(row["id"], 0), request.version) for row in rows]
    if request.version > V.V1_2:
        return ApiResponse(value=tags)
    tagged, untagged = (
        state.scalar(
            "SELECT count(*) FROM images WHERE project = ? AND present = 1 AND tagged = ?",
            project,
            value,
        )
        for value in (1, 0)
    )
    return ApiResponse(
        value={"tags": tags, "totalTaggedImages": tagged, "totalUntaggedImages": untagged}
    )


@handles("GetTag")
def get_tag(request: ApiRequest) -> ApiResponse:
    """Return one tag."""
    project = request.resource.project(request.key("projectId"))["id"]
    return ApiResponse(
        value=_view(
            request,
            request.resource.tag(project, request.key("tagId")),
            _iteration(request, project),
        )
    )


def _name(request: ApiRequest, project: bytes, name: Any, *, except_id: bytes = b"") -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 256:
        raise ServiceFault("BadRequestTagName", "The tag name must have 1 to 256 characters.")
    same = "lower(name) = lower(?)" if request.resource.switches.names_ignore_case else "name = ?"
    if request.resource.state.scalar(
        f"SELECT 1 FROM tags WHERE project = ? AND {same} AND id <> ?", project, name, except_id
    ):
        raise ServiceFault(
            "BadRequestTagNameNotUnique", f"A tag named '{name}' already exists in the project."
        )
    return name


def _type(request: ApiRequest, project: Any, given: str | None, *, except_id: bytes = b"") -> str:
    kind = _TYPES.get((given or "Regular").lower())
    if kind is None or (kind == "GeneralProduct" and request.version < V.V3_3):
        raise ServiceFault(
            "BadRequestTagType",
            f"Unknown tag type '{given}'. Use Regular, Negative or GeneralProduct.",
        )
    if kind == "Regular":
        return kind
    detects = request.resource.domain(project["domain"]).detects
    if (kind == "Negative") == detects:
        raise ServiceFault(
            "BadRequestTagType", f"A tag of type {kind} is not for projects of this domain."
        )
    if request.resource.state.scalar(
        "SELECT 1 FROM tags WHERE project = ? AND type = ? AND id <> ?",
        project["id"],
        kind,
        except_id,
    ):
        raise ServiceFault(
            f"BadRequestMultiple{kind}Tag",
            f"The project already has a tag of type {kind}. It can have only one.",
        )
    return kind


@handles("CreateTag")
def create_tag(request: ApiRequest) -> ApiResponse:
    """Create a tag from the query. An empty description is returned as null."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))
    name = _name(request, project["id"], request.text("name"))
    kind = _type(request, project, request.text("type"))
    if (
        state.scalar("SELECT count(*) FROM tags WHERE project = ?", project["id"])
        >= resource.quota.tags
    ):
        raise ServiceFault(
            "BadRequestExceedTagPerProjectLimit",
            f"The project has {resource.quota.tags} tags, the maximum of your pricing tier.",
        )
    key = state.ids.key()
    state.db.execute(
        "INSERT INTO tags VALUES (?, ?, ?, ?, ?)",
        (key, project["id"], name, request.text("description") or None, kind),
    )
    return ApiResponse(value=_view(request, resource.tag(project["id"], key)))


@handles("UpdateTag")
def update_tag(request: ApiRequest) -> ApiResponse:
    """Change name, description or type. Members that the body omits stay unchanged."""
    resource, body = request.resource, request.json
    project = resource.project(request.key("projectId"))
    row = resource.tag(project["id"], request.key("tagId"))
    name, description, kind = (
        text_field(body, member) for member in ("name", "description", "type")
    )
    name = row["name"] if name is None else _name(request, project["id"], name, except_id=row["id"])
    kind = _type(request, project, kind or row["type"], except_id=row["id"])
    description = row["description"] if description is None else description or None
    resource.state.db.execute(
        "UPDATE tags SET name = ?, description = ?, type = ? WHERE id = ?",
        (name, description, kind, row["id"]),
    )
    return ApiResponse(value=_view(request, resource.tag(project["id"], row["id"])))


@handles("DeleteTag")
def delete_tag(request: ApiRequest) -> ApiResponse:
    """Delete a tag, and the regions with it."""
    resource, db = request.resource, request.resource.state.db
    project = resource.project(request.key("projectId"))["id"]
    key = resource.tag(project, request.key("tagId"))["id"]
    for table in ("image_tags", "regions"):
        db.execute(f"DELETE FROM {table} WHERE tag = ?", (key,))
    db.execute("DELETE FROM tags WHERE id = ?", (key,))
    return ApiResponse(204)


@handles("CreateImageTags", "PostImageTags")
def create_image_tags(request: ApiRequest) -> ApiResponse:
    """Add tags to images, and report those created, duplicated or over the limit of an image."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))
    entries = list_field(request.json, "tags")
    if not entries:
        raise ServiceFault("BadRequestImageTags", "No image tags provided")
    limit = limits.TAG_PAIRS_PER_BATCH.value
    if len(entries) > limit:
        raise ServiceFault(
            "BadRequestExceededBatchSize",
            f"The batch has {len(entries)} image tags; at most {limit} are allowed.",
        )
    types = {
        row["id"]: row["type"]
        for row in state.rows("SELECT id, type FROM tags WHERE project = ?", project["id"])
    }
    summary: dict[str, list[Any]] = {"created": [], "duplicated": [], "exceeded": []}
    for entry in entries:
        pair = {name: field(entry, name) for name in ("imageId", "tagId")}
        try:
            image, tag = guid_key(str(pair["imageId"])), guid_key(str(pair["tagId"]))
        except ValueError as error:
            raise ServiceFault("BadRequestInvalidIds", str(error)) from None
        workspace_image(resource, project["id"], image)
        if tag not in types:
            raise ServiceFault("NotFoundTag", f"Tag {guid_text(tag)} was not found in the project.")
        outcome = attach(resource, project, image, tag, types)
        summary[outcome].append({"imageId": guid_text(image), "tagId": guid_text(tag)})
    nulls = resource.switches.null_lists
    return ApiResponse(
        value={name: items or (None if nulls else []) for name, items in summary.items()}
    )


def workspace_image(resource: Resource, project: bytes, key: bytes) -> Any:
    """Return the row of an image in the working set."""
    row = resource.image(project, key)
    if not row["present"]:
        raise ServiceFault("NotFoundImage", f"Image {guid_text(key)} was not found.")
    return row


def attach(
    resource: Resource, project: Any, image: bytes, tag: bytes, types: dict[bytes, str]
) -> str:
    """Add a tag to an image. Return "created", "duplicated" or "exceeded"."""
    state = resource.state
    existing = {
        row[0]
        for row in state.db.execute(
            "SELECT tag FROM image_tags WHERE iteration = X'' AND image = ?", (image,)
        )
    }
    if tag in existing:
        return "duplicated"
    if len(existing) >= limits.TAGS_PER_IMAGE.value or (
        existing and project["classification"] == "Multiclass"
    ):
        return "exceeded"
    if existing and any(
        (types.get(other) == "Negative") != (types[tag] == "Negative") for other in existing
    ):
        raise ServiceFault(
            "BadRequestNegativeAndRegularTagOnSameImage",
            "An image cannot have a negative tag and a regular one.",
        )
    state.db.execute(
        "INSERT INTO image_tags VALUES (X'', ?, ?, ?)", (image, tag, state.clock.now())
    )
    return "created"


@handles("DeleteImageTags")
def delete_image_tags(request: ApiRequest) -> ApiResponse:
    """Remove each of the tags, with its regions, from each of the images."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))["id"]
    images = request.keys("imageIds", limits.IMAGES_PER_UNTAG)
    tags = request.keys("tagIds", limits.TAGS_PER_UNTAG)
    if not images or not tags:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds and tagIds are required.")
    for image in images:
        row = state.row("SELECT project FROM images WHERE id = ?", image)
        if row is None or row["project"] != project:
            if resource.switches.strict_ids:
                raise ServiceFault("NotFoundImage", f"Image {guid_text(image)} was not found.")
            continue
        for tag in tags:
            if resource.switches.strict_ids:
                resource.tag(project, tag)
            state.db.execute(
                "DELETE FROM image_tags WHERE iteration = X'' AND image = ? AND tag = ?",
                (image, tag),
            )
            state.db.execute(
                "DELETE FROM regions WHERE iteration = X'' AND image = ? AND tag = ?", (image, tag)
            )
    return ApiResponse(204)
