"""The performance of a trained iteration: invented but plausible figures, the same each time."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import hashlib
import json
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .. import _model
from .._api_request import ApiRequest, ApiResponse, handles
from .._float32 import single
from .._ids import guid_key
from .._service_fault import ServiceFault
from .._views import images_json, scores_json
from .iterations import require_trained

_TEST_SHARE = 5  # every fifth image is a test image: 2 of 10 in the recording


def _iteration(request: ApiRequest) -> Any:
    project = request.resource.project(request.key("projectId"))["id"]
    return require_trained(
        request.resource, request.resource.iteration(project, request.key("iterationId"))
    )


def _fraction(request: ApiRequest, name: str, default: float) -> float:
    value = request.number(name)
    if value is None:
        if name == "threshold" and request.version == V.V1_2:
            raise ServiceFault("BadRequestRequiredParamIsNull", "threshold is required.")
        return default
    if not 0 <= value <= 1:
        raise ServiceFault("BadRequest", f"{name} must be between 0 and 1, not {value}.")
    return value


def _figures(seed: bytes, threshold: float, overlap: float) -> dict[str, float]:
    """Return figures whose precision rises with the threshold while recall falls.

    Both fall as the required overlap of boxes rises.
    """
    noise = hashlib.blake2b(seed, digest_size=2).digest()
    skill = 0.85 + 0.12 * noise[0] / 255
    strict = 1 - 0.2 * max(0.0, overlap - 0.3)
    precision = min(1.0, skill + (1 - skill) * threshold) * strict
    recall = max(0.0, min(1.0, skill + 0.1 - 0.3 * threshold**2)) * strict
    return {"precision": precision, "recall": recall, "averagePrecision": (skill + 0.02) * strict}


def _shown(figures: dict[str, float], version: V) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name in ("precision", "recall"):
        out |= {name: single(figures[name]), f"{name}StdDeviation": single(0.0)}
    if version > V.V1_2:
        out["averagePrecision"] = single(figures["averagePrecision"])
    return out


@handles("GetIterationPerformance")
def get_iteration_performance(request: ApiRequest) -> ApiResponse:
    """Return precision and recall, overall and by tag."""
    row = _iteration(request)
    threshold, overlap = (
        _fraction(request, "threshold", 0.5),
        _fraction(request, "overlapThreshold", 0.3),
    )
    tags = []
    all_figures = []
    for tag in json.loads(row["tags"]):
        figures = _figures(row["fingerprint"] + guid_key(tag["tagId"]), threshold, overlap)
        all_figures.append(figures)
        tags.append({"id": tag["tagId"], "name": tag["tagName"]} | _shown(figures, request.version))
    mean = {
        name: sum(figures[name] for figures in all_figures) / len(all_figures)
        for name in all_figures[0]
    }
    return ApiResponse(value={"perTagPerformance": tags} | _shown(mean, request.version))


def _tested(request: ApiRequest, row: Any) -> list[Any]:
    """Return the test images that have any of the requested tags, newest first unless asked
    otherwise.
    """
    tags = request.keys(
        "tagIds", limits.TAGS_PER_FILTER if "Count" not in request.operation else None
    )
    rows = request.resource.state.rows(
        (
            "SELECT i.* FROM iteration_images m JOIN images i ON i.id = m.image WHERE m.iteration "
            "= ? ORDER BY i.created, i.id"
        ),
        row["id"],
    )[::_TEST_SHARE]
    if (request.text("orderBy") or "Newest").lower() == "newest":
        rows.reverse()
    if not tags:
        return rows
    marks = ",".join("?" * len(tags))
    having = request.resource.state.rows(
        f"SELECT image FROM image_tags WHERE iteration = ? AND tag IN ({marks})", row["id"], *tags
    )
    wanted = {image[0] for image in having}
    return [image for image in rows if image["id"] in wanted]


@handles("GetImagePerformances")
def get_image_performances(request: ApiRequest) -> ApiResponse:
    """Return a page of the test images, each with its predictions."""
    row = _iteration(request)
    model = _model.model_of(request.resource, row)
    rows = _tested(request, row)[request.skip : request.skip + request.take]
    results = []
    for image, view in zip(
        rows, images_json(request.resource, rows, V.V2_0, iteration=row["id"]), strict=True
    ):
        scores = _model.known_scores(request.resource, model, row["project"], image["digest"]) or []
        results.append({"predictions": list(scores_json(scores, request.version))} | view)
    return ApiResponse(value=results)


@handles("GetImagePerformanceCount")
def get_image_performance_count(request: ApiRequest) -> ApiResponse:
    """Return the number of test images."""
    return ApiResponse(value=len(_tested(request, _iteration(request))))
