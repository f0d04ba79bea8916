"""Predictions: quick tests, the prediction API, and stored predictions of both."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

from ... import limits
from ..._versions import ApiVersion as V
from .. import _model
from .._api_request import ApiRequest, ApiResponse, handles, handles_slowly
from .._bodies import field, list_field, match_any_case, number_field, text_field
from .._ids import guid_key, instant
from .._image_files import InspectedImage, InvalidImage
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import prediction_json
from .iterations import default_iteration, require_trained
from .uploads import upload_parts

_DEFAULT_PAGE_SIZE = 64
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
async def quick_test(request: ApiRequest) -> ApiResponse:
    """Predict in the training API, by iteration.

    The prediction is stored unless `store` is false.
    """
    project = request.resource.project(request.key("projectId"))
    key = request.optional_key("iterationId")
    row = (
        request.resource.iteration(project["id"], key)
        if key
        else default_iteration(request.resource, project["id"], latest=True)
    )
    store = request.flag("store", True) if request.version >= V.V3_1 else True
    return await _predict(request, project, row, limits.IMAGE_BYTES.value, store)


@handles_slowly(
    "PredictImage", "PredictImageUrl", "PredictImageWithNoStore", "PredictImageUrlWithNoStore"
)
async def predict(request: ApiRequest) -> ApiResponse:
    """Predict as in v1.1 and v2.0: by iteration, or by the default iteration of the project."""
    project = request.resource.project(request.key("projectId"))
    key = request.optional_key("iterationId")
    row = (
        request.resource.iteration(project["id"], key)
        if key
        else default_iteration(request.resource, project["id"])
    )
    return await _predict(
        request,
        project,
        row,
        limits.PREDICTION_BYTES.value,
        not request.operation.endswith("NoStore"),
    )


_BY_NAME = [
    f"{verb}Image{source}{store}"
    for verb in ("Classify", "Detect")
    for source in ("", "Url")
    for store in ("", "WithNoStore")
]


@handles_slowly(*_BY_NAME)
async def predict_by_name(request: ApiRequest) -> ApiResponse:
    """Predict as in v3.x: by the name under which an iteration is published."""
    project = request.resource.project(request.key("projectId"))
    name = request.match.path["publishedName"]
    row = request.resource.state.row(
        "SELECT * FROM iterations WHERE project = ? AND publish_name = ?", project["id"], name
    )
    if row is None:
        raise ServiceFault("NotFoundIteration", "Invalid iteration")
    if request.resource.domain(row["domain"]).detects != request.operation.startswith("Detect"):
        raise ServiceFault(
            "BadRequestNotSupported",
            (
                "Invalid project type for operation: classify and detect are for projects of their "
                "kind."
            ),
        )
    return await _predict(
        request,
        project,
        row,
        limits.PREDICTION_BYTES.value,
        not request.operation.endswith("NoStore"),
    )


async def _predict(
    request: ApiRequest, project: Any, row: Any, max_bytes: int, store: bool
) -> ApiResponse:
    resource = request.resource
    require_trained(resource, row)
    image = await _read_image(request, max_bytes)
    model = _model.model_of(resource, row)
    scores = _model.known_scores(resource, model, project["id"], image.digest)
    if scores is None:
        scores = await asyncio.to_thread(model.predict, image.data)
    # The id of a prediction is that of its request, except in v1.2.
    key = (
        resource.state.ids.key()
        if request.version == V.V1_2 and request.match.route.api == "Training"
        else guid_key(request.request_id)
    )
    values = (
        key,
        project["id"],
        row["id"],
        resource.state.clock.now(),
        image.digest,
        image.width,
        image.height,
        row["domain"],
        request.text("application"),
        json.dumps(scores),
    )
    shown = dict(zip(("id", "project", "iteration", "created"), values, strict=False)) | {
        "results": values[-1]
    }
    if store:
        with resource.state.transaction() as db:
            resource.keep(image)
            db.execute("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    return ApiResponse(value=prediction_json(resource, shown, request.version))


async def _read_image(request: ApiRequest, max_bytes: int) -> InspectedImage:
    """Return the image of the request, from its body or from the URL in it."""
    try:
        if "Url" in request.operation:
            url = field(request.json, "url")
            if not isinstance(url, str) or not url:
                raise ServiceFault("BadRequestImageUrl", "Invalid image url")
            return request.resource.inspect(
                await request.resource.fetch_image(url, max_bytes), max_bytes=max_bytes
            )
        parts = upload_parts(request)
        if not parts or not len(parts[0].data):
            raise ServiceFault("BadRequestImageStream", "No image data provided")
        return request.resource.inspect(bytes(parts[0].data), max_bytes=max_bytes)
    except InvalidImage as invalid:
        codes = {
            "ErrorSource": (
                "BadRequestImageUrl",
                "Invalid image url: the image cannot be fetched from there.",
            ),
            "ErrorImageSize": (
                "BadRequestImageSizeBytes",
                f"The image is larger than {max_bytes} bytes.",
            ),
            "ErrorImageFormat": (
                "BadRequestImageFormat",
                "Bad Request Image Format, Uri: "
                f"{request.resource.state.ids.text().replace('-', '')}",
            ),
            "ErrorImageDimensions": (
                "BadRequestImageDimensions",
                "A side of the image is too long, or its aspect ratio is too large.",
            ),
        }
        raise ServiceFault(*codes[invalid.status]) from None


# Stored predictions.


@handles("QueryPredictions", "QueryPredictionResults")
def query_predictions(request: ApiRequest) -> ApiResponse:
    """Return a page of stored predictions, with the token of the next page."""
    resource, given = request.resource, request.json
    project = resource.project(request.key("projectId"))["id"]
    token: dict[str, Any] = {
        name: text_field(given, name) for name in _TOKEN if name not in ("tags", "maxCount")
    }
    token |= {"tags": list_field(given, "tags") or None, "maxCount": field(given, "maxCount")}
    token = {name: token[name] for name in _TOKEN}
    if len(token["tags"] or ()) > limits.TAGS_PER_PREDICTION_QUERY.value:
        raise ServiceFault(
            "BadRequestPredictionTagsExceededCount", "A query may combine at most 2 tags."
        )
    maximum = token["maxCount"] or _DEFAULT_PAGE_SIZE
    if (
        isinstance(maximum, bool)
        or not isinstance(maximum, int)
        or maximum < 0
        or maximum > limits.MAX_PAGE_SIZE.value
    ):
        raise ServiceFault(
            "BadRequestPredictionResultsExceededCount",
            f"maxCount must be between 0 and {limits.MAX_PAGE_SIZE.value}.",
        )
    order = match_any_case(str(token["orderBy"] or "Newest"), ("Newest", "Oldest", "Suggested"))
    if order is None:
        raise ServiceFault(
            "BadRequestPredictionInvalidQueryParameters",
            f"orderBy is Newest, Oldest or Suggested, not '{token['orderBy']}'.",
        )
    rows = _stored(resource, project, token, order)
    start = _page_start(token, rows)
    page = rows[start : start + maximum]
    more = start + maximum < len(rows)
    response = token | {
        "session": token["session"] or f"2:{len(rows)}",
        "maxCount": token["maxCount"] or 0,
        "orderBy": order,
    }
    response["continuation"] = base64.b64encode(b"next" + page[-1]["id"]).decode() if more else None
    results = [prediction_json(resource, row, request.version, stored=True) for row in page]
    if request.version == V.V1_2:
        return ApiResponse(value={"results": results, "token": response})
    return ApiResponse(value={"token": response, "results": results})


def _stored(resource: Resource, project: bytes, token: dict[str, Any], order: str) -> list[Any]:
    direction = "ASC" if order == "Oldest" else "DESC"
    rows = resource.state.rows(
        f"SELECT * FROM predictions WHERE project = ? ORDER BY created {direction}, id", project
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
        rows = [row for row in rows if _matches_tag(row, tag)]
    if order == "Suggested":
        rows.sort(key=lambda row: -_model.uncertainty(json.loads(row["results"])))
    return rows


def _matches_tag(row: Any, tag: Any) -> bool:
    id, minimum, maximum = (
        field(tag, "id"),
        number_field(tag, "minThreshold", 0.0),
        number_field(tag, "maxThreshold", 1.0),
    )
    return any(
        score["tagId"] == str(id).lower() and minimum <= score["probability"] <= maximum
        for score in json.loads(row["results"])
    )


def _page_start(token: dict[str, Any], rows: list[Any]) -> int:
    """Return the index of the first prediction of the page.

    A continuation that was not issued here, or whose prediction is deleted, is stale.
    """
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
            "The continuation token is stale. Start the query again without it.",
        )
    return keys.index(raw[4:]) + 1


@handles("DeletePrediction")
def delete_prediction(request: ApiRequest) -> ApiResponse:
    """Delete stored predictions."""
    resource = request.resource
    project = resource.project(request.key("projectId"))["id"]
    keys = request.keys("ids")
    if not keys:
        raise ServiceFault("BadRequestPredictionIdsMissing", "ids is required.")
    limit = limits.PREDICTIONS_PER_DELETE.value
    if len(keys) > limit:
        raise ServiceFault(
            "BadRequestPredictionIdsExceededCount",
            f"{len(keys)} prediction ids; at most {limit} are allowed.",
        )
    marks = ",".join("?" * len(keys))
    rows = resource.state.rows(
        f"SELECT id, digest FROM predictions WHERE project = ? AND id IN ({marks})", project, *keys
    )
    for row in rows:
        resource.state.db.execute("DELETE FROM predictions WHERE id = ?", (row["id"],))
    resource.delete_orphans({row["digest"] for row in rows})
    return ApiResponse(204)
