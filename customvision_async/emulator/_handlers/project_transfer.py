"""Export a project to a token and import it, within one emulator or between two."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from .. import _image_files
from .._api_request import ApiRequest, ApiResponse, handles, handles_slowly
from .._blobs import BLOBS
from .._ids import guid_text
from .._image_files import InvalidImage
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import blob_name, project_json
from .projects import check_project_quota, free_name

_BLOB = "project-export-info"
_MANIFEST_BYTES = 1 << 30
_MAX_FETCHES = 8


@handles("ExportProject")
def export_project(request: ApiRequest) -> ApiResponse:
    """Return the size of a project, and a token that another resource can import for a day."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))["id"]
    if state.scalar(
        "SELECT 1 FROM iterations WHERE project = ? AND ready > ?", project, state.clock.now()
    ):
        raise ServiceFault(
            "BadRequestExportWhileTraining",
            "The project is in training. Export it when the training is completed.",
        )
    images = state.scalar("SELECT count(*) FROM images WHERE project = ? AND present = 1", project)
    regions = (
        "SELECT count(*) FROM regions r JOIN images i ON i.id = r.image "
        "WHERE r.iteration = X'' AND i.project = ? AND i.present = 1"
    )
    token = resource.address(blob_name("prjexp", project), _BLOB)
    return ApiResponse(
        value={
            "iterationCount": state.scalar(
                "SELECT count(*) FROM iterations WHERE project = ?", project
            ),
            "imageCount": images,
            "tagCount": state.scalar("SELECT count(*) FROM tags WHERE project = ?", project),
            "regionCount": state.scalar(regions, project),
            "estimatedImportTimeInMS": 5000 + 8 * images,
            "token": token if "://" in token else f"{resource.endpoint}/{token}",
        }
    )


_PROJECT_COLUMNS = (
    "name",
    "description",
    "domain",
    "classification",
    "platforms",
    "options",
    "trained",
)
_ITERATION_COLUMNS = (
    "name",
    "domain",
    "classification",
    "created",
    "modified",
    "ready",
    "training_type",
    "budget",
)


def _manifest(resource: Resource, project: bytes, blob: str) -> bytes | None:
    """Return the project that a token refers to as JSON, with images and tags numbered."""
    state = resource.state
    row = state.row("SELECT * FROM projects WHERE id = ?", project)
    if row is None or blob != _BLOB:
        return None
    tags = state.rows("SELECT * FROM tags WHERE project = ? ORDER BY id", project)
    images = state.rows("SELECT * FROM images WHERE project = ? ORDER BY created, id", project)
    number = {item["id"]: index for rows in (tags, images) for index, item in enumerate(rows)}
    iterations = state.rows(
        "SELECT * FROM iterations WHERE project = ? ORDER BY created, id", project
    )
    return msgspec.json.encode(
        {
            "project": {key: row[key] for key in _PROJECT_COLUMNS},
            "tags": [[tag["name"], tag["description"], tag["type"]] for tag in tags],
            "images": [_exported_image(resource, project, image) for image in images],
            "sets": [
                _exported_links(resource, project, iteration, number)
                for iteration in (b"", *(item["id"] for item in iterations))
            ],
            "iterations": [
                {key: item[key] for key in _ITERATION_COLUMNS}
                | {"tags": _trained_tags(item, number)}
                for item in iterations
            ],
        }
    )


def _exported_image(resource: Resource, project: bytes, image: Any) -> list[Any]:
    address = resource.address(blob_name("i", project), blob_name("i", image["id"]))
    return [address, image["created"], image["metadata"], image["present"]]


def _trained_tags(iteration: Any, number: dict[bytes, int]) -> list[int]:
    from .._ids import guid_key

    keys = [guid_key(tag["tagId"]) for tag in json.loads(iteration["tags"])]
    return [number[key] for key in keys if key in number]


def _exported_links(
    resource: Resource, project: bytes, iteration: bytes, number: dict[bytes, int]
) -> dict[str, Any]:
    joined = "JOIN images i ON i.id = t.image WHERE t.iteration = ? AND i.project = ?"
    pairs = resource.state.rows(
        f"SELECT t.image, t.tag, t.created FROM image_tags t {joined}", iteration, project
    )
    boxes = resource.state.rows(
        f"SELECT t.image, t.tag, t.created, left, top, t.width, t.height FROM regions t {joined}",
        iteration,
        project,
    )
    numbered = [
        [[number[row[0]], number.get(row[1]), *row[2:]] for row in rows] for rows in (pairs, boxes)
    ]
    return {"pairs": numbered[0], "boxes": numbered[1]}


BLOBS["prjexp"] = _manifest


@handles_slowly("ImportProject")
async def import_project(request: ApiRequest) -> ApiResponse:
    """Create a project from a token. Its content is imported in the background."""
    resource, state = request.resource, request.resource.state
    try:
        manifest = msgspec.json.decode(
            await resource.fetch(request.required("token"), _MANIFEST_BYTES)
        )
        given = manifest["project"]
    except (InvalidImage, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        raise ServiceFault(
            "BadRequestInvalidImportToken",
            "The token is invalid or has expired. Export the project again.",
        ) from None
    with state.transaction() as db:
        check_project_quota(resource)
        key, now = state.ids.key(), state.clock.now()
        name = free_name(resource, request.text("name") or given["name"])
        columns = (
            "id, name, description, domain, classification, platforms, options, created, "
            "modified, workspace, workspace_since, trained"
        )
        copied = [
            given[column]
            for column in ("description", "domain", "classification", "platforms", "options")
        ]
        values = (key, name, *copied, now, now, state.ids.key(), now, given["trained"])
        db.execute(
            f"INSERT INTO projects ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )
        response = ApiResponse(value=project_json(resource, resource.project(key), request.version))
    resource.start_task(_import_content(resource, key, manifest, now))
    return response


async def _import_content(resource: Resource, project: bytes, manifest: Any, started: int) -> None:
    """Fetch the images and create the content.

    The project is then Succeeded, but not before the time of the switch `import_seconds`, or
    Failed.
    """
    state = resource.state
    limit = asyncio.Semaphore(_MAX_FETCHES)

    async def fetch_image(image: list[Any]) -> _image_files.InspectedImage:
        async with limit:
            return resource.inspect(await resource.fetch(image[0], 64 << 20), max_bytes=64 << 20)

    try:
        contents = await asyncio.gather(*(fetch_image(image) for image in manifest["images"]))
        with state.transaction():
            thumbnail = _create_content(resource, project, manifest, contents)
        ready = max(state.clock.now(), started + int(resource.switches.import_seconds * 1e7))
    except (InvalidImage, KeyError, IndexError, TypeError, ValueError):
        thumbnail, ready = None, -1
    state.db.execute(
        "UPDATE projects SET ready = ?, modified = ?, thumbnail = ? WHERE id = ?",
        (ready, state.clock.now(), thumbnail, project),
    )


def _create_content(
    resource: Resource, project: bytes, manifest: Any, contents: list[_image_files.InspectedImage]
) -> bytes | None:
    """Create everything in a manifest, and return the key of the image for the thumbnail."""
    ids, db = resource.state.ids, resource.state.db
    tags = [ids.key() for _ in manifest["tags"]]
    db.executemany(
        "INSERT INTO tags VALUES (?, ?, ?, ?, ?)",
        [(key, project, *tag) for key, tag in zip(tags, manifest["tags"], strict=True)],
    )
    images = _create_images(resource, project, manifest, contents)
    iterations = [ids.key() for _ in manifest["iterations"]]
    for iteration, links in zip([b"", *iterations], manifest["sets"], strict=True):
        _create_links(resource, iteration, links, images, tags)
    for key, given in zip(iterations, manifest["iterations"], strict=True):
        _create_iteration(resource, project, key, given, manifest["tags"], tags)
    return images[0] if images else None


def _create_images(
    resource: Resource, project: bytes, manifest: Any, contents: list[_image_files.InspectedImage]
) -> list[bytes]:
    """Create the images, and return their keys in the order of the manifest."""
    images = [resource.state.ids.key() for _ in contents]
    columns = "id, project, created, width, height, digest, metadata, present"
    for key, image, (_, created, metadata, present) in zip(
        images, contents, manifest["images"], strict=True
    ):
        resource.keep(image)
        size = image.width, image.height
        resource.state.db.execute(
            f"INSERT INTO images ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (key, project, created, *size, image.digest, metadata, present),
        )
    return images


def _create_links(
    resource: Resource, iteration: bytes, links: Any, images: list[bytes], tags: list[bytes]
) -> None:
    """Create the tags and regions of images in an iteration or in the working set."""
    ids, db = resource.state.ids, resource.state.db
    pairs = [
        (iteration, images[image], tags[tag], created)
        for image, tag, created in links["pairs"]
        if tag is not None
    ]
    db.executemany("INSERT INTO image_tags VALUES (?, ?, ?, ?)", pairs)
    boxes = [
        (iteration, ids.key(), images[box[0]], tags[box[1]], *box[2:])
        for box in links["boxes"]
        if box[1] is not None
    ]
    db.executemany("INSERT INTO regions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", boxes)
    if iteration:
        db.executemany(
            "INSERT OR IGNORE INTO iteration_images VALUES (?, ?)",
            [(iteration, pair[1]) for pair in pairs],
        )


def _create_iteration(
    resource: Resource, project: bytes, key: bytes, given: Any, described: Any, tags: list[bytes]
) -> None:
    """Create an iteration. `described` are the tags in the manifest and `tags` their keys."""
    trained_on = [
        {
            "tagId": guid_text(tags[number]),
            "tagName": described[number][0],
            "tagType": described[number][2],
        }
        for number in given["tags"]
    ]
    row = {name: value for name, value in given.items() if name != "tags"}
    row |= {"id": key, "project": project, "tags": json.dumps(trained_on), "fingerprint": key}
    resource.state.db.execute(
        f"INSERT INTO iterations ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
        tuple(row.values()),
    )
