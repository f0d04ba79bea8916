"""Suggestions: predictions of a model for images without tags."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from ... import limits
from .. import _model
from .._api_request import ApiRequest, ApiResponse, handles_slowly
from .._bodies import field, keys_field, match_any_case, number_field, text_field
from .._ids import guid_text
from .._service_fault import ServiceFault
from .._views import prediction_json
from .iterations import require_trained

_DEFAULT_PAGE_SIZE = 64
_Scored = tuple[Any, list[dict[str, Any]]]
"""The row of an image and its scores."""


async def _suggestions(
    request: ApiRequest, project: Any, iteration: Any, rows: list[Any]
) -> list[list[dict[str, Any]]]:
    model = _model.model_of(request.resource, require_trained(request.resource, iteration))
    images = [request.resource.image_content(row["digest"]) or row["digest"] for row in rows]
    known = [
        _model.known_scores(request.resource, model, project["id"], row["digest"]) for row in rows
    ]
    return await asyncio.to_thread(
        lambda: [scores or model.predict(data) for scores, data in zip(known, images, strict=True)]
    )


def _suggestion(
    request: ApiRequest, row: Any, iteration: Any, scores: list[dict[str, Any]], *, stored: bool
) -> dict[str, Any]:
    view = prediction_json(
        request.resource,
        dict(row)
        | {
            "iteration": iteration["id"],
            "results": json.dumps(scores),
            "domain": iteration["domain"],
        },
        request.version,
        stored=stored,
        images=True,
    )
    sides = {"width": row["width"], "height": row["height"]} if stored else {}
    return (
        sides
        | view
        | {"predictionUncertainty": msgspec.Raw(repr(_model.uncertainty(scores)).encode())}
    )


@handles_slowly("SuggestTagsAndRegions")
async def suggest_tags_and_regions(request: ApiRequest) -> ApiResponse:
    """Return the suggestions of an iteration for up to 64 images."""
    resource = request.resource
    project = resource.project(request.key("projectId"))
    request.required("iterationId")
    iteration = resource.iteration(project["id"], request.optional_key("iterationId") or b"")
    keys = request.keys("imageIds", limits.IMAGES_PER_SUGGESTION)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds is required.")
    rows = [resource.image(project["id"], key) for key in keys]
    scores = await _suggestions(request, project, iteration, rows)
    return ApiResponse(
        value=[
            _suggestion(request, row, iteration, score, stored=False)
            for row, score in zip(rows, scores, strict=True)
        ]
    )


@handles_slowly("QuerySuggestedImageCount")
async def query_suggested_image_count(request: ApiRequest) -> ApiResponse:
    """Return the number of untagged images that reach the threshold, by tag."""
    given = request.json
    iteration, scored = await _score_untagged(request)
    tags, threshold = _tags_and_threshold(given)
    names = tags or [tag["tagId"] for tag in json.loads(iteration["tags"])]
    return ApiResponse(
        value={
            tag: sum(_scores_enough(scores, [tag], threshold) for _, scores in scored)
            for tag in names
        }
    )


@handles_slowly("QuerySuggestedImages")
async def query_suggested_images(request: ApiRequest) -> ApiResponse:
    """Return a page of the untagged images that reach the threshold for one of the tags."""
    given = request.json
    iteration, scored = await _score_untagged(request)
    tags, threshold = _tags_and_threshold(given)
    found = [pair for pair in scored if _scores_enough(pair[1], tags, threshold)]
    sort = text_field(given, "sortBy") or "UncertaintyAscending"
    sort = match_any_case(sort, ("UncertaintyAscending", "UncertaintyDescending")) or sort
    found.sort(
        key=lambda pair: (_model.uncertainty(pair[1]), pair[0]["id"]),
        reverse=sort == "UncertaintyDescending",
    )
    page, continuation = _page(given, found)
    token = {
        "tagIds": tags,
        "threshold": threshold,
        "session": field(given, "session") or guid_text(request.resource.state.ids.key()),
        "continuation": continuation,
        "maxCount": field(given, "maxCount") or 0,
        "sortBy": sort,
    }
    results = [_suggestion(request, row, iteration, scores, stored=True) for row, scores in page]
    return ApiResponse(value={"token": token, "results": results})


async def _score_untagged(request: ApiRequest) -> tuple[Any, list[_Scored]]:
    """Return the requested iteration, and the untagged images with their scores."""
    resource = request.resource
    project = resource.project(request.key("projectId"))
    request.required("iterationId")
    iteration = resource.iteration(project["id"], request.optional_key("iterationId") or b"")
    rows = resource.state.rows(
        (
            "SELECT * FROM images WHERE project = ? AND present = 1 AND tagged = 0 ORDER BY "
            "created, id"
        ),
        project["id"],
    )
    scores = await _suggestions(request, project, iteration, rows)
    return iteration, list(zip(rows, scores, strict=True))


def _tags_and_threshold(given: Any) -> tuple[list[str], float]:
    """Return the requested tags (an empty list means all) and the threshold."""
    tags = [guid_text(key) for key in keys_field(given, "tagIds")]
    return tags, number_field(given, "threshold", 0.0)


def _scores_enough(scores: list[dict[str, Any]], tags: list[str], threshold: float) -> bool:
    return any(
        score["probability"] >= threshold and (not tags or score["tagId"] in tags)
        for score in scores
    )


def _page(given: Any, found: list[_Scored]) -> tuple[list[_Scored], str | None]:
    """Return the page after the continuation, and the continuation of the next page."""
    continuation = text_field(given, "continuation")
    ids = [guid_text(row["id"]) for row, _ in found]
    if continuation and continuation not in ids:
        raise ServiceFault(
            "BadRequestInvalid",
            "The continuation token is stale. Start the query again without it.",
        )
    start = ids.index(continuation) + 1 if continuation else 0
    asked = max(number_field(given, "maxCount", _DEFAULT_PAGE_SIZE), 0)
    end = start + (int(min(asked, limits.MAX_PAGE_SIZE.value)) or _DEFAULT_PAGE_SIZE)
    return found[start:end], ids[end - 1] if end < len(found) else None
