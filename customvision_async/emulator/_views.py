"""Convert rows to the JSON of each version as recorded.

Versions differ in names, order of keys, absent and null members, and dates.
"""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from .._versions import ApiVersion as V
from ._domains import Domain, find_domain
from ._float32 import single
from ._ids import guid_text, instant
from ._resource import Resource
from ._state import WORKSPACE

__all__ = [
    "blob_name",
    "domain_json",
    "images_json",
    "iteration_json",
    "prediction_json",
    "project_json",
    "region_json",
    "tag_json",
    "workspace_json",
]

Json = dict[str, Any]
_AUGMENTATIONS = (
    "rotation",
    "scaling",
    "translation",
    "horizontal flip",
    "equalize",
    "solarize",
    "padtosquare",
)
_RESIZED = 1600
_BEFORE_RESIZED = frozenset((V.V1_2, V.V2_0, V.V2_1))


def blob_name(prefix: str, key: bytes) -> str:
    """Return the name of a blob: a prefix and the id without dashes."""
    return f"{prefix}-{guid_text(key).replace('-', '')}"


def _date(ticks: int, version: V) -> str:
    """Return a date of a project or iteration."""
    if version >= V.V3_0:
        return instant(ticks, digits=3)
    return instant(ticks, digits=2 if version == V.V1_2 else 3, zulu=False)


def _plain(ticks: int) -> str:
    """Return a date of an image, its tags or its regions, which has no Z in any version."""
    return instant(ticks, zulu=False)


def domain_json(domain: Domain, version: V) -> Json:
    """Return a Domain."""
    out: Json = {"id": domain.id, "name": domain.name}
    if version >= V.V2_0:
        out["type"] = domain.type
    out["exportable"] = domain.exportable
    if version >= V.V2_0:
        out["enabled"] = True
    if version >= V.V3_4_PREVIEW:
        out["exportablePlatforms"] = list(domain.platforms)
        model = {
            "estimatedModelSizeInMegabytes": domain.megabytes,
            "description": domain.description,
        }
        out["modelInformation"] = model if domain.exportable else None
    return out


def project_json(resource: Resource, row: Any, version: V) -> Json:
    """Return a Project.

    From v3.2 on it has a status: Importing until the import is complete, then Succeeded or Failed.
    """
    key = row["id"]
    out: Json = {
        "id": guid_text(key),
        "name": row["name"],
        "description": row["description"],
        "settings": _settings(row, version),
    }
    if version == V.V1_2:
        out["currentIterationId"] = guid_text(row["workspace"])
    out["created"] = _date(row["created"], version)
    out["lastModified"] = (
        instant(row["modified"]) if version == V.V1_2 else _date(row["modified"], version)
    )
    thumbnail = row["thumbnail"]
    out["thumbnailUri"] = (
        resource.address(blob_name("i", key), blob_name("t", thumbnail)) if thumbnail else None
    )
    if version >= V.V3_0:
        out["drModeEnabled"] = False
    if version >= V.V3_2:
        out["status"] = _import_status(row["ready"], resource.state.clock.now())
    return out


def _import_status(ready: int | None, now: int) -> str:
    """Return the status of an import.

    `ready` is 0 for a project that was created here and -1 for a failed import.
    """
    if ready is None or ready > now:
        return "Importing"
    return "Succeeded" if ready >= 0 else "Failed"


def _settings(row: Any, version: V) -> Json:
    out: Json = {"domainId": row["domain"]}
    if version == V.V1_2:
        kind = {"Multilabel": "MultiLabel", "Multiclass": "MultiClass"}.get(row["classification"])
        return out | {"classification": kind, "useNegativeSet": True}
    if version >= V.V2_1:
        out["classificationType"] = row["classification"]
    platforms = {"targetExportPlatforms": json.loads(row["platforms"])}
    rest: Json = {"useNegativeSet": True, "detectionParameters": None}
    if version < V.V3_1:
        return out | rest | (platforms if version >= V.V3_0 else {})
    storage = json.loads(row["options"])
    methods = dict.fromkeys(_AUGMENTATIONS, True) | storage.pop("augmentationMethods", {})
    out |= platforms | rest | {"imageProcessingSettings": {"augmentationMethods": methods}}
    return out | (storage if version >= V.V3_3 else {})


def tag_json(row: Any, count: int, version: V) -> Json:
    """Return a Tag with the number of its images."""
    out: Json = {"id": guid_text(row["id"]), "name": row["name"], "description": row["description"]}
    if version >= V.V2_2:
        out["type"] = row["type"]
    out["imageCount"] = count
    return out


def region_json(row: Any, *, name: str | None) -> Json:
    """Return an ImageRegion."""
    return {
        "regionId": guid_text(row["id"]),
        "tagName": name,
        "created": _plain(row["created"]),
        "tagId": guid_text(row["tag"]),
        "left": single(row["left"]),
        "top": single(row["top"]),
        "width": single(row["width"]),
        "height": single(row["height"]),
    }


def images_json(
    resource: Resource,
    rows: Sequence[Any],
    version: V,
    *,
    iteration: bytes = WORKSPACE,
    named: bool = True,
) -> list[Json]:
    """Return images with their tags and regions.

    In the response of a create request the tags have no names (`named` False).
    """
    if not rows:
        return []
    marks = ",".join("?" * len(rows))
    keys = [row["id"] for row in rows]
    tags: dict[bytes, list[Json]] = {}
    names = version >= V.V2_0
    joined = f"LEFT JOIN tags ON tags.id = t.tag WHERE t.iteration = ? AND t.image IN ({marks})"
    for image, tag, created, name in resource.state.db.execute(
        (
            f"SELECT t.image, t.tag, t.created, tags.name FROM image_tags t {joined} ORDER BY "
            "t.image, t.tag"
        ),
        (iteration, *keys),
    ):
        entry: Json = {"tagId": guid_text(tag)}
        if names:
            entry["tagName"] = name if named else None
        entry["created"] = _plain(created)
        tags.setdefault(image, []).append(entry)
    regions: dict[bytes, list[Json]] = {}
    if names:
        query = f"SELECT t.*, tags.name FROM regions t {joined} ORDER BY t.image, t.id"
        for row in resource.state.db.execute(query, (iteration, *keys)):
            regions.setdefault(row["image"], []).append(
                region_json(row, name=row["name"] if named else None)
            )
    frame = resource.frame(blob_name("i", rows[0]["project"]))
    return [
        _image_json(frame, row, version, tags.get(row["id"]), regions.get(row["id"]))
        for row in rows
    ]


def _image_json(
    frame: tuple[str, str],
    row: Any,
    version: V,
    tags: list[Json] | None,
    regions: list[Json] | None,
) -> Json:
    out: Json = {
        "id": guid_text(row["id"]),
        "created": _plain(row["created"]),
        "width": row["width"],
        "height": row["height"],
    }
    out |= _addresses(frame, row, "i", version)
    if tags:
        out["tags"] = tags
    if regions:
        out["regions"] = regions
    if row["metadata"] and version >= V.V3_3:
        out["metadata"] = json.loads(row["metadata"])
    return out


def _addresses(frame: tuple[str, str], row: Any, letter: str, version: V) -> Json:
    before, after = frame
    name = guid_text(row["id"]).replace("-", "")
    original = resized = f"{before}{letter}-{name}{after}"
    thumbnail = f"{before}t-{name}{after}"
    if max(row["width"], row["height"]) > _RESIZED:
        resized = f"{before}r-{name}{after}"
    if version in _BEFORE_RESIZED:
        return {"imageUri": resized, "thumbnailUri": thumbnail}
    return {"resizedImageUri": resized, "thumbnailUri": thumbnail, "originalImageUri": original}


def iteration_json(resource: Resource, row: Any, version: V, *, fresh: bool = False) -> Json:
    """Return an Iteration.

    During training, and in the response of the train request (`fresh`), it has no domain and no
    date of training.
    """
    now = resource.state.clock.now()
    done = row["ready"] <= now and not fresh
    out: Json = {"id": guid_text(row["id"]), "name": row["name"]}
    if version < V.V3_0:
        out["isDefault"] = bool(row["is_default"])
    out["status"] = "Completed" if done else "Training"
    out["created"] = _date(row["created"], version)
    out["lastModified"] = _date(
        max(row["modified"], row["ready"]) if done else row["modified"], version
    )
    if done:
        out["trainedAt"] = _date(row["ready"], version)
    domain = find_domain(row["domain"])
    exportable = bool(done and domain and domain.exportable)
    out |= {"projectId": guid_text(row["project"]), "exportable": exportable}
    if version >= V.V3_0:
        out["exportableTo"] = [*domain.platforms] if exportable and domain else None
    out["domainId"] = row["domain"] if done else None
    if version >= V.V2_1:
        out["classificationType"] = row["classification"] if done else None
    return out | _training_json(row, version, done)


def workspace_json(project: Any) -> Json:
    """Return the workspace of a project as v1.2 shows it: an iteration with status New and no
    domain.
    """
    return {
        "id": guid_text(project["workspace"]),
        "name": f"Iteration {project['trained'] + 1}",
        "isDefault": False,
        "status": "New",
        "created": _date(project["workspace_since"], V.V1_2),
        "lastModified": _date(project["workspace_since"], V.V1_2),
        "projectId": guid_text(project["id"]),
        "exportable": False,
        "domainId": None,
    }


def _training_json(row: Any, version: V, done: bool) -> Json:
    out: Json = {}
    if version >= V.V3_0:
        out |= {"trainingType": row["training_type"], "reservedBudgetInHours": row["budget"]}
    if version >= V.V3_1:
        out["trainingTimeInMinutes"] = 1 if done else 0
    if version >= V.V3_0:
        out["publishName"] = row["publish_name"]
    if version >= V.V3_1:
        out["originalPublishResourceId"] = row["publish_resource"]
    if version >= V.V3_4_PREVIEW:
        out |= {
            "customBaseModelInfo": json.loads(row["base"]) if row["base"] else None,
            "trainingErrorDetails": None,
        }
    return out


def prediction_json(
    resource: Resource, row: Any, version: V, *, stored: bool = False, images: bool = False
) -> Json:
    """Return an ImagePrediction.

    `stored` adds the addresses of the image: those of a stored prediction, or (`images`) those of
    an image of the project.
    """
    out: Json = {}
    project = guid_text(row["project"])
    if stored:
        place = (
            (blob_name("i", row["project"]), "i")
            if images
            else (f"predictionimages/{project}", "o")
        )
        out |= _addresses(resource.frame(place[0]), row, place[1], version)
        if version >= V.V2_0:
            out["domain"] = row["domain"]
    out |= {
        "id": guid_text(row["id"]),
        "project": project,
        "iteration": guid_text(row["iteration"]),
    }
    out["created"] = instant(row["created"], digits=3 if version >= V.V3_0 else 7)
    out["predictions"] = list(scores_json(json.loads(row["results"]), version))
    if version == V.V1_2 and stored:  # v1.2 puts the image last
        out = {
            key: out[key]
            for key in (
                "id",
                "project",
                "iteration",
                "created",
                "predictions",
                "imageUri",
                "thumbnailUri",
            )
        }
    return out


def scores_json(scores: Iterable[Json], version: V) -> Iterable[Json]:
    """Yield the scores of a prediction.

    v1.2 and Prediction v1.1 put the tag first and call its name "Tag".
    """
    for score in scores:
        if version == V.V1_2:
            yield {
                "tagId": score["tagId"],
                "tag": score["tagName"],
                "probability": single(score["probability"]),
            }
            continue
        out: Json = {
            "probability": single(score["probability"]),
            "tagId": score["tagId"],
            "tagName": score["tagName"],
        }
        if box := score.get("box"):
            out["boundingBox"] = {
                side: single(value)
                for side, value in zip(("left", "top", "width", "height"), box, strict=True)
            }
        if version >= V.V3_3:
            out["tagType"] = score["tagType"]
        yield out
