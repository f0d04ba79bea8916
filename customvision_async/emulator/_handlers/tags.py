"""Tags of a project, and which images have them."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .._api_request import Answer, Call, handles
from .._bodies import field, list_field, text_field
from .._ids import guid_key, guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import WORKSPACE
from .._views import tag_json

_TYPES = {"regular": "Regular", "negative": "Negative", "generalproduct": "GeneralProduct"}


def _count(world: Resource, tag: bytes, iteration: bytes = WORKSPACE) -> int:
    return int(
        world.state.scalar(
            "SELECT count(*) FROM image_tags WHERE iteration = ? AND tag = ?", iteration, tag
        )
    )


def _view(call: Call, row: Any, iteration: bytes = WORKSPACE) -> dict[str, Any]:
    return tag_json(row, _count(call.world, row["id"], iteration), call.version)


def _iteration(call: Call, project: bytes) -> bytes:
    key = call.optional_key("iterationId")
    if key is None or key == call.world.project(project)["workspace"]:
        return WORKSPACE
    return bytes(call.world.iteration(project, key)["id"])


@handles("GetTags")
def get_tags(call: Call) -> Answer:
    """All tags, in SQL Server's order of their ids: neither by name nor by age."""
    project = call.world.project(call.key("projectId"))["id"]
    iteration = _iteration(call, project)
    state = call.world.state
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
    tags = [tag_json(row, counts.get(row["id"], 0), call.version) for row in rows]
    if call.version > V.V1_2:
        return Answer(value=tags)
    tagged, untagged = (
        state.scalar(
            "SELECT count(*) FROM images WHERE project = ? AND present = 1 AND tagged = ?",
            project,
            value,
        )
        for value in (1, 0)
    )
    return Answer(
        value={"tags": tags, "totalTaggedImages": tagged, "totalUntaggedImages": untagged}
    )


@handles("GetTag")
def get_tag(call: Call) -> Answer:
    """One tag."""
    project = call.world.project(call.key("projectId"))["id"]
    return Answer(
        value=_view(call, call.world.tag(project, call.key("tagId")), _iteration(call, project))
    )


def _name(call: Call, project: bytes, name: Any, *, but: bytes = b"") -> str:
    if not isinstance(name, str) or not name.strip() or len(name) > 256:
        raise ServiceFault("BadRequestTagName", "The tag name must have 1 to 256 characters.")
    same = "lower(name) = lower(?)" if call.world.switches.names_ignore_case else "name = ?"
    if call.world.state.scalar(
        f"SELECT 1 FROM tags WHERE project = ? AND {same} AND id <> ?", project, name, but
    ):
        raise ServiceFault(
            "BadRequestTagNameNotUnique", f"A tag named '{name}' exists in the project already."
        )
    return name


def _type(call: Call, project: Any, given: str | None, *, but: bytes = b"") -> str:
    kind = _TYPES.get((given or "Regular").lower())
    if kind is None or (kind == "GeneralProduct" and call.version < V.V3_3):
        raise ServiceFault(
            "BadRequestTagType", f"Unknown tag type '{given}': Regular, Negative or GeneralProduct."
        )
    if kind == "Regular":
        return kind
    detects = call.world.domain(project["domain"]).detects
    if (kind == "Negative") == detects:
        raise ServiceFault(
            "BadRequestTagType", f"A tag of type {kind} is not for projects of this domain."
        )
    if call.world.state.scalar(
        "SELECT 1 FROM tags WHERE project = ? AND type = ? AND id <> ?", project["id"], kind, but
    ):
        raise ServiceFault(
            f"BadRequestMultiple{kind}Tag",
            f"The project has a tag of type {kind} already; it can have one.",
        )
    return kind


@handles("CreateTag")
def create_tag(call: Call) -> Answer:
    """A new tag; all it needs is in the query. An empty description comes back as null."""
    world, state = call.world, call.world.state
    project = world.project(call.key("projectId"))
    name = _name(call, project["id"], call.text("name"))
    kind = _type(call, project, call.text("type"))
    if (
        state.scalar("SELECT count(*) FROM tags WHERE project = ?", project["id"])
        >= world.quota.tags
    ):
        raise ServiceFault(
            "BadRequestExceedTagPerProjectLimit",
            f"The project has {world.quota.tags} tags, the most of your pricing tier.",
        )
    key = state.ids.key()
    state.db.execute(
        "INSERT INTO tags VALUES (?, ?, ?, ?, ?)",
        (key, project["id"], name, call.text("description") or None, kind),
    )
    return Answer(value=_view(call, world.tag(project["id"], key)))


@handles("UpdateTag")
def update_tag(call: Call) -> Answer:
    """Change name, description or type; what is not in the body stays."""
    world, body = call.world, call.json
    project = world.project(call.key("projectId"))
    row = world.tag(project["id"], call.key("tagId"))
    name, description, kind = (
        text_field(body, member) for member in ("name", "description", "type")
    )
    name = row["name"] if name is None else _name(call, project["id"], name, but=row["id"])
    kind = _type(call, project, kind or row["type"], but=row["id"])
    description = row["description"] if description is None else description or None
    world.state.db.execute(
        "UPDATE tags SET name = ?, description = ?, type = ? WHERE id = ?",
        (name, description, kind, row["id"]),
    )
    return Answer(value=_view(call, world.tag(project["id"], row["id"])))


@handles("DeleteTag")
def delete_tag(call: Call) -> Answer:
    """Delete a tag: images lose it, and their regions of it."""
    world, db = call.world, call.world.state.db
    project = world.project(call.key("projectId"))["id"]
    key = world.tag(project, call.key("tagId"))["id"]
    for table in ("image_tags", "regions"):
        db.execute(f"DELETE FROM {table} WHERE tag = ?", (key,))
    db.execute("DELETE FROM tags WHERE id = ?", (key,))
    return Answer(204)


@handles("CreateImageTags", "PostImageTags")
def create_image_tags(call: Call) -> Answer:
    """Give tags to images: what was new, what they had already, and what would be over the limit of
    an image.
    """
    world, state = call.world, call.world.state
    project = world.project(call.key("projectId"))
    entries = list_field(call.json, "tags")
    if not entries:
        raise ServiceFault("BadRequestImageTags", "No image tags provided")
    most = limits.TAG_PAIRS_PER_BATCH.value
    if len(entries) > most:
        raise ServiceFault(
            "BadRequestExceededBatchSize",
            f"The batch has {len(entries)} image tags; {most} are allowed.",
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
        world_image(world, project["id"], image)
        if tag not in types:
            raise ServiceFault("NotFoundTag", f"Tag {guid_text(tag)} was not found in the project.")
        outcome = attach(world, project, image, tag, types)
        summary[outcome].append({"imageId": guid_text(image), "tagId": guid_text(tag)})
    nulls = world.switches.null_lists
    return Answer(value={name: items or (None if nulls else []) for name, items in summary.items()})


def world_image(world: Resource, project: bytes, key: bytes) -> Any:
    """The row of an image of the working set."""
    row = world.image(project, key)
    if not row["present"]:
        raise ServiceFault("NotFoundImage", f"Image {guid_text(key)} was not found.")
    return row


def attach(world: Resource, project: Any, image: bytes, tag: bytes, types: dict[bytes, str]) -> str:
    """Give a tag to an image. Returns "created", "duplicated" or "exceeded"."""
    state = world.state
    had = {
        row[0]
        for row in state.db.execute(
            "SELECT tag FROM image_tags WHERE iteration = X'' AND image = ?", (image,)
        )
    }
    if tag in had:
        return "duplicated"
    if len(had) >= limits.TAGS_PER_IMAGE.value or (
        had and project["classification"] == "Multiclass"
    ):
        return "exceeded"
    if had and any((types.get(other) == "Negative") != (types[tag] == "Negative") for other in had):
        raise ServiceFault(
            "BadRequestNegativeAndRegularTagOnSameImage",
            "An image cannot have a negative tag and a regular one.",
        )
    state.db.execute(
        "INSERT INTO image_tags VALUES (X'', ?, ?, ?)", (image, tag, state.clock.now())
    )
    return "created"


@handles("DeleteImageTags")
def delete_image_tags(call: Call) -> Answer:
    """Take each of the tags from each of the images, with their regions of it."""
    world, state = call.world, call.world.state
    project = world.project(call.key("projectId"))["id"]
    images = call.keys("imageIds", limits.IMAGES_PER_UNTAG)
    tags = call.keys("tagIds", limits.TAGS_PER_UNTAG)
    if not images or not tags:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds and tagIds are required.")
    for image in images:
        row = state.row("SELECT project FROM images WHERE id = ?", image)
        if row is None or row["project"] != project:
            if world.switches.strict_ids:
                raise ServiceFault("NotFoundImage", f"Image {guid_text(image)} was not found.")
            continue
        for tag in tags:
            if world.switches.strict_ids:
                world.tag(project, tag)
            state.db.execute(
                "DELETE FROM image_tags WHERE iteration = X'' AND image = ? AND tag = ?",
                (image, tag),
            )
            state.db.execute(
                "DELETE FROM regions WHERE iteration = X'' AND image = ? AND tag = ?", (image, tag)
            )
    return Answer(204)
