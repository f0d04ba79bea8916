"""Predictions: quick tests, the prediction API, and what was stored of both."""

# ruff: noqa: S608 - what is put into SQL text is this package's own names and question marks; values are bound

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import msgspec

from ... import limits
from ..._versions import ApiVersion as V
from .. import _image_files as _pictures
from .. import _model
from .._api_request import Answer, Call, handles, handles_slowly
from .._bodies import field, keys_field, list_field, number_field, text_field
from .._ids import guid_key, guid_text, instant
from .._image_files import InvalidImage, Picture
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import prediction_json
from .iterations import default_iteration, trained
from .uploads import upload_parts

_PAGE = 64
_TOKEN = (
    "session",
    "continuation",
    "maxCount",
    "orderBy",
    "tags",
    "iterationId",
    "startTime",
    "endTime",
    "application",
)


@handles_slowly("QuickTestImage", "QuickTestImageUrl")
async def quick_test(call: Call) -> Answer:
    """A prediction of the training API, by iteration; stored unless told otherwise."""
    project = call.world.project(call.key("projectId"))
    key = call.optional_key("iterationId")
    row = (
        call.world.iteration(project["id"], key)
        if key
        else default_iteration(call.world, project["id"])
    )
    store = call.flag("store", True) if call.version >= V.V3_1 else True
    return await _predict(call, project, row, limits.IMAGE_BYTES.value, store)


@handles_slowly(
    "PredictImage", "PredictImageUrl", "PredictImageWithNoStore", "PredictImageUrlWithNoStore"
)
async def predict(call: Call) -> Answer:
    """A prediction of v1.1 and v2.0: by iteration, or the project's default."""
    project = call.world.project(call.key("projectId"))
    key = call.optional_key("iterationId")
    row = (
        call.world.iteration(project["id"], key)
        if key
        else default_iteration(call.world, project["id"])
    )
    return await _predict(
        call, project, row, limits.PREDICTION_BYTES.value, not call.operation.endswith("NoStore")
    )


_BY_NAME = [
    f"{verb}Image{what}{store}"
    for verb in ("Classify", "Detect")
    for what in ("", "Url")
    for store in ("", "WithNoStore")
]


@handles_slowly(*_BY_NAME)
async def predict_by_name(call: Call) -> Answer:
    """A prediction of v3.x: by the name under which an iteration is published."""
    project = call.world.project(call.key("projectId"))
    name = call.match.path["publishedName"]
    row = call.world.state.row(
        "SELECT * FROM iterations WHERE project = ? AND publish_name = ?", project["id"], name
    )
    if row is None:
        raise ServiceFault(
            "NotFoundIteration", f"No iteration is published as '{name}' in the project."
        )
    if call.world.domain(row["domain"]).detects != call.operation.startswith("Detect"):
        raise ServiceFault(
            "BadRequestNotSupported",
            "Invalid project type for operation: classify and detect are for projects of their kind.",
        )
    return await _predict(
        call, project, row, limits.PREDICTION_BYTES.value, not call.operation.endswith("NoStore")
    )


async def _predict(call: Call, project: Any, row: Any, most: int, store: bool) -> Answer:
    world = call.world
    trained(world, row)
    picture = await _picture(call, most)
    model = _model.model_of(world, row)
    scores = _model.known_scores(world, model, project["id"], picture.digest)
    if scores is None:
        scores = await asyncio.to_thread(model.guess, picture.data)
    # The id of a prediction is that of its request, but for v1.2.
    key = (
        world.state.ids.key()
        if call.version == V.V1_2 and call.match.route.api == "Training"
        else guid_key(call.request_id)
    )
    values = (
        key,
        project["id"],
        row["id"],
        world.state.clock.now(),
        picture.digest,
        picture.width,
        picture.height,
        row["domain"],
        call.text("application"),
        json.dumps(scores),
    )
    shown = dict(zip(("id", "project", "iteration", "created"), values, strict=False)) | {
        "results": values[-1]
    }
    if store:
        with world.state.transaction() as db:
            world.keep(picture)
            db.execute("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return Answer(value=prediction_json(world, shown, call.version))


async def _picture(call: Call, most: int) -> Picture:
    """The picture of the request, from its body or from the URL in it."""
    try:
        if "Url" in call.operation:
            url = field(call.json, "url")
            if not isinstance(url, str) or not url:
                raise ServiceFault("BadRequestImageUrl", "Invalid image url")
            return _pictures.inspect(
                await call.world.fetch(url, most), check=call.world.switches.check_images, most=most
            )
        parts = upload_parts(call)
        if not parts or not len(parts[0].data):
            raise ServiceFault("BadRequestImageStream", "No image data provided")
        return _pictures.inspect(
            bytes(parts[0].data), check=call.world.switches.check_images, most=most
        )
    except InvalidImage as unfit:
        codes = {
            "ErrorSource": (
                "BadRequestImageUrl",
                "Invalid image url: the picture cannot be fetched from there.",
            ),
            "ErrorImageSize": (
                "BadRequestImageSizeBytes",
                f"The image is larger than {most} bytes.",
            ),
            "ErrorImageFormat": (
                "BadRequestImageFormat",
                "The image format is not supported: JPEG, PNG, GIF or BMP.",
            ),
            "ErrorImageDimensions": (
                "BadRequestImageDimensions",
                "The image has a side that is too long, or too slim a shape.",
            ),
        }
        raise ServiceFault(*codes[unfit.status]) from None


# Stored predictions.


@handles("QueryPredictions", "QueryPredictionResults")
def query_predictions(call: Call) -> Answer:
    """Stored predictions by a token; the answer has the token of the next page."""
    world, given = call.world, call.json
    project = world.project(call.key("projectId"))["id"]
    token: dict[str, Any] = {
        name: text_field(given, name) for name in _TOKEN if name not in ("tags", "maxCount")
    }
    token |= {"tags": list_field(given, "tags") or None, "maxCount": field(given, "maxCount")}
    token = {name: token[name] for name in _TOKEN}
    if len(token["tags"] or ()) > limits.TAGS_PER_PREDICTION_QUERY.value:
        raise ServiceFault(
            "BadRequestPredictionTagsExceededCount", "A query may combine at most 2 tags."
        )
    most = token["maxCount"] or _PAGE
    if (
        isinstance(most, bool)
        or not isinstance(most, int)
        or most < 0
        or most > limits.MAX_PAGE_SIZE.value
    ):
        raise ServiceFault(
            "BadRequestPredictionResultsExceededCount",
            f"maxCount must be between 0 and {limits.MAX_PAGE_SIZE.value}.",
        )
    order = str(token["orderBy"] or "Newest")
    if order not in ("Newest", "Oldest", "Suggested"):
        raise ServiceFault(
            "BadRequestPredictionInvalidQueryParameters",
            f"orderBy is Newest, Oldest or Suggested, not '{order}'.",
        )
    rows = _stored(world, project, token, order)
    start = _place(token, rows)
    page = rows[start : start + most]
    more = start + most < len(rows)
    answer = token | {
        "session": token["session"] or f"2:{len(rows)}",
        "maxCount": token["maxCount"] or 0,
        "orderBy": order,
    }
    answer["continuation"] = base64.b64encode(b"next" + page[-1]["id"]).decode() if more else None
    results = [prediction_json(world, row, call.version, stored=True) for row in page]
    if call.version == V.V1_2:
        return Answer(value={"results": results, "token": answer})
    return Answer(value={"token": answer, "results": results})


def _stored(world: Resource, project: bytes, token: dict[str, Any], order: str) -> list[Any]:
    rows = world.state.rows(
        f"SELECT * FROM predictions WHERE project = ? ORDER BY created {'ASC' if order == 'Oldest' else 'DESC'}, id",
        project,
    )
    if token["iterationId"]:
        try:
            iteration = guid_key(str(token["iterationId"]))
        except ValueError:
            raise ServiceFault("BadRequestInvalidIds", "iterationId is not a GUID.") from None
        rows = [row for row in rows if row["iteration"] == iteration]
    if token["application"]:
        rows = [row for row in rows if row["application"] == token["application"]]
    if token["startTime"]:
        rows = [row for row in rows if instant(row["created"]) >= str(token["startTime"])]
    if token["endTime"]:
        rows = [row for row in rows if instant(row["created"]) <= str(token["endTime"])]
    for tag in token["tags"] or ():
        rows = [row for row in rows if _has(row, tag)]
    if order == "Suggested":
        rows.sort(key=lambda row: -_model.uncertainty(json.loads(row["results"])))
    return rows


def _has(row: Any, tag: Any) -> bool:
    id, least, most = (
        field(tag, "id"),
        number_field(tag, "minThreshold", 0.0),
        number_field(tag, "maxThreshold", 1.0),
    )
    return any(
        score["tagId"] == str(id).lower() and least <= score["probability"] <= most
        for score in json.loads(row["results"])
    )


def _place(token: dict[str, Any], rows: list[Any]) -> int:
    """Where the page begins. A continuation that is none of ours, or of what is gone, is stale."""
    if not token["continuation"]:
        return 0
    try:
        raw = base64.b64decode(str(token["continuation"]), validate=True)
    except ValueError:
        raw = b""
    keys = [row["id"] for row in rows]
    if raw[:4] != b"next" or raw[4:] not in keys:
        raise ServiceFault(
            "BadRequestPredictionInvalidQueryParameters",
            "The continuation token is stale: begin the query again without it.",
        )
    return keys.index(raw[4:]) + 1


@handles("DeletePrediction")
def delete_prediction(call: Call) -> Answer:
    """Delete stored predictions."""
    world = call.world
    project = world.project(call.key("projectId"))["id"]
    keys = call.keys("ids")
    if not keys:
        raise ServiceFault("BadRequestPredictionIdsMissing", "ids is required.")
    most = limits.PREDICTIONS_PER_DELETE.value
    if len(keys) > most:
        raise ServiceFault(
            "BadRequestPredictionIdsExceededCount",
            f"{len(keys)} prediction ids; at most {most} are allowed.",
        )
    marks = ",".join("?" * len(keys))
    rows = world.state.rows(
        f"SELECT id, digest FROM predictions WHERE project = ? AND id IN ({marks})", project, *keys
    )
    for row in rows:
        world.state.db.execute("DELETE FROM predictions WHERE id = ?", (row["id"],))
    world.delete_orphans({row["digest"] for row in rows})
    return Answer(204)


# Suggestions: what a model would say of images that have no tags.


async def _suggestions(
    call: Call, project: Any, iteration: Any, rows: list[Any]
) -> list[list[dict[str, Any]]]:
    model = _model.model_of(call.world, trained(call.world, iteration))
    pictures = [call.world.picture(row["digest"]) or row["digest"] for row in rows]
    known = [_model.known_scores(call.world, model, project["id"], row["digest"]) for row in rows]
    return await asyncio.to_thread(
        lambda: [was or model.guess(data) for was, data in zip(known, pictures, strict=True)]
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


@handles_slowly("QuerySuggestedImages", "QuerySuggestedImageCount")
async def query_suggested_images(call: Call) -> Answer:
    """Untagged images for which one of the tags scores above the threshold, by a token; or how many, by tag."""
    world, given = call.world, call.json
    project = world.project(call.key("projectId"))
    call.required("iterationId")
    iteration = world.iteration(project["id"], call.optional_key("iterationId") or b"")
    rows = world.state.rows(
        "SELECT * FROM images WHERE project = ? AND present = 1 AND tagged = 0 ORDER BY created, id",
        project["id"],
    )
    found = list(zip(rows, await _suggestions(call, project, iteration, rows), strict=True))
    tags = [guid_text(key) for key in keys_field(given, "tagIds")]
    least = number_field(given, "threshold", 0.0)

    def scoring(scores: list[dict[str, Any]], wanted: list[str]) -> bool:
        return any(
            score["probability"] >= least and (not wanted or score["tagId"] in wanted)
            for score in scores
        )

    if call.operation == "QuerySuggestedImageCount":
        names = tags or [tag["tagId"] for tag in json.loads(iteration["tags"])]
        return Answer(
            value={tag: sum(scoring(scores, [tag]) for _, scores in found) for tag in names}
        )
    found = [pair for pair in found if scoring(pair[1], tags)]
    sort = field(given, "sortBy") or "UncertaintyAscending"
    found.sort(
        key=lambda pair: (_model.uncertainty(pair[1]), pair[0]["id"]),
        reverse=sort == "UncertaintyDescending",
    )
    continuation = text_field(given, "continuation")
    ids = [guid_text(row["id"]) for row, _ in found]
    if continuation and continuation not in ids:
        raise ServiceFault(
            "BadRequestInvalid",
            "The continuation token is stale: begin the query again without it.",
        )
    start = ids.index(continuation) + 1 if continuation else 0
    most = (
        int(min(max(number_field(given, "maxCount", _PAGE), 0), limits.MAX_PAGE_SIZE.value))
        or _PAGE
    )
    page = found[start : start + most]
    more = start + most < len(found)
    token = {
        "tagIds": tags,
        "threshold": least,
        "session": field(given, "session") or guid_text(world.state.ids.key()),
        "continuation": guid_text(page[-1][0]["id"]) if more else None,
        "maxCount": field(given, "maxCount") or 0,
        "sortBy": sort,
    }
    return Answer(
        value={
            "token": token,
            "results": [
                _suggestion(call, row, iteration, scores, stored=True) for row, scores in page
            ],
        }
    )
