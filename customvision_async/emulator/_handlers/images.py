"""Images in a project: lists, counts, metadata and deletion."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .._api_request import ApiRequest, ApiResponse, handles
from .._ids import guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import WORKSPACE
from .._views import images_json

_CLAUSE = re.compile(
    r"\s*(?:metadata\s*=\s*)?(?:'((?:[^']|'')*)'|([^\s']+))\s+(eq|ne)\s+'((?:[^']|'')*)'\s*",
    re.IGNORECASE,
)
_DELETE_CHUNK = 512
_JOIN = re.compile(r"(and|or)\b", re.IGNORECASE)


class _Selection:
    """The images that a list or a count refers to, as SQL."""

    def __init__(self, request: ApiRequest, status: str) -> None:
        self.request = request
        self.project: bytes = request.resource.project(request.key("projectId"))["id"]
        self.iteration = _iteration(request, self.project)
        self.tags = request.keys(
            "tagIds", limits.TAGS_PER_FILTER if "Count" not in request.operation else None
        )
        self.status = status
        if self.tags and status == "Untagged":
            raise ServiceFault("BadRequest", "tagIds cannot be given for untagged images.")
        for tag in self.tags if request.resource.switches.strict_ids else ():
            request.resource.tag(self.project, tag)

    def where(self) -> tuple[str, list[Any]]:
        """Return the FROM and WHERE clauses with their values."""
        clauses, values = ["i.project = ?"], [self.project]
        if self.iteration:
            clauses.append(
                "EXISTS (SELECT 1 FROM iteration_images m WHERE m.iteration = ? AND m.image = i.id)"
            )
            values.append(self.iteration)
            has = "EXISTS (SELECT 1 FROM image_tags t WHERE t.iteration = ? AND t.image = i.id)"
            if self.status != "All":
                clauses.append(has if self.status == "Tagged" else f"NOT {has}")
                values.append(self.iteration)
        else:
            clauses.append("i.present = 1")
            tagged = {"Tagged": "(1)", "Untagged": "(0)", "All": "(0, 1)"}[self.status]
            clauses.append(f"i.tagged IN {tagged}")
        if self.tags:
            marks = ",".join("?" * len(self.tags))
            clauses.append(
                "EXISTS (SELECT 1 FROM image_tags t WHERE t.iteration = ? AND t.image = i.id "
                f"AND t.tag IN ({marks}))"
            )
            values += [self.iteration, *self.tags]
        return "FROM images i WHERE " + " AND ".join(clauses), values

    def count(self, keep: Callable[[Any], bool] | None) -> int:
        """Return the number of images."""
        tail, values = self.where()
        if keep is None:
            return int(self.request.resource.state.scalar(f"SELECT count(*) {tail}", *values))
        return sum(
            keep(row)
            for row in self.request.resource.state.db.execute(f"SELECT i.metadata {tail}", values)
        )

    def page(self, keep: Callable[[Any], bool] | None) -> list[Any]:
        """Return the rows of the requested page.

        The order is newest first unless orderBy is Oldest. Ties are in SQL Server's order of ids.
        """
        order = self.request.choice("orderBy", ("Newest", "Oldest"))
        tail, values = self.where()
        query = (
            f"SELECT i.* {tail} ORDER BY i.created {'DESC' if order == 'Newest' else 'ASC'}, i.id"
        )
        take, skip = self.request.take, self.request.skip
        if keep is None:
            return self.request.resource.state.rows(
                f"{query} LIMIT ? OFFSET ?", *values, take, skip
            )
        kept = [row for row in self.request.resource.state.db.execute(query, values) if keep(row)]
        return kept[skip : skip + take]


def _iteration(request: ApiRequest, project: bytes) -> bytes:
    key = request.optional_key("iterationId")
    if key is None or key == request.resource.project(project)["workspace"]:
        return WORKSPACE
    return bytes(request.resource.iteration(project, key)["id"])


def _filter(request: ApiRequest) -> Callable[[Any], bool] | None:
    """Return the predicate of ``$filter``.

    It has metadata pairs with eq and ne, joined by "and" and "or". "and" binds tighter.
    """
    text = request.text("$filter")
    if not text:
        return None
    groups: list[list[tuple[str, bool, str]]] = [[]]
    at = 0
    while True:
        clause = _CLAUSE.match(text, at)
        if not clause:
            raise ServiceFault(
                "BadRequest",
                (
                    f"$filter is invalid at '{text[at : at + 30]}'. Use metadata=key eq 'value' "
                    "or key ne 'value'."
                ),
            )
        key = clause[1] if clause[1] is not None else clause[2]
        groups[-1].append(
            (key.replace("''", "'"), clause[3].lower() == "eq", clause[4].replace("''", "'"))
        )
        at = clause.end()
        if at >= len(text):
            break
        join = _JOIN.match(text, at)
        if not join:
            raise ServiceFault(
                "BadRequest",
                f"$filter is invalid at '{text[at : at + 30]}'. Expected 'and' or 'or'.",
            )
        if join[1].lower() == "or":
            groups.append([])
        at = join.end()

    def keep(row: Any) -> bool:
        metadata = json.loads(row["metadata"]) if row["metadata"] else {}
        return any(
            all((metadata.get(key) == value) == equal for key, equal, value in group)
            for group in groups
        )

    return keep


def _list(request: ApiRequest, status: str) -> ApiResponse:
    selection = _Selection(request, status)
    rows = selection.page(_filter(request))
    images = images_json(request.resource, rows, request.version, iteration=selection.iteration)
    return ApiResponse(
        value=None
        if not images and request.resource.switches.null_lists and request.version < V.V3_0
        else images
    )


def _status(request: ApiRequest) -> str:
    return request.choice("taggingStatus", ("All", "Tagged", "Untagged"))


@handles("GetTaggedImages", "GetUntaggedImages", "GetImages")
def list_images(request: ApiRequest) -> ApiResponse:
    """Return a page of images."""
    status = {"GetTaggedImages": "Tagged", "GetUntaggedImages": "Untagged"}.get(
        request.operation
    ) or _status(request)
    return _list(request, status)


@handles("GetTaggedImageCount", "GetUntaggedImageCount", "GetImageCount")
def count_images(request: ApiRequest) -> ApiResponse:
    """Return the number of images."""
    status = {"GetTaggedImageCount": "Tagged", "GetUntaggedImageCount": "Untagged"}.get(
        request.operation
    ) or _status(request)
    return ApiResponse(value=_Selection(request, status).count(_filter(request)))


@handles("GetImagesByIds")
def get_images_by_ids(request: ApiRequest) -> ApiResponse:
    """Return images by id, oldest first in any order of ids. Without ids, return the first page of
    all.
    """
    resource = request.resource
    project = resource.project(request.key("projectId"))["id"]
    iteration = _iteration(request, project)
    keys = request.keys("imageIds", limits.IDS_PER_GET)
    where = "project = ?" if iteration else "project = ? AND present = 1"
    if keys:
        where += f" AND id IN ({','.join('?' * len(keys))})"
    rows = resource.state.rows(
        f"SELECT * FROM images WHERE {where} ORDER BY created, id LIMIT ?",
        project,
        *keys,
        limits.IDS_PER_GET.value,
    )
    if resource.switches.strict_ids and len(rows) < len(set(keys)):
        raise ServiceFault("NotFoundImage", "An image was not found.")
    return ApiResponse(value=images_json(resource, rows, request.version, iteration=iteration))


def checked_metadata(request: ApiRequest, given: Any) -> dict[str, str]:
    """Return the metadata of a request. Raise ServiceFault if it exceeds the limits."""
    if not given:
        return {}
    if not isinstance(given, dict):
        raise ServiceFault(
            "BadRequestImageMetadataValue", "Metadata must be a JSON object of strings."
        )
    if request.resource.switches.strict_metadata:
        max_pairs, max_key_length = limits.METADATA_PAIRS.value, limits.METADATA_KEY_LENGTH.value
        max_value_length = limits.METADATA_VALUE_LENGTH.value
    else:
        max_pairs, max_key_length, max_value_length = 50, 256, 512
    if len(given) > max_pairs:
        raise ServiceFault(
            "BadRequestImageMetadataKey",
            f"{len(given)} metadata pairs; at most {max_pairs} are allowed.",
        )
    for key, value in given.items():
        if not key or len(key) > max_key_length:
            raise ServiceFault(
                "BadRequestImageMetadataKey",
                f"The metadata key '{key[:40]}' must have 1 to {max_key_length} characters.",
            )
        if not isinstance(value, str) or len(value) > max_value_length:
            raise ServiceFault(
                "BadRequestImageMetadataValue",
                f"The value of '{key}' must be a string of at most {max_value_length} characters.",
            )
    return given


def merged_metadata(row: Any, more: dict[str, str], max_pairs: int) -> dict[str, str] | None:
    """Return the metadata of an image updated with `more`, or None for too many pairs."""
    merged = (json.loads(row["metadata"]) if row["metadata"] else {}) | more
    return merged if len(merged) <= max_pairs else None


@handles("UpdateImageMetadata")
def update_image_metadata(request: ApiRequest) -> ApiResponse:
    """Update the metadata of images. Each image has its own status."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))["id"]
    limit = (
        limits.IMAGES_PER_METADATA_UPDATE
        if resource.switches.strict_metadata
        else limits.IDS_PER_GET
    )
    keys = request.keys("imageIds", limit)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds is required.")
    given = checked_metadata(request, request.json)
    max_pairs = limits.METADATA_PAIRS.value if resource.switches.strict_metadata else 50
    results: list[dict[str, Any]] = []
    for key in keys:
        row = state.row(
            "SELECT * FROM images WHERE id = ? AND project = ? AND present = 1", key, project
        )
        merged = merged_metadata(row, given, max_pairs) if row else None
        if merged is None:
            status = "ErrorImageNotFound" if row is None else "ErrorLimitExceed"
            results.append({"imageId": guid_text(key), "status": status, "metadata": None})
            continue
        state.db.execute("UPDATE images SET metadata = ? WHERE id = ?", (json.dumps(merged), key))
        results.append({"imageId": guid_text(key), "status": "OK", "metadata": merged})
    fine = all(result["status"] == "OK" for result in results)
    mixed = not fine and resource.switches.multi_status
    return ApiResponse(207 if mixed else 200, {"isBatchSuccessful": fine, "images": results})


@handles("DeleteImages")
def delete_images(request: ApiRequest) -> ApiResponse:
    """Delete images by id (204), or all (202, which may take effect later)."""
    resource = request.resource
    project = resource.project(request.key("projectId"))["id"]
    keys = request.keys("imageIds", limits.IDS_PER_DELETE)
    all_images = all_iterations = False
    if request.version >= V.V3_1:
        all_images, all_iterations = request.flag("allImages"), request.flag("allIterations")
    if all_images and keys:
        raise ServiceFault("BadRequestImageBatch", "Give imageIds or allImages, not both.")
    if all_images:
        resource.call_later(
            resource.switches.delete_all_seconds,
            lambda: _delete_all(resource, project, all_iterations),
        )
        return ApiResponse(202)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "No image ids provided")
    marks = ",".join("?" * len(keys))
    where = f"project = ? AND present = 1 AND id IN ({marks})"
    found = [
        row[0]
        for row in resource.state.rows(f"SELECT id FROM images WHERE {where}", project, *keys)
    ]
    if resource.switches.strict_ids and len(found) < len(set(keys)):
        raise ServiceFault("NotFoundImage", "An image was not found.")
    drop_images(resource, found, all_iterations)
    return ApiResponse(202 if all_iterations else 204)


def _delete_all(resource: Resource, project: bytes, all_iterations: bool) -> None:
    present = "" if all_iterations else " AND present = 1"
    drop_images(
        resource,
        [
            row[0]
            for row in resource.state.rows(
                f"SELECT id FROM images WHERE project = ?{present}", project
            )
        ],
        all_iterations,
    )


def drop_images(resource: Resource, keys: list[bytes], all_iterations: bool) -> None:
    """Remove images from the working set.

    Images that no iteration uses are deleted. `all_iterations` deletes them everywhere.
    """
    for start in range(0, len(keys), _DELETE_CHUNK):
        _drop(resource, keys[start : start + _DELETE_CHUNK], all_iterations)


def _drop(resource: Resource, keys: list[bytes], all_iterations: bool) -> None:
    state, db = resource.state, resource.state.db
    among = f"IN ({','.join('?' * len(keys))})"
    scope = "" if all_iterations else " AND iteration = X''"
    for table in ("image_tags", "regions"):
        db.execute(f"DELETE FROM {table} WHERE image {among}{scope}", keys)
    if all_iterations:
        db.execute(f"DELETE FROM iteration_images WHERE image {among}", keys)
    # Images that an iteration was trained on stay, but are hidden.
    db.execute(
        (
            f"UPDATE images SET present = 0 WHERE id {among} AND EXISTS (SELECT 1 FROM "
            "iteration_images WHERE image = images.id)"
        ),
        keys,
    )
    gone = f"id {among} AND NOT EXISTS (SELECT 1 FROM iteration_images WHERE image = images.id)"
    digests = {row[0] for row in state.rows(f"SELECT digest FROM images WHERE {gone}", *keys)}
    db.execute(f"DELETE FROM images WHERE {gone}", keys)
    if resource.switches.keep_images:
        resource.delete_orphans(digests)
