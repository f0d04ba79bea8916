"""Iterations: training, changes and publishing."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import hashlib
import json
from typing import Any

from ..._versions import ApiVersion as V
from .. import _model
from .._api_request import ApiRequest, ApiResponse, handles
from .._bodies import field, keys_field, text_field
from .._ids import guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import State
from .._views import iteration_json, workspace_json

_MIN_IMAGES_PER_TAG = {"Classification": 5, "ObjectDetection": 15}


def _addressed_iteration(request: ApiRequest) -> Any:
    """Return the row of the iteration in the path."""
    project = request.resource.project(request.key("projectId"))
    key = request.key("iterationId")
    if key == project["workspace"] and request.operation in (
        "UpdateIteration",
        "DeleteIteration",
        "PublishIteration",
    ):
        code = {
            "DeleteIteration": "BadRequestWorkspaceNotDeletable",
            "PublishIteration": "BadRequestIterationIsNotTrained",
        }
        raise ServiceFault(
            code.get(request.operation, "BadRequestWorkspaceCannotBeModified"),
            "This iteration is the workspace, which is not trained yet.",
        )
    return request.resource.iteration(project["id"], key)


def require_trained(resource: Resource, row: Any) -> Any:
    """Return the row of an iteration. Raise ServiceFault if it is still in training."""
    if row["ready"] > resource.state.clock.now():
        raise ServiceFault(
            "BadRequestIterationIsNotTrained", f"Iteration {guid_text(row['id'])} is not trained."
        )
    return row


def default_iteration(resource: Resource, project: bytes, *, latest: bool = False) -> Any:
    """Return the default iteration.

    A quick test (`latest`) falls back to the one trained last.
    """
    row = resource.state.row(
        "SELECT * FROM iterations WHERE project = ? AND ready <= ? AND (is_default OR ?)"
        " ORDER BY is_default DESC, ready DESC, id LIMIT 1",
        project,
        resource.state.clock.now(),
        latest,
    )
    if row is None:
        raise ServiceFault("NotFoundProjectDefaultIteration", "Project has no default iteration")
    return row


@handles("GetIterations")
def get_iterations(request: ApiRequest) -> ApiResponse:
    """Return all iterations, trained or in training, newest first."""
    project = request.resource.project(request.key("projectId"))["id"]
    order = "DESC" if request.resource.switches.newest_iteration_first else "ASC"
    rows = request.resource.state.rows(
        f"SELECT * FROM iterations WHERE project = ? ORDER BY created {order}, id", project
    )
    iterations = [iteration_json(request.resource, row, request.version) for row in rows]
    if request.version == V.V1_2 and request.resource.switches.workspace_listed:
        iterations.insert(
            0 if order == "DESC" else len(rows), workspace_json(request.resource.project(project))
        )
    return ApiResponse(value=iterations)


@handles("GetIteration")
def get_iteration(request: ApiRequest) -> ApiResponse:
    """Return one iteration. In v1.2 the workspace is also an iteration, with status New."""
    if request.version == V.V1_2:
        project = request.resource.project(request.key("projectId"))
        if request.key("iterationId") == project["workspace"]:
            return ApiResponse(value=workspace_json(project))
    return ApiResponse(
        value=iteration_json(request.resource, _addressed_iteration(request), request.version)
    )


@handles("UpdateIteration")
def update_iteration(request: ApiRequest) -> ApiResponse:
    """Rename an iteration, or make it the default (before v3.0)."""
    row, state = _addressed_iteration(request), request.resource.state
    name, default = text_field(request.json, "name"), field(request.json, "isDefault")
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
            f"An iteration named '{name}' already exists in the project.",
        )
    if default:
        require_trained(request.resource, row)
        state.db.execute(
            "UPDATE iterations SET is_default = 0 WHERE project = ?", (row["project"],)
        )
        state.db.execute("UPDATE iterations SET is_default = 1 WHERE id = ?", (row["id"],))
    state.db.execute(
        "UPDATE iterations SET name = ?, modified = ? WHERE id = ?",
        (name, state.clock.now(), row["id"]),
    )
    return ApiResponse(
        value=iteration_json(request.resource, _addressed_iteration(request), request.version)
    )


@handles("DeleteIteration")
def delete_iteration(request: ApiRequest) -> ApiResponse:
    """Delete an iteration that is not published."""
    row, resource = _addressed_iteration(request), request.resource
    if row["publish_name"] is not None:
        raise ServiceFault(
            "BadRequestIterationIsPublished",
            "The iteration is published. Unpublish it before deleting it.",
        )
    images = [
        image[0]
        for image in resource.state.rows(
            "SELECT image FROM iteration_images WHERE iteration = ?", row["id"]
        )
    ]
    for table in ("image_tags", "regions", "iteration_images", "exports"):
        resource.state.db.execute(f"DELETE FROM {table} WHERE iteration = ?", (row["id"],))
    resource.state.db.execute("DELETE FROM iterations WHERE id = ?", (row["id"],))
    resource.models.pop(row["id"], None)
    _delete_unused(resource, images)
    return ApiResponse(204)


def _delete_unused(resource: Resource, images: list[bytes]) -> None:
    """Delete images that were removed from the working set and that no iteration uses."""
    digests = set()
    for image in images:
        row = resource.state.row(
            (
                "SELECT digest FROM images WHERE id = ?1 AND present = 0 AND NOT EXISTS (SELECT 1 "
                "FROM iteration_images WHERE image = ?1)"
            ),
            image,
        )
        if row:
            resource.state.db.execute("DELETE FROM images WHERE id = ?", (image,))
            digests.add(row[0])
    resource.delete_orphans(digests)


# Training.


@handles("TrainProject")
def train_project(request: ApiRequest) -> ApiResponse:
    """Train the working set as a new iteration. It stays in training for `training_seconds`."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))
    _check_parameters(request)
    now = state.clock.now()
    if state.scalar("SELECT 1 FROM iterations WHERE project = ? AND ready > ?", project["id"], now):
        raise ServiceFault(
            "BadRequestTrainingAlreadyInProgress",
            "Training of the project is already in progress. Wait until it is completed.",
        )
    if (
        state.scalar("SELECT count(*) FROM iterations WHERE project = ?", project["id"])
        >= resource.quota.iterations
    ):
        raise ServiceFault(
            "BadRequestExceedIterationPerProjectLimit",
            f"The project has {resource.quota.iterations} iterations, the maximum. Delete some.",
        )
    tags = _tags_to_train(request, project)
    fingerprint = _fingerprint(state, project, tags, _training_type(request))
    last = state.scalar(
        "SELECT fingerprint FROM iterations WHERE project = ? ORDER BY ready DESC LIMIT 1",
        project["id"],
    )
    if last == fingerprint and not request.flag("forceTrain"):
        raise ServiceFault(
            "BadRequestTrainingNotNeeded",
            "Nothing changed since last training",
        )
    key = _create_iteration(request, project, tags, fingerprint, now)
    return ApiResponse(
        value=iteration_json(
            resource, resource.iteration(project["id"], key), request.version, fresh=True
        )
    )


def _training_type(request: ApiRequest) -> str:
    return request.choice("trainingType", ("Regular", "Advanced"))


def _check_parameters(request: ApiRequest) -> None:
    kind = _training_type(request)
    if kind == "Advanced" and request.integer("reservedBudgetInHours", 0) < 1:
        raise ServiceFault(
            "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining",
            "Advanced training needs a budget of at least 1 hour.",
        )
    email = request.text("notificationEmailAddress")
    if email and "@" not in email:
        raise ServiceFault("BadRequestInvalidEmailAddress", f"'{email}' is not an e-mail address.")


def _tags_to_train(request: ApiRequest, project: Any) -> list[Any]:
    """Return the tags to train with their counts. Raise ServiceFault for too few images."""
    state = request.resource.state
    rows = state.rows(
        "SELECT tags.*, (SELECT count(*) FROM image_tags t WHERE t.tag = tags.id AND "
        "t.iteration = X'') AS n"
        " FROM tags WHERE project = ? ORDER BY id",
        project["id"],
    )
    selected = keys_field(request.json, "selectedTags")
    for key in selected:
        request.resource.tag(project["id"], key)
    rows = [row for row in rows if not selected or row["id"] in selected]
    kind = request.resource.domain(project["domain"]).type
    subject = {
        "Multiclass": "MultiClassClassification",
        "Multilabel": "MultiLabelClassification",
    }.get(project["classification"], "Detection")
    code = f"BadRequest{subject}TrainingValidationFailed"
    stops = request.resource.switches.empty_tag_stops_training
    # A negative tag need not have images.
    empty = any(not row["n"] and row["type"] == "Regular" for row in rows)
    if empty and (stops == "always" or (stops == "detection" and subject == "Detection")):
        raise ServiceFault(code, "Not enough images per tag for training")
    rows = [row for row in rows if row["n"]]
    minimum = _MIN_IMAGES_PER_TAG[kind]
    too_few = [row["name"] for row in rows if row["n"] < minimum]
    needed = 1 if kind == "ObjectDetection" else 2
    if len(rows) < needed or too_few:
        raise ServiceFault(code, "Not enough images for training")
    return rows


def _fingerprint(state: State, project: Any, tags: list[Any], kind: str) -> bytes:
    """Return a digest that identifies a working set."""
    checksum = hashlib.blake2b(
        f"{project['domain']}{project['classification']}{kind}".encode(), digest_size=16
    )
    for tag in tags:
        for row in state.db.execute(
            "SELECT image FROM image_tags WHERE tag = ? AND iteration = X'' ORDER BY image",
            (tag["id"],),
        ):
            checksum.update(tag["id"] + row[0])
        for row in state.db.execute(
            "SELECT id FROM regions WHERE tag = ? AND iteration = X'' ORDER BY id", (tag["id"],)
        ):
            checksum.update(row[0])
    return checksum.digest()


def _create_iteration(
    request: ApiRequest, project: Any, tags: list[Any], fingerprint: bytes, now: int
) -> bytes:
    """Turn the workspace into an iteration with a new workspace. Return its key."""
    resource, state = request.resource, request.resource.state
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
    base = field(request.json, "customBaseModelInfo")
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
            now + int(resource.switches.training_seconds * 1e7),
            project["domain"],
            project["classification"],
            _training_type(request),
            request.integer("reservedBudgetInHours", 0),
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
def publish_iteration(request: ApiRequest) -> ApiResponse:
    """Publish a trained iteration under a name for the prediction API."""
    row, state = (
        require_trained(request.resource, _addressed_iteration(request)),
        request.resource.state,
    )
    name, target = request.text("publishName") or "", request.text("predictionId")
    if not name.strip() or len(name) > 256 or "/" in name:
        raise ServiceFault(
            "BadRequestInvalidPublishName",
            "The publish name must have 1 to 256 characters, and no slash.",
        )
    # An Azure resource id begins with a slash. The recording of v3.0 is of a developer's instance
    # that accepted anything.
    if not target or (request.version >= V.V3_1 and not target.startswith("/")):
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
    overwrite = request.flag("overwrite")
    if other is not None and not overwrite:
        raise ServiceFault(
            "BadRequestInvalidPublishName",
            f"Another iteration is published as '{name}'. Set overwrite to take the name from it.",
        )
    if row["publish_name"] is not None and (
        request.resource.switches.republish_is_400 or not overwrite
    ):
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
        (name, target, state.clock.now(), row["id"]),
    )
    return ApiResponse(value=True)


@handles("UnpublishIteration")
def unpublish_iteration(request: ApiRequest) -> ApiResponse:
    """Unpublish an iteration."""
    row = _addressed_iteration(request)
    if row["publish_name"] is None:
        raise ServiceFault("BadRequestIterationNotPublished", "The iteration is not published.")
    request.resource.state.db.execute(
        "UPDATE iterations SET publish_name = NULL, publish_resource = NULL WHERE id = ?",
        (row["id"],),
    )
    return ApiResponse(204)


def model(request: ApiRequest, row: Any) -> _model.Model:
    """Return the model of a trained iteration."""
    return _model.model_of(request.resource, require_trained(request.resource, row))
