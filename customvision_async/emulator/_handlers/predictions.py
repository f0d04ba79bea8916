"""Predictions: quick tests, the prediction API, and what was stored of both."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .. import _model
from .._api_request import Answer, Call, handles, handles_slowly
from .._bodies import any_case, field, list_field, number_field, text_field
from .._ids import guid_key, instant
from .._image_files import InspectedImage, InvalidImage
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
        else default_iteration(call.world, project["id"], latest=True)
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
        raise ServiceFault("NotFoundIteration", "Invalid iteration")
    if call.world.domain(row["domain"]).detects != call.operation.startswith("Detect"):
        raise ServiceFault(
            "BadRequestNotSupported",
            (
                "Invalid project type for operation: classify and detect are for projects of their "
                "kind."
            ),
        )
    return await _predict(
        call, project, row, limits.PREDICTION_BYTES.value, not call.operation.endswith("NoStore")
    )


async def _predict(call: Call, project: Any, row: Any, most: int, store: bool) -> Answer:
    world = call.world
    trained(world, row)
    image = await _read_image(call, most)
    model = _model.model_of(world, row)
    scores = _model.known_scores(world, model, project["id"], image.digest)
    if scores is None:
        scores = await asyncio.to_thread(model.guess, image.data)
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
        image.digest,
        image.width,
        image.height,
        row["domain"],
        call.text("application"),
        json.dumps(scores),
    )
    shown = dict(zip(("id", "project", "iteration", "created"), values, strict=False)) | {
        "results": values[-1]
    }
    if store:
        with world.state.transaction() as db:
            world.keep(image)
            db.execute("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return Answer(value=prediction_json(world, shown, call.version))


async def _read_image(call: Call, most: int) -> InspectedImage:
    """The image of the request, from its body or from the URL in it."""
    try:
        if "Url" in call.operation:
            url = field(call.json, "url")
            if not isinstance(url, str) or not url:
                raise ServiceFault("BadRequestImageUrl", "Invalid image url")
            return call.world.inspect(await call.world.fetch_image(url, most), most=most)
        parts = upload_parts(call)
        if not parts or not len(parts[0].data):
            raise ServiceFault("BadRequestImageStream", "No image data provided")
        return call.world.inspect(bytes(parts[0].data), most=most)
    except InvalidImage as unfit:
        codes = {
            "ErrorSource": (
                "BadRequestImageUrl",
                "Invalid image url: the image cannot be fetched from there.",
            ),
            "ErrorImageSize": (
                "BadRequestImageSizeBytes",
                f"The image is larger than {most} bytes.",
            ),
            "ErrorImageFormat": (
                "BadRequestImageFormat",
                f"Bad Request Image Format, Uri: {call.world.state.ids.text().replace('-', '')}",
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
    order = any_case(str(token["orderBy"] or "Newest"), ("Newest", "Oldest", "Suggested"))
    if order is None:
        raise ServiceFault(
            "BadRequestPredictionInvalidQueryParameters",
            f"orderBy is Newest, Oldest or Suggested, not '{token['orderBy']}'.",
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
        (
            f"SELECT * FROM predictions WHERE project = ? ORDER BY created {'ASC' if order == 'Oldest' else 'DESC'}, "
            "id"
        ),
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
