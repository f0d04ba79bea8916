"""Iterations: training, and what became of it; publishing."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..._versions import ApiVersion as V
from .. import _model
from .._api_request import Answer, Call, handles
from .._bodies import field, keys_field, text_field
from .._ids import guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import State
from .._views import iteration_json, workspace_json

_LEAST = {"Classification": 5, "ObjectDetection": 15}


def _own(call: Call) -> Any:
    """The iteration of the path."""
    project = call.world.project(call.key("projectId"))
    key = call.key("iterationId")
    if key == project["workspace"] and call.operation in (
        "UpdateIteration",
        "DeleteIteration",
        "PublishIteration",
    ):
        code = {
            "DeleteIteration": "BadRequestWorkspaceNotDeletable",
            "PublishIteration": "BadRequestIterationIsNotTrained",
        }
        raise ServiceFault(
            code.get(call.operation, "BadRequestWorkspaceCannotBeModified"),
            "This iteration is the workspace: it is not trained yet.",
        )
    return call.world.iteration(project["id"], key)


def trained(world: Resource, row: Any) -> Any:
    """The row of an iteration, refused where it still trains."""
    if row["ready"] > world.state.clock.now():
        raise ServiceFault(
            "BadRequestIterationIsNotTrained", f"Iteration {guid_text(row['id'])} is not trained."
        )
    return row


def default_iteration(world: Resource, project: bytes, *, latest: bool = False) -> Any:
    """Return the default iteration; for a quick test (`latest`) the one trained last where there is
    none.
    """
    row = world.state.row(
        "SELECT * FROM iterations WHERE project = ? AND ready <= ? AND (is_default OR ?)"
        " ORDER BY is_default DESC, ready DESC, id LIMIT 1",
        project,
        world.state.clock.now(),
        latest,
    )
    if row is None:
        raise ServiceFault("NotFoundProjectDefaultIteration", "Project has no default iteration")
    return row


@handles("GetIterations")
def get_iterations(call: Call) -> Answer:
    """All trained (or training) iterations, newest first."""
    project = call.world.project(call.key("projectId"))["id"]
    order = "DESC" if call.world.switches.newest_iteration_first else "ASC"
    rows = call.world.state.rows(
        f"SELECT * FROM iterations WHERE project = ? ORDER BY created {order}, id", project
    )
    iterations = [iteration_json(call.world, row, call.version) for row in rows]
    if call.version == V.V1_2 and call.world.switches.workspace_listed:
        iterations.insert(
            0 if order == "DESC" else len(rows), workspace_json(call.world.project(project))
        )
    return Answer(value=iterations)


@handles("GetIteration")
def get_iteration(call: Call) -> Answer:
    """One iteration. In v1.2 the workspace is one, too: it is New."""
    if call.version == V.V1_2:
        project = call.world.project(call.key("projectId"))
        if call.key("iterationId") == project["workspace"]:
            return Answer(value=workspace_json(project))
    return Answer(value=iteration_json(call.world, _own(call), call.version))


@handles("UpdateIteration")
def update_iteration(call: Call) -> Answer:
    """Rename an iteration, or make it the default (before v3.0)."""
    row, state = _own(call), call.world.state
    name, default = text_field(call.json, "name"), field(call.json, "isDefault")
    name = row["name"] if name is None else name
    if not isinstance(name, str) or not name.strip() or len(name) > 256:
        raise ServiceFault(
            "BadRequestIterationName", "The iteration name must have 1 to 256 characters."
        )
    if state.scalar(
        "SELECT 1 FROM iterations WHERE project = ? AND lower(name) = lower(?) AND id <> ?",
        row["project"],
        name,
        row["id"],
    ):
        raise ServiceFault(
            "BadRequestIterationNameNotUnique",
            f"An iteration named '{name}' exists in the project already.",
        )
    if default:
        trained(call.world, row)
        state.db.execute(
            "UPDATE iterations SET is_default = 0 WHERE project = ?", (row["project"],)
        )
        state.db.execute("UPDATE iterations SET is_default = 1 WHERE id = ?", (row["id"],))
    state.db.execute(
        "UPDATE iterations SET name = ?, modified = ? WHERE id = ?",
        (name, state.clock.now(), row["id"]),
    )
    return Answer(value=iteration_json(call.world, _own(call), call.version))


@handles("DeleteIteration")
def delete_iteration(call: Call) -> Answer:
    """Delete an iteration that is not published."""
    row, world = _own(call), call.world
    if row["publish_name"] is not None:
        raise ServiceFault(
            "BadRequestIterationIsPublished",
            "The iteration is published: unpublish it before deleting it.",
        )
    images = [
        image[0]
        for image in world.state.rows(
            "SELECT image FROM iteration_images WHERE iteration = ?", row["id"]
        )
    ]
    for table in ("image_tags", "regions", "iteration_images", "exports"):
        world.state.db.execute(f"DELETE FROM {table} WHERE iteration = ?", (row["id"],))
    world.state.db.execute("DELETE FROM iterations WHERE id = ?", (row["id"],))
    world.models.pop(row["id"], None)
    _forget(world, images)
    return Answer(204)


def _forget(world: Resource, images: list[bytes]) -> None:
    """Drop the images that were deleted from the working set and that no iteration has any more."""
    digests = set()
    for image in images:
        row = world.state.row(
            (
                "SELECT digest FROM images WHERE id = ?1 AND present = 0 AND NOT EXISTS (SELECT 1 "
                "FROM iteration_images WHERE image = ?1)"
            ),
            image,
        )
        if row:
            world.state.db.execute("DELETE FROM images WHERE id = ?", (image,))
            digests.add(row[0])
    world.delete_orphans(digests)


# Training.


@handles("TrainProject")
def train_project(call: Call) -> Answer:
    """Train the working set: it becomes an iteration, which is Training until its time has come."""
    world, state = call.world, call.world.state
    project = world.project(call.key("projectId"))
    _mind_parameters(call)
    now = state.clock.now()
    if state.scalar("SELECT 1 FROM iterations WHERE project = ? AND ready > ?", project["id"], now):
        raise ServiceFault(
            "BadRequestTrainingAlreadyInProgress",
            "Training of the project is already in progress: wait until it is completed.",
        )
    if (
        state.scalar("SELECT count(*) FROM iterations WHERE project = ?", project["id"])
        >= world.quota.iterations
    ):
        raise ServiceFault(
            "BadRequestExceedIterationPerProjectLimit",
            f"The project has {world.quota.iterations} iterations: delete some.",
        )
    tags = _tags_to_train(call, project)
    fingerprint = _fingerprint(state, project, tags, _training_type(call))
    last = state.scalar(
        "SELECT fingerprint FROM iterations WHERE project = ? ORDER BY ready DESC LIMIT 1",
        project["id"],
    )
    if last == fingerprint and not call.flag("forceTrain"):
        raise ServiceFault(
            "BadRequestTrainingNotNeeded",
            "Nothing changed since last training",
        )
    key = _begin(call, project, tags, fingerprint, now)
    return Answer(
        value=iteration_json(world, world.iteration(project["id"], key), call.version, fresh=True)
    )


def _training_type(call: Call) -> str:
    return call.choice("trainingType", ("Regular", "Advanced"))


def _mind_parameters(call: Call) -> None:
    kind = _training_type(call)
    if kind == "Advanced" and call.integer("reservedBudgetInHours", 0) < 1:
        raise ServiceFault(
            "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining",
            "Advanced training needs a budget of at least 1 hour.",
        )
    email = call.text("notificationEmailAddress")
    if email and "@" not in email:
        raise ServiceFault("BadRequestInvalidEmailAddress", f"'{email}' is not an e-mail address.")


def _tags_to_train(call: Call, project: Any) -> list[Any]:
    """The tags of the training with their counts. Refuses a training with too few images."""
    state = call.world.state
    rows = state.rows(
        "SELECT tags.*, (SELECT count(*) FROM image_tags t WHERE t.tag = tags.id AND "
        "t.iteration = X'') AS n"
        " FROM tags WHERE project = ? ORDER BY id",
        project["id"],
    )
    selected = keys_field(call.json, "selectedTags")
    for key in selected:
        call.world.tag(project["id"], key)
    rows = [row for row in rows if not selected or row["id"] in selected]
    kind = call.world.domain(project["domain"]).type
    subject = {
        "Multiclass": "MultiClassClassification",
        "Multilabel": "MultiLabelClassification",
    }.get(project["classification"], "Detection")
    code = f"BadRequest{subject}TrainingValidationFailed"
    stops = call.world.switches.empty_tag_stops_training
    # A negative tag need not have images.
    empty = any(not row["n"] and row["type"] == "Regular" for row in rows)
    if empty and (stops == "always" or (stops == "detection" and subject == "Detection")):
        raise ServiceFault(code, "Not enough images per tag for training")
    rows = [row for row in rows if row["n"]]
    least = _LEAST[kind]
    few = [row["name"] for row in rows if row["n"] < least]
    needed = 1 if kind == "ObjectDetection" else 2
    if len(rows) < needed or few:
        raise ServiceFault(code, "Not enough images for training")
    return rows


def _fingerprint(state: State, project: Any, tags: list[Any], kind: str) -> bytes:
    """Tells one working set from another."""
    sum_ = hashlib.blake2b(
        f"{project['domain']}{project['classification']}{kind}".encode(), digest_size=16
    )
    for tag in tags:
        for row in state.db.execute(
            "SELECT image FROM image_tags WHERE tag = ? AND iteration = X'' ORDER BY image",
            (tag["id"],),
        ):
            sum_.update(tag["id"] + row[0])
        for row in state.db.execute(
            "SELECT id FROM regions WHERE tag = ? AND iteration = X'' ORDER BY id", (tag["id"],)
        ):
            sum_.update(row[0])
    return sum_.digest()


def _begin(call: Call, project: Any, tags: list[Any], fingerprint: bytes, now: int) -> bytes:
    """Make the iteration out of the workspace, and a new workspace."""
    world, state = call.world, call.world.state
    key: bytes = project["workspace"]
    marks = ",".join("?" * len(tags))
    keys = [tag["id"] for tag in tags]
    snapshot = f"FROM image_tags WHERE iteration = X'' AND tag IN ({marks})"
    state.db.execute(
        f"INSERT OR IGNORE INTO iteration_images SELECT ?, image {snapshot}", (key, *keys)
    )
    state.db.execute(
        f"INSERT INTO image_tags SELECT ?, image, tag, created {snapshot}", (key, *keys)
    )
    state.db.execute(
        "INSERT INTO regions SELECT ?, id, image, tag, created, left, top, width, height"
        f" FROM regions WHERE iteration = X'' AND tag IN ({marks})",
        (key, *keys),
    )
    base = field(call.json, "customBaseModelInfo")
    number = project["trained"] + 1
    described = [
        {"tagId": guid_text(tag["id"]), "tagName": tag["name"], "tagType": tag["type"]}
        for tag in tags
    ]
    state.db.execute(
        "INSERT INTO iterations (id, project, name, created, modified, ready, domain, "
        "classification, training_type, budget, base, tags,"
        " fingerprint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            key,
            project["id"],
            f"Iteration {number}",
            project["workspace_since"],
            now,
            now + int(world.switches.training_seconds * 1e7),
            project["domain"],
            project["classification"],
            _training_type(call),
            call.integer("reservedBudgetInHours", 0),
            json.dumps(base) if base else None,
            json.dumps(described),
            fingerprint,
        ),
    )
    newest = state.scalar("SELECT image FROM iteration_images WHERE iteration = ? LIMIT 1", key)
    state.db.execute(
        (
            "UPDATE projects SET workspace = ?, workspace_since = ?, trained = ?, thumbnail = ? "
            "WHERE id = ?"
        ),
        (state.ids.key(), now, number, newest, project["id"]),
    )
    return key


# Publishing.


@handles("PublishIteration")
def publish_iteration(call: Call) -> Answer:
    """Give a trained iteration a name under which the prediction API finds it."""
    row, state = trained(call.world, _own(call)), call.world.state
    name, resource = call.text("publishName") or "", call.text("predictionId")
    if not name.strip() or len(name) > 256 or "/" in name:
        raise ServiceFault(
            "BadRequestInvalidPublishName",
            "The publish name must have 1 to 256 characters, and no slash.",
        )
    # An Azure id begins with a slash. The recording of v3.0 shows that a developer's instance took
    # anything.
    if not resource or (call.version >= V.V3_1 and not resource.startswith("/")):
        raise ServiceFault(
            "BadRequestInvalidPublishTarget",
            "predictionId must be the id of a prediction resource.",
        )
    other = state.row(
        "SELECT id FROM iterations WHERE project = ? AND publish_name = ? AND id <> ?",
        row["project"],
        name,
        row["id"],
    )
    overwrite = call.flag("overwrite")
    if other is not None and not overwrite:
        raise ServiceFault(
            "BadRequestInvalidPublishName",
            f"Another iteration is published as '{name}': overwrite takes the name from it.",
        )
    if row["publish_name"] is not None and (call.world.switches.republish_is_400 or not overwrite):
        raise ServiceFault(
            "BadRequestIterationIsPublished",
            f"Iteration is already published as: {row['publish_name']}",
        )
    if other is not None:
        state.db.execute(
            "UPDATE iterations SET publish_name = NULL, publish_resource = NULL WHERE id = ?",
            (other["id"],),
        )
    state.db.execute(
        "UPDATE iterations SET publish_name = ?, publish_resource = ?, modified = ? WHERE id = ?",
        (name, resource, state.clock.now(), row["id"]),
    )
    return Answer(value=True)


@handles("UnpublishIteration")
def unpublish_iteration(call: Call) -> Answer:
    """Take the name away."""
    row = _own(call)
    if row["publish_name"] is None:
        raise ServiceFault("BadRequestIterationNotPublished", "The iteration is not published.")
    call.world.state.db.execute(
        "UPDATE iterations SET publish_name = NULL, publish_resource = NULL WHERE id = ?",
        (row["id"],),
    )
    return Answer(204)


def model(call: Call, row: Any) -> _model.Model:
    """The model of a trained iteration."""
    return _model.model_of(call.world, trained(call.world, row))
