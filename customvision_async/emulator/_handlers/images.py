"""Images that are there: lists, counts, metadata, deletion."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .._api_request import Answer, Call, handles
from .._ids import guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._state import WORKSPACE
from .._views import images_json

_CLAUSE = re.compile(
    r"\s*(?:metadata\s*=\s*)?(?:'((?:[^']|'')*)'|([^\s']+))\s+(eq|ne)\s+'((?:[^']|'')*)'\s*",
    re.IGNORECASE,
)
_AT_ONCE = 512
_JOIN = re.compile(r"(and|or)\b", re.IGNORECASE)


class _Selection:
    """Which images a list or a count is of, as SQL."""

    def __init__(self, call: Call, status: str) -> None:
        self.call = call
        self.project: bytes = call.world.project(call.key("projectId"))["id"]
        self.iteration = _iteration(call, self.project)
        self.tags = call.keys(
            "tagIds", limits.TAGS_PER_FILTER if "Count" not in call.operation else None
        )
        self.status = status
        if self.tags and status == "Untagged":
            raise ServiceFault("BadRequest", "tagIds cannot be given for untagged images.")
        for tag in self.tags if call.world.switches.strict_ids else ():
            call.world.tag(self.project, tag)

    def where(self) -> tuple[str, list[Any]]:
        """FROM and WHERE with their values."""
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
        """How many."""
        tail, values = self.where()
        if keep is None:
            return int(self.call.world.state.scalar(f"SELECT count(*) {tail}", *values))
        return sum(
            keep(row)
            for row in self.call.world.state.db.execute(f"SELECT i.metadata {tail}", values)
        )

    def page(self, keep: Callable[[Any], bool] | None) -> list[Any]:
        """The rows of the page asked for: newest first unless Oldest is, ties by SQL Server's order
        of ids.
        """
        order = self.call.choice("orderBy", ("Newest", "Oldest"))
        tail, values = self.where()
        query = (
            f"SELECT i.* {tail} ORDER BY i.created {'DESC' if order == 'Newest' else 'ASC'}, i.id"
        )
        take, skip = self.call.take, self.call.skip
        if keep is None:
            return self.call.world.state.rows(f"{query} LIMIT ? OFFSET ?", *values, take, skip)
        kept = [row for row in self.call.world.state.db.execute(query, values) if keep(row)]
        return kept[skip : skip + take]


def _iteration(call: Call, project: bytes) -> bytes:
    key = call.optional_key("iterationId")
    if key is None or key == call.world.project(project)["workspace"]:
        return WORKSPACE
    return bytes(call.world.iteration(project, key)["id"])


def _filter(call: Call) -> Callable[[Any], bool] | None:
    """``$filter``: metadata pairs with eq and ne, joined by and and or (and binds first)."""
    text = call.text("$filter")
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
                    f"$filter cannot be read at '{text[at : at + 30]}': metadata=key eq 'value' "
                    "and key ne 'value'."
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
                f"$filter cannot be read at '{text[at : at + 30]}': 'and' or 'or' is expected.",
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


def _list(call: Call, status: str) -> Answer:
    selection = _Selection(call, status)
    rows = selection.page(_filter(call))
    images = images_json(call.world, rows, call.version, iteration=selection.iteration)
    return Answer(
        value=None
        if not images and call.world.switches.null_lists and call.version < V.V3_0
        else images
    )


def _status(call: Call) -> str:
    return call.choice("taggingStatus", ("All", "Tagged", "Untagged"))


@handles("GetTaggedImages", "GetUntaggedImages", "GetImages")
def list_images(call: Call) -> Answer:
    """A page of images."""
    status = {"GetTaggedImages": "Tagged", "GetUntaggedImages": "Untagged"}.get(
        call.operation
    ) or _status(call)
    return _list(call, status)


@handles("GetTaggedImageCount", "GetUntaggedImageCount", "GetImageCount")
def count_images(call: Call) -> Answer:
    """How many images there are: a bare number."""
    status = {"GetTaggedImageCount": "Tagged", "GetUntaggedImageCount": "Untagged"}.get(
        call.operation
    ) or _status(call)
    return Answer(value=_Selection(call, status).count(_filter(call)))


@handles("GetImagesByIds")
def get_images_by_ids(call: Call) -> Answer:
    """Images by id, oldest first whatever the order of the request; without ids, a first page of
    all.
    """
    world = call.world
    project = world.project(call.key("projectId"))["id"]
    iteration = _iteration(call, project)
    keys = call.keys("imageIds", limits.IDS_PER_GET)
    where = "project = ?" if iteration else "project = ? AND present = 1"
    if keys:
        where += f" AND id IN ({','.join('?' * len(keys))})"
    rows = world.state.rows(
        f"SELECT * FROM images WHERE {where} ORDER BY created, id LIMIT ?",
        project,
        *keys,
        limits.IDS_PER_GET.value,
    )
    if world.switches.strict_ids and len(rows) < len(set(keys)):
        raise ServiceFault("NotFoundImage", "An image was not found.")
    return Answer(value=images_json(world, rows, call.version, iteration=iteration))


def checked_metadata(call: Call, given: Any) -> dict[str, str]:
    """Metadata of a request, within the limits. Raises Refusal otherwise."""
    if not given:
        return {}
    if not isinstance(given, dict):
        raise ServiceFault(
            "BadRequestImageMetadataValue", "Metadata must be a JSON object of strings."
        )
    if call.world.switches.strict_metadata:
        pairs, key_most = limits.METADATA_PAIRS.value, limits.METADATA_KEY_LENGTH.value
        value_most = limits.METADATA_VALUE_LENGTH.value
    else:
        pairs, key_most, value_most = 50, 256, 512
    if len(given) > pairs:
        raise ServiceFault(
            "BadRequestImageMetadataKey",
            f"{len(given)} metadata pairs; at most {pairs} are allowed.",
        )
    for key, value in given.items():
        if not key or len(key) > key_most:
            raise ServiceFault(
                "BadRequestImageMetadataKey",
                f"The metadata key '{key[:40]}' must have 1 to {key_most} characters.",
            )
        if not isinstance(value, str) or len(value) > value_most:
            raise ServiceFault(
                "BadRequestImageMetadataValue",
                f"The value of '{key}' must be a string of at most {value_most} characters.",
            )
    return given


def merged_metadata(row: Any, more: dict[str, str], pairs: int) -> dict[str, str] | None:
    """The metadata of an image with `more` laid over it, None where it would have too many pairs."""
    merged = (json.loads(row["metadata"]) if row["metadata"] else {}) | more
    return merged if len(merged) <= pairs else None


@handles("UpdateImageMetadata")
def update_image_metadata(call: Call) -> Answer:
    """Lay metadata over what images have; each image has its own status."""
    world, state = call.world, call.world.state
    project = world.project(call.key("projectId"))["id"]
    most = (
        limits.IMAGES_PER_METADATA_UPDATE if world.switches.strict_metadata else limits.IDS_PER_GET
    )
    keys = call.keys("imageIds", most)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds is required.")
    given = checked_metadata(call, call.json)
    pairs = limits.METADATA_PAIRS.value if world.switches.strict_metadata else 50
    results: list[dict[str, Any]] = []
    for key in keys:
        row = state.row(
            "SELECT * FROM images WHERE id = ? AND project = ? AND present = 1", key, project
        )
        merged = merged_metadata(row, given, pairs) if row else None
        if merged is None:
            status = "ErrorImageNotFound" if row is None else "ErrorLimitExceed"
            results.append({"imageId": guid_text(key), "status": status, "metadata": None})
            continue
        state.db.execute("UPDATE images SET metadata = ? WHERE id = ?", (json.dumps(merged), key))
        results.append({"imageId": guid_text(key), "status": "OK", "metadata": merged})
    fine = all(result["status"] == "OK" for result in results)
    mixed = not fine and world.switches.multi_status
    return Answer(207 if mixed else 200, {"isBatchSuccessful": fine, "images": results})


@handles("DeleteImages")
def delete_images(call: Call) -> Answer:
    """Delete images by id (204), or all (202, which may take effect later)."""
    world = call.world
    project = world.project(call.key("projectId"))["id"]
    keys = call.keys("imageIds", limits.IDS_PER_DELETE)
    everything = everywhere = False
    if call.version >= V.V3_1:
        everything, everywhere = call.flag("allImages"), call.flag("allIterations")
    if everything and keys:
        raise ServiceFault("BadRequestImageBatch", "Give imageIds or allImages, not both.")
    if everything:
        world.later(
            world.switches.delete_all_seconds, lambda: _delete_all(world, project, everywhere)
        )
        return Answer(202)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "No image ids provided")
    marks = ",".join("?" * len(keys))
    where = f"project = ? AND present = 1 AND id IN ({marks})"
    found = [
        row[0] for row in world.state.rows(f"SELECT id FROM images WHERE {where}", project, *keys)
    ]
    if world.switches.strict_ids and len(found) < len(set(keys)):
        raise ServiceFault("NotFoundImage", "An image was not found.")
    drop_images(world, found, everywhere)
    return Answer(202 if everywhere else 204)


def _delete_all(world: Resource, project: bytes, everywhere: bool) -> None:
    present = "" if everywhere else " AND present = 1"
    drop_images(
        world,
        [
            row[0]
            for row in world.state.rows(
                f"SELECT id FROM images WHERE project = ?{present}", project
            )
        ],
        everywhere,
    )


def drop_images(world: Resource, keys: list[bytes], everywhere: bool) -> None:
    """Take images out of the working set, and out of the store where no iteration has them (or
    `everywhere`).
    """
    for start in range(0, len(keys), _AT_ONCE):
        _drop(world, keys[start : start + _AT_ONCE], everywhere)


def _drop(world: Resource, keys: list[bytes], everywhere: bool) -> None:
    state, db = world.state, world.state.db
    among = f"IN ({','.join('?' * len(keys))})"
    scope = "" if everywhere else " AND iteration = X''"
    for table in ("image_tags", "regions"):
        db.execute(f"DELETE FROM {table} WHERE image {among}{scope}", keys)
    if everywhere:
        db.execute(f"DELETE FROM iteration_images WHERE image {among}", keys)
    # What an iteration was trained on stays, out of sight.
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
    if world.switches.keep_images:
        world.delete_orphans(digests)
