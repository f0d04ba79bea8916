"""Suggestions: what a model would say of images that have no tags."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec

from ... import limits
from .. import _model
from .._api_request import Answer, Call, handles_slowly
from .._bodies import any_case, field, keys_field, number_field, text_field
from .._ids import guid_text
from .._service_fault import ServiceFault
from .._views import prediction_json
from .iterations import trained

_PAGE = 64
_Scored = tuple[Any, list[dict[str, Any]]]
"""The row of an image and its scores."""


async def _suggestions(
    call: Call, project: Any, iteration: Any, rows: list[Any]
) -> list[list[dict[str, Any]]]:
    model = _model.model_of(call.world, trained(call.world, iteration))
    images = [call.world.image_content(row["digest"]) or row["digest"] for row in rows]
    known = [_model.known_scores(call.world, model, project["id"], row["digest"]) for row in rows]
    return await asyncio.to_thread(
        lambda: [was or model.guess(data) for was, data in zip(known, images, strict=True)]
    )


def _suggestion(
    call: Call, row: Any, iteration: Any, scores: list[dict[str, Any]], *, stored: bool
) -> dict[str, Any]:
    view = prediction_json(
        call.world,
        dict(row)
        | {
            "iteration": iteration["id"],
            "results": json.dumps(scores),
            "domain": iteration["domain"],
        },
        call.version,
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
async def suggest_tags_and_regions(call: Call) -> Answer:
    """What an iteration would say of up to 64 images."""
    world = call.world
    project = world.project(call.key("projectId"))
    call.required("iterationId")
    iteration = world.iteration(project["id"], call.optional_key("iterationId") or b"")
    keys = call.keys("imageIds", limits.IMAGES_PER_SUGGESTION)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "imageIds is required.")
    rows = [world.image(project["id"], key) for key in keys]
    scores = await _suggestions(call, project, iteration, rows)
    return Answer(
        value=[
            _suggestion(call, row, iteration, score, stored=False)
            for row, score in zip(rows, scores, strict=True)
        ]
    )


@handles_slowly("QuerySuggestedImageCount")
async def query_suggested_image_count(call: Call) -> Answer:
    """Return how many untagged images each tag scores above the threshold for."""
    given = call.json
    iteration, scored = await _untagged(call)
    tags, least = _wanted(given)
    names = tags or [tag["tagId"] for tag in json.loads(iteration["tags"])]
    return Answer(
        value={
            tag: sum(_scores_enough(scores, [tag], least) for _, scores in scored) for tag in names
        }
    )


@handles_slowly("QuerySuggestedImages")
async def query_suggested_images(call: Call) -> Answer:
    """Return a page of the untagged images for which one of the tags scores above the threshold."""
    given = call.json
    iteration, scored = await _untagged(call)
    tags, least = _wanted(given)
    found = [pair for pair in scored if _scores_enough(pair[1], tags, least)]
    sort = text_field(given, "sortBy") or "UncertaintyAscending"
    sort = any_case(sort, ("UncertaintyAscending", "UncertaintyDescending")) or sort
    found.sort(
        key=lambda pair: (_model.uncertainty(pair[1]), pair[0]["id"]),
        reverse=sort == "UncertaintyDescending",
    )
    page, continuation = _page(given, found)
    token = {
        "tagIds": tags,
        "threshold": least,
        "session": field(given, "session") or guid_text(call.world.state.ids.key()),
        "continuation": continuation,
        "maxCount": field(given, "maxCount") or 0,
        "sortBy": sort,
    }
    results = [_suggestion(call, row, iteration, scores, stored=True) for row, scores in page]
    return Answer(value={"token": token, "results": results})


async def _untagged(call: Call) -> tuple[Any, list[_Scored]]:
    """Return the iteration asked for, and the untagged images with its scores."""
    world = call.world
    project = world.project(call.key("projectId"))
    call.required("iterationId")
    iteration = world.iteration(project["id"], call.optional_key("iterationId") or b"")
    rows = world.state.rows(
        (
            "SELECT * FROM images WHERE project = ? AND present = 1 AND tagged = 0 ORDER BY "
            "created, id"
        ),
        project["id"],
    )
    scores = await _suggestions(call, project, iteration, rows)
    return iteration, list(zip(rows, scores, strict=True))


def _wanted(given: Any) -> tuple[list[str], float]:
    """Return the tags asked for, none for all, and the threshold."""
    tags = [guid_text(key) for key in keys_field(given, "tagIds")]
    return tags, number_field(given, "threshold", 0.0)


def _scores_enough(scores: list[dict[str, Any]], tags: list[str], least: float) -> bool:
    return any(
        score["probability"] >= least and (not tags or score["tagId"] in tags) for score in scores
    )


def _page(given: Any, found: list[_Scored]) -> tuple[list[_Scored], str | None]:
    """Return the page that follows the continuation, and the continuation of the next one."""
    continuation = text_field(given, "continuation")
    ids = [guid_text(row["id"]) for row, _ in found]
    if continuation and continuation not in ids:
        raise ServiceFault(
            "BadRequestInvalid",
            "The continuation token is stale: begin the query again without it.",
        )
    start = ids.index(continuation) + 1 if continuation else 0
    asked = max(number_field(given, "maxCount", _PAGE), 0)
    end = start + (int(min(asked, limits.MAX_PAGE_SIZE.value)) or _PAGE)
    return found[start:end], ids[end - 1] if end < len(found) else None
