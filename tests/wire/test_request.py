"""URLs are encoded as the service reads them, and invalid ones are refused."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operation_spec import Version
from customvision_async._wire.operations import OPERATIONS, operation_spec
from customvision_async._wire.request import all_canonical_ids, build_request, id_of, ids_of
from customvision_async.errors import LimitExceeded, UnsupportedOperation
from customvision_async.models import Tag

P = "11111111-2222-3333-4444-555555555555"
OTHER = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
HOST = "https://example.com"
V3 = ApiVersion.V3_3


def url(
    operation: str, version: Version = V3, path: dict[str, Any] | None = None, **query: Any
) -> str:
    """Return the URL of an operation, without the host."""
    query = {"$filter" if name == "filter_" else name: value for name, value in query.items()}
    return build_request(
        OPERATIONS[operation], version, HOST, {"projectId": P} if path is None else path, query
    )[1].removeprefix(HOST)


def test_ids_travel_in_one_value_with_commas() -> None:
    """A list is one value with plain commas."""
    assert (
        url("DeleteImages", imageIds=[P, UUID(OTHER)])
        == f"/customvision/v3.3/training/projects/{P}/images?imageIds={P},{OTHER}"
    )


def test_the_api_has_a_capital_before_v3() -> None:
    """The path of early versions differs in the case of a letter."""
    assert url("GetTags", ApiVersion.V2_2) == f"/customvision/v2.2/Training/projects/{P}/tags"
    assert url("GetTags", ApiVersion.V3_0) == f"/customvision/v3.0/training/projects/{P}/tags"
    named = {"projectId": P, "publishedName": "x"}
    assert url("PredictImage", PredictionVersion.V2_0).startswith("/customvision/v2.0/Prediction/")
    assert url("ClassifyImage", PredictionVersion.V3_1, named).startswith(
        "/customvision/v3.1/prediction/"
    )


def test_spaces_dollars_and_the_rest() -> None:
    """A space is %20, the dollar of $filter stays, and everything else is percent-encoded."""
    assert url("GetImages", filter_="metadata=key1 eq 'a&b'").endswith(
        "?$filter=metadata%3Dkey1%20eq%20%27a%26b%27"
    )
    assert url("CreateTag", name="caf\u00e9 +1").endswith("?name=caf%C3%A9%20%2B1")


def test_booleans_and_numbers() -> None:
    """Booleans are lower case. 0 and False are sent, None is not."""
    assert url("DeleteImages", allImages=True, allIterations=False).endswith(
        "?allImages=true&allIterations=false"
    )
    assert url("GetTaggedImages", take=256, skip=0, orderBy=None).endswith("?take=256&skip=0")
    iteration = {"projectId": P, "iterationId": OTHER}
    assert url("GetIterationPerformance", path=iteration, threshold=0.5).endswith("?threshold=0.5")


def test_slash_at_the_end_of_the_endpoint() -> None:
    """An endpoint with a trailing slash, as the portal shows it, is the same."""
    assert (
        build_request(OPERATIONS["GetDomains"], V3, f"{HOST}/", {}, {})[1]
        == f"{HOST}/customvision/v3.3/training/domains"
    )


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0")))
def test_any_text_comes_out_of_the_query_as_it_went_in(text: str) -> None:
    """Every text survives the URL, and never becomes another parameter or a fragment."""
    parts = urlsplit(HOST + url("CreateTag", name=text, description="d"))
    assert dict(parse_qsl(parts.query, keep_blank_values=True)) == {
        "name": text,
        "description": "d",
    }
    assert not parts.fragment
    assert parts.query.isascii()


@example(text="..")
@example(text=".")
@example(text="../../x")
@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1)
)
def test_any_published_name_stays_one_step_of_the_path(text: str) -> None:
    """A published name with slashes or dots cannot reach another path."""
    path = {"projectId": P, "publishedName": text}
    if text.strip(".") == "":
        with pytest.raises(ValueError, match="published"):
            url("ClassifyImage", PredictionVersion.V3_1, path)
        return
    steps = urlsplit(HOST + url("ClassifyImage", PredictionVersion.V3_1, path)).path.split("/")
    assert len(steps) == 9
    assert unquote(steps[7]) == text


@pytest.mark.parametrize("bad", ["a\rb", "a\nb", "a\0b", "x\r\nTraining-Key: y"])
@pytest.mark.parametrize(
    "operation, parameter",
    [
        (row.id, param.name)
        for row in OPERATIONS.values()
        for param in row.query
        if param.kind in {"text", "texts"} and row.in_version(V3)
    ],
)
def test_line_breaks_are_refused_in_every_text(operation: str, parameter: str, bad: str) -> None:
    """No text parameter of any operation accepts a line break or NUL."""
    row = OPERATIONS[operation]
    query: dict[str, Any] = {param.name: "x" for param in row.query if param.required}
    query[parameter] = (
        [bad]
        if next(param.kind for param in row.query if param.name == parameter) == "texts"
        else bad
    )
    with pytest.raises(ValueError, match="line break"):
        build_request(row, V3, HOST, {"projectId": P, "iterationId": P}, query)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "../..",
        f"{P}/..",
        f"{P},{P}",
        "11111111-2222-3333-4444-55555555555g",
        "\n" + P,
        P + "\n",
    ],
)
def test_what_is_no_id_is_refused(bad: str) -> None:
    """An invalid id is refused, in a path and in a list."""
    with pytest.raises(ValueError, match="must be an id"):
        url("GetTags", path={"projectId": bad})
    with pytest.raises(ValueError, match="must be an id"):
        url("DeleteImages", imageIds=[bad])


@given(id=st.uuids())
def test_ids_in_all_their_forms(id: UUID) -> None:
    """Text in either case, with braces or without dashes, a uuid.UUID or a model is the same id."""
    forms: list[object] = [
        str(id),
        str(id).upper(),
        id.hex,
        f"{{{id}}}",
        id,
        Tag(id=str(id), name="x"),
    ]
    assert {id_of(form) for form in forms} == {str(id)}


def test_one_id_is_no_list_of_ids() -> None:
    """A single id instead of a list is an error, not 36 ids of one letter."""
    with pytest.raises(TypeError, match="put it in a list"):
        ids_of(P)
    with pytest.raises(TypeError, match="not int"):
        ids_of([5])


@pytest.mark.parametrize(
    "operation, parameter, maximum",
    [
        ("DeleteImages", "imageIds", 256),
        ("GetImagesByIds", "imageIds", 256),
        ("DeleteImageTags", "imageIds", 64),
        ("DeleteImageTags", "tagIds", 20),
        ("UpdateImageMetadata", "imageIds", 64),
        ("DeleteImageRegions", "regionIds", 64),
        ("GetTaggedImages", "tagIds", 20),
        ("CreateImagesFromData", "tagIds", 20),
        ("DeletePrediction", "ids", 64),
    ],
)
def test_lists_over_their_limit_are_refused(operation: str, parameter: str, maximum: int) -> None:
    """The limit is accepted. One more raises LimitExceeded with the limit."""
    query: dict[str, Any] = {
        param.name: [P] for param in OPERATIONS[operation].query if param.required
    }
    build_request(
        OPERATIONS[operation], V3, HOST, {"projectId": P}, {**query, parameter: [P] * maximum}
    )
    with pytest.raises(LimitExceeded) as refused:
        build_request(
            OPERATIONS[operation],
            V3,
            HOST,
            {"projectId": P},
            {**query, parameter: [P] * (maximum + 1)},
        )
    assert refused.value.limit.value == maximum
    assert operation in str(refused.value)


def test_a_page_over_256_is_refused() -> None:
    """`take` is at most 256."""
    with pytest.raises(LimitExceeded, match="257"):
        url("GetTaggedImages", take=257)


def test_what_a_version_lacks_is_refused_with_the_first_that_has_it() -> None:
    """The error names the first version that has the operation or parameter."""
    with pytest.raises(UnsupportedOperation, match=r"v3\.3") as operation:
        url("GetImages", ApiVersion.V3_2)
    assert (operation.value.operation, operation.value.version, operation.value.first_version) == (
        "GetImages",
        "v3.2",
        "v3.3",
    )
    with pytest.raises(UnsupportedOperation, match=r"allImages.*v3\.1") as parameter:
        url("DeleteImages", ApiVersion.V3_0, allImages=True, imageIds=[P])
    assert parameter.value.first_version == "v3.1"
    with pytest.raises(UnsupportedOperation, match=r"last version that has it is v1\.2"):
        url("GetAccountInfo", V3, {})
    with pytest.raises(UnsupportedOperation, match="Prediction API"):
        operation_spec("ClassifyImage", V3)


def test_what_is_missing_is_said() -> None:
    """A required parameter that is missing or empty is named."""
    with pytest.raises(ValueError, match="CreateTag needs name"):
        url("CreateTag")
    with pytest.raises(ValueError, match="tagIds is empty"):
        url("DeleteImageTags", imageIds=[P], tagIds=[])
    with pytest.raises(ValueError, match="DeleteImages needs imageIds"):
        url("DeleteImages", ApiVersion.V3_0)
    with pytest.raises(TypeError, match="no parameter 'foo'"):
        url("GetTags", foo=1)
    with pytest.raises(TypeError, match="needs projectId"):
        url("GetTags", path={})


def test_only_what_makes_a_new_thing_each_time_is_not_repeated() -> None:
    """Everything else may be repeated after a lost response."""
    once = {row.id for row in OPERATIONS.values() if not row.repeatable}
    assert once == {
        "CreateProject",
        "CreateTag",
        "TrainProject",
        "ImportProject",
        "PublishIteration",
        "ExportIteration",
    }


_ids = st.uuids().map(str)
_nearly = st.one_of(
    _ids,
    _ids.map(str.upper),
    st.tuples(_ids, st.integers(0, 35), st.characters()).map(
        lambda t: t[0][: t[1]] + t[2] + t[0][t[1] + 1 :]
    ),
    st.tuples(_ids, _ids).map(",".join),
    _ids.map(lambda one: one + ","),
    _ids.map(lambda one: one[:-1]),
    st.text("0123456789abcdef-, \n", max_size=40),
    st.uuids(),
    st.none(),
    _ids.map(str.encode),
)


@given(st.lists(st.one_of(_ids, _ids, _ids, _nearly), max_size=5))
@example([P, OTHER])
@example([f"{P},{OTHER}"])
@example([P + ",", OTHER[:-1]])
@example([P + "," + OTHER, ""])
@example([])
def test_many_ids_are_looked_at_in_one_go_as_one_by_one(values: list[object]) -> None:
    """The bulk check of ids agrees with the check of each."""
    assert all_canonical_ids(values) == all(
        isinstance(value, str) and _written(value) for value in values
    )


def _written(value: str) -> bool:
    try:
        return id_of(value) == value
    except ValueError:
        return False
