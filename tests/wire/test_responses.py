"""Responses in both dialects. Absent, null and empty are alike, and errors help the user."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customvision_async import errors
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.advice import STATUS_HELP, VAGUE_STATUSES, status_help
from customvision_async._wire.codec import camel_keys, decode, encode, pascal_keys
from customvision_async._wire.operation_spec import Version
from customvision_async._wire.operations import OPERATIONS
from customvision_async._wire.responses import date_of, decode_response, error_from
from customvision_async.errors import DecodeError
from customvision_async.models import Image, ImageCreateStatus, ImageCreateSummary, Prediction, Tag

JSON = {"content-type": "application/json; charset=utf-8"}
HTML = {"content-type": "text/html"}
ID = "11111111-2222-3333-4444-555555555555"
V1, V3 = ApiVersion.V1_2, ApiVersion.V3_3


def answer(
    operation: str,
    body: Any,
    version: Version = V3,
    status: int = 200,
    headers: dict[str, str] = JSON,
) -> Any:
    """Parse a response with a JSON body."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_response(OPERATIONS[operation], version, status, headers, data)


def test_v1_answers_come_as_the_same_models() -> None:
    """PascalCase, the field names of v1.x, and its list of tags inside an object."""
    summary = answer(
        "CreateImagesFromUrls",
        {
            "IsBatchSuccessful": True,
            "Images": [
                {
                    "SourceUrl": "u",
                    "Status": "OK",
                    "Image": {"Id": ID, "ImageUri": "i", "Tags": None},
                }
            ],
        },
        V1,
    )
    assert isinstance(summary, ImageCreateSummary)
    image = summary.images[0].image
    assert image is not None
    assert (image.id, image.original_uri, image.tags) == (ID, "i", ())
    assert answer(
        "GetTags", {"Tags": [{"Id": ID, "Name": "x", "ImageCount": 3}], "TotalTaggedImages": 3}, V1
    ) == [Tag(id=ID, name="x", image_count=3)]
    prediction = answer(
        "PredictImage",
        {"Id": ID, "Predictions": [{"TagId": ID, "Tag": "x", "Probability": 1.0}]},
        PredictionVersion.V1_1,
    )
    assert prediction.predictions[0].tag_name == "x"


@pytest.mark.parametrize("tags", ["", ', "tags": null', ', "tags": []'])
def test_absent_null_and_empty_lists_are_alike(tags: str) -> None:
    """A list that is absent, null or empty is ()."""
    assert answer("GetUntaggedImages", f'[{{"id": "{ID}"{tags}}}]'.encode())[0].tags == ()


def test_null_in_place_of_the_list_itself() -> None:
    """A null body instead of a list, valid until v2.2, is an empty list."""
    assert answer("GetTaggedImages", b"null", V1) == []
    assert answer("GetTaggedImages", b"null", ApiVersion.V2_0) == []


@pytest.mark.parametrize(
    "text, microsecond",
    [
        ("2020-11-06T16:37:27.3151279", 315127),
        ("2020-11-06T16:37:27.3151279Z", 315127),
        ("2020-11-06T16:37:27.3", 300000),
        ("2020-11-06T16:37:27", 0),
        ("2020-11-06T17:37:27+01:00", 0),
    ],
)
def test_dates_with_and_without_a_zone_are_aware(text: str, microsecond: int) -> None:
    """Every date format of the service gives the same moment, in UTC by default."""
    body = [{"id": ID, "created": text, "tags": [{"tagId": ID, "created": text}]}]
    image = answer("GetTaggedImages", body)[0]
    for created in (
        image.created,
        image.tags[0].created,
        answer("GetTaggedImages", pascal_keys(body), V1)[0].created,
    ):
        assert created == datetime(2020, 11, 6, 16, 37, 27, microsecond, UTC)


def test_unknown_fields_and_statuses_survive() -> None:
    """Additions of later versions neither break a response nor are changed."""
    summary = answer(
        "CreateImagesFromUrls",
        {"isBatchSuccessful": False, "new": 1, "images": [{"status": "ErrorFoo", "image": None}]},
    )
    assert summary.images[0].status == "ErrorFoo"
    assert isinstance(summary.images[0].status, ImageCreateStatus)
    assert f"{summary.images[0].status}" == "ErrorFoo"


def test_numbers_booleans_bytes_and_nothing() -> None:
    """A count is a number, a publication True, an artifact bytes, a deletion None."""
    assert answer("GetTaggedImageCount", b"10") == 10
    assert answer("PublishIteration", b"true") is True
    assert answer("GetArtifact", b"\x00<html>") == b"\x00<html>"
    assert answer("DeleteImages", b"", status=204, headers={}) is None
    assert answer("DeleteImages", b"", status=202, headers={}) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{",
        b'{"id": 5}',
        b"[" * 100_000,
        b"\xff",
        b'[{"id": "\xff"}]',
        b"{}",
        b'"x"',
        b"NaN",
    ],
)
@pytest.mark.parametrize("version", [V1, V3])
def test_what_cannot_be_read_is_said(body: bytes, version: ApiVersion) -> None:
    """Nothing, HTML, a truncated response and garbage raise DecodeError with the operation."""
    with pytest.raises(DecodeError, match="GetProject"):
        answer("GetProject", body, version)


def test_html_is_a_hint_at_the_endpoint() -> None:
    """HTML suggests a wrong endpoint, also if no body was expected."""
    with pytest.raises(DecodeError, match="endpoint"):
        answer("GetProject", b"<html>", headers=HTML)
    with pytest.raises(DecodeError, match="endpoint"):
        answer("DeleteImages", b"<html>", headers=HTML)


@given(
    body=st.binary(max_size=200),
    row=st.sampled_from(sorted(OPERATIONS)),
    status=st.sampled_from([200, 207]),
)
def test_any_bytes_are_read_or_refused_in_our_way(body: bytes, row: str, status: int) -> None:
    """Any body is decoded or raises DecodeError."""
    version = OPERATIONS[row].last
    try:
        decode_response(OPERATIONS[row], version, status, JSON, body)
    except DecodeError:
        pass


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "name", "tags", "images", "Id"]), inner, max_size=3
        )
    ),
    max_leaves=10,
)


@given(value=json_values, row=st.sampled_from(sorted(OPERATIONS)))
def test_any_json_is_read_or_refused_in_our_way(value: Any, row: str) -> None:
    """Any JSON is decoded or raises DecodeError, in either dialect."""
    for version in (OPERATIONS[row].first, OPERATIONS[row].last):
        try:
            answer(row, json.dumps(value).encode(), version)
        except DecodeError:
            pass


@given(
    value=json_values, status=st.integers(300, 599), raw=st.binary(max_size=100), pick=st.booleans()
)
def test_any_error_body_makes_an_error(value: Any, status: int, raw: bytes, pick: bool) -> None:
    """For any body, the error has a class, a status and a message of one line."""
    error = error_from(
        OPERATIONS["GetTags"], status, {}, raw if pick else json.dumps(value).encode()
    )
    assert error.status == status
    assert error.message
    assert "\n" not in str(error)
    assert len(str(error)) < 2500


CLASSES = [
    (400, errors.BadRequestError),
    (401, errors.AuthenticationError),
    (403, errors.PermissionDeniedError),
    (404, errors.NotFoundError),
    (409, errors.ConflictError),
    (413, errors.ServiceError),
    (429, errors.RateLimitError),
    (500, errors.InternalServerError),
    (503, errors.InternalServerError),
]


@pytest.mark.parametrize("status, kind", CLASSES)
def test_each_status_has_its_class(status: int, kind: type[errors.ServiceError]) -> None:
    """The status decides the class, also with an empty body."""
    error = error_from(OPERATIONS["GetTags"], status, {"apim-request-id": "r"}, b"")
    assert type(error) is kind
    assert (error.operation, error.request_id) == ("GetTags", "r")


@pytest.mark.parametrize(
    "body, code, message",
    [
        (
            b'{"code":"BadRequestTagNameNotUnique","message":"Name taken"}',
            "BadRequestTagNameNotUnique",
            "Name taken",
        ),
        (
            b'{"Code":"BadRequest","Message":"No valid image files"}',
            "BadRequest",
            "No valid image files",
        ),
        (b'{"error":{"code":"401","message":"Access denied"}}', "401", "Access denied"),
        (b'{"statusCode":404,"message":"Resource not found"}', "404", "Resource not found"),
        (
            b"<html><head><title>502 Bad Gateway</title></head><body>x</body></html>",
            "",
            "502 Bad Gateway",
        ),
        (b"<h1>It &amp; is</h1> broken", "", "It & is broken"),
        (b"plain words", "", "plain words"),
        (b'"a string"', "", "a string"),
    ],
)
def test_shapes_of_errors(body: bytes, code: str, message: str) -> None:
    """Errors of the service, the gateway and proxies (HTML, text) give a code and a message."""
    error = error_from(OPERATIONS["CreateTag"], 400, {}, body)
    assert (error.code, error.message) == (code, message)


def test_a_refused_key_says_where_the_right_one_is() -> None:
    """A 401 names the variables of this API, and says that keys of the other do not work."""
    training = str(error_from(OPERATIONS["GetTags"], 401, {}, b""))
    assert "VISION_TRAINING_KEY" in training
    assert "VISION_TRAINING_ENDPOINT" in training
    assert "prediction resource" in training
    assert "VISION_PREDICTION_KEY" in str(error_from(OPERATIONS["ClassifyImage"], 401, {}, b""))


def test_a_404_tells_a_wrong_endpoint_from_a_missing_thing() -> None:
    """A 404 without the service's code is taken for a wrong endpoint."""
    assert "endpoint is wrong" in str(error_from(OPERATIONS["GetTags"], 404, HTML, b"<html>"))
    known = error_from(
        OPERATIONS["GetTags"],
        404,
        {"apim-request-id": "r"},
        b'{"code":"NotFoundProject","message":"m"}',
    )
    assert "list_projects" in known.advice


def test_rate_limits_keep_their_wait() -> None:
    """The error has the wait that the service asked for."""
    error = error_from(OPERATIONS["GetTags"], 429, {}, b"", retry_after=1.5)
    assert isinstance(error, errors.RateLimitError)
    assert error.retry_after == 1.5


@pytest.mark.parametrize(
    "text",
    [
        "Fri, 06 Nov 2020 16:37:27 GMT",
        "Fri, 06 Nov 2020 16:37:27 -0000",
        "Fri, 06 Nov 2020 17:37:27 +0100",
    ],
)
def test_dates_of_answers(text: str) -> None:
    """The Date header is an aware datetime."""
    assert date_of({"date": text}) == datetime(2020, 11, 6, 16, 37, 27, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "x", "Fri, 99 Nov 2020 16:37:27 GMT", "Fri, 06 Nov 99999999999999 16:37:27 GMT"]
)
def test_dates_of_answers_that_cannot_be_read(text: str) -> None:
    """An invalid Date header is ignored."""
    assert date_of({"date": text}) is None


def test_every_image_status_has_a_cause_and_a_fix() -> None:
    """Each known status, and any other, is explained."""
    for status in ImageCreateStatus:
        help = status_help(status)
        assert help.cause
        assert help.fix or status == "OK"
    assert "ErrorFoo" in status_help("ErrorFoo").cause
    assert set(STATUS_HELP) > VAGUE_STATUSES


keys = st.text(st.characters(categories=["Ll"], max_codepoint=127), min_size=1, max_size=8)
leaves = st.integers() | st.text(max_size=5)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner), max_leaves=8
)


@given(tree=trees)
def test_the_dialects_are_inverse(tree: Any) -> None:
    """Conversion to PascalCase and back changes nothing."""
    assert camel_keys(pascal_keys(tree)) == tree


@given(
    tags=st.lists(
        st.builds(
            Tag,
            id=st.uuids().map(str),
            name=st.text(max_size=20),
            description=st.none() | st.text(max_size=5),
        )
    ),
    pascal=st.booleans(),
)
def test_models_survive_either_dialect(tags: list[Tag], pascal: bool) -> None:
    """Models can be encoded and decoded in either dialect."""
    assert decode(encode(tags, pascal=pascal), list[Tag], pascal=pascal) == tags


def test_two_readings_of_an_answer_are_equal() -> None:
    """Models are compared by value."""
    body = [{"id": ID, "created": "2020-11-06T16:37:27.3151279", "width": 1, "height": 1}]
    assert answer("GetUntaggedImages", body) == answer("GetUntaggedImages", body)
    assert isinstance(answer("GetUntaggedImages", body)[0], Image)
    assert Prediction(probability=1, tag_id=ID, tag="x").tag_name == "x"
