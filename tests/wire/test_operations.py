"""Each operation through its coroutine: one request with the method, path and body of the
reference.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType
from typing import Any
from uuid import UUID

import pytest

from customvision_async import errors
from customvision_async._operations import Operations, PredictionOperations
from customvision_async._transport.base import Meter, Request, Response
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.operations import OPERATIONS
from customvision_async.models import (
    ImageFile,
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageIdCreateEntry,
    ImageRegion,
    ImageRegionCreateEntry,
    ImageTagCreateEntry,
    ImageUrlCreateEntry,
    PredictionQueryTag,
    PredictionQueryToken,
    Project,
    ProjectSettings,
    ProjectUpdate,
    Region,
    SuggestedTagAndRegionQueryToken,
    Tag,
)

from ..support.render import rendered

pytestmark = pytest.mark.anyio

P = "11111111-2222-3333-4444-555555555555"
A = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
BASE = "http://127.0.0.1:1/customvision/v3.3/training"
SUMMARY = {"isBatchSuccessful": True, "images": []}


@dataclass
class Service:
    """A transport with one response. It records requests."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    in_doubt: bool = False
    requests: list[Request] = field(default_factory=list)

    async def send(self, request: Request) -> Response:
        """Record a request and return the response."""
        self.requests.append(request)
        body = (
            self.body
            if isinstance(self.body, bytes)
            else b""
            if self.body is None
            else json.dumps(self.body).encode()
        )
        return Response(
            self.status,
            self.headers,
            body,
            attempts=2 if self.in_doubt else 1,
            in_doubt=self.in_doubt,
        )

    @property
    def sent(self) -> Request:
        """Return the one request that was sent."""
        (request,) = self.requests
        return request

    @property
    def json(self) -> Any:
        """Return the JSON of its body."""
        assert self.sent.content is not None
        return json.loads(rendered(self.sent.content))


def training(
    body: Any = None, status: int = 200, version: ApiVersion = ApiVersion.V3_3, **more: Any
) -> tuple[Operations, Service]:
    """Return operations on a service with one response."""
    service = Service(body, status, **more)
    return Operations(service, "http://127.0.0.1:1", version), service


def test_every_operation_has_its_coroutine() -> None:
    """Each operation is a method with its operationId in snake_case, and there are no other
    methods.
    """
    for kind, api in ((Operations, "Training"), (PredictionOperations, "Prediction")):
        names = {
            re.sub(r"(?<=[a-z])(?=[A-Z])", "_", row.id).lower()
            for row in OPERATIONS.values()
            if row.api == api
        }
        methods = {
            name
            for name, member in inspect.getmembers(kind, inspect.iscoroutinefunction)
            if not name.startswith("_")
        }
        assert methods - {"call"} == names


async def test_images_from_data_one_or_several(tmp_path: Path) -> None:
    """Bytes, a path, an open file and an ImageFile are parts of one body. Tags are in the URL."""
    (tmp_path / "b.jpg").write_bytes(b"two")
    (tmp_path / "c.jpg").write_bytes(b"??three")
    operations, service = training(SUMMARY)
    with (tmp_path / "c.jpg").open("rb") as file:
        file.seek(2)
        images = [b"one", tmp_path / "b.jpg", file, ImageFile(data=b"four", name="d")]
        await operations.create_images_from_data(P, images, tag_ids=[A])
        assert service.sent.content is not None
        body = rendered(service.sent.content)
        assert file.tell() == 7
    assert service.sent.url == f"{BASE}/projects/{P}/images?tagIds={A}"
    assert re.findall(rb'name="(.*?)"; filename="(.*?)"', body) == [
        (b"imageData", b"0"), (b"imageData", b"b.jpg"), (b"imageData", b"c.jpg"),
        (b"imageData", b"d"),
    ]  # fmt: skip
    assert re.findall(rb"\r\n\r\n(.*?)\r\n", body) == [b"one", b"two", b"three", b"four"]


async def test_images_from_data_refuses_what_it_cannot_send() -> None:
    """No image, more than 64, a text file or another object: refused before anything is sent."""
    operations, service = training(SUMMARY)
    with pytest.raises(ValueError, match="empty"):
        await operations.create_images_from_data(P, [])
    with pytest.raises(errors.LimitExceeded, match="64"):
        await operations.create_images_from_data(P, [b"x"] * 65)
    with pytest.raises(TypeError, match="binary"):
        await operations.create_images_from_data(P, io.StringIO("x"))
    with pytest.raises(TypeError, match="5 is not an image file"):
        await operations.create_images_from_data(P, [5])
    with pytest.raises(FileNotFoundError):
        await operations.create_images_from_data(P, "no/such/file.jpg")
    assert not service.requests


async def test_images_from_files_with_regions_and_metadata() -> None:
    """Entries with tags and regions, and those of the whole batch."""
    operations, service = training(SUMMARY)
    region = Region(tag=A, left=0.1, top=0.2, width=0.3, height=0.4)
    entry = ImageFileCreateEntry("a b.png", b"\x00\x01", [A], [region])
    await operations.create_images_from_files(
        P, ImageFileCreateBatch([entry], [UUID(A)], {"k": "v"})
    )
    assert service.json == {
        "images": [
            {
                "name": "a b.png",
                "contents": "AAE=",
                "tagIds": [A],
                "regions": [{"tagId": A, "left": 0.1, "top": 0.2, "width": 0.3, "height": 0.4}],
            }
        ],
        "tagIds": [A],
        "metadata": {"k": "v"},
    }
    assert service.sent.headers == {"Accept": "application/json"}


async def test_images_from_files_in_v1() -> None:
    """The same as v1.2 writes it."""
    operations, service = training({"IsBatchSuccessful": True}, version=ApiVersion.V1_2)
    summary = await operations.create_images_from_files(
        P, [ImageFile(data=b"\x00\x01", name="a b.png", tags=[A])]
    )
    assert service.json == {"Images": [{"Name": "a b.png", "Contents": "AAE=", "TagIds": [A]}]}
    assert summary.images == ()


async def test_limits_of_a_batch_are_held_before_sending() -> None:
    """64 images, 20 distinct tags in all, 128 pairs, 64 regions, 2 tags of a query, metadata."""
    operations, service = training(SUMMARY)
    many = [UUID(int=i) for i in range(21)]
    url = ImageUrlCreateEntry("https://example.com/a.jpg")
    refused = [
        (operations.create_images_from_urls(P, [url] * 65), "64 images"),
        (
            operations.create_images_from_urls(
                P, [ImageUrlCreateEntry("u", [tag]) for tag in many]
            ),
            "20 tags",
        ),
        (operations.create_images_from_predictions(P, [ImageIdCreateEntry(A, many)]), "20 tags"),
        (
            operations.create_images_from_predictions(
                P, [ImageIdCreateEntry(A, many[:20], [Region(many[20], 0, 0, 1, 1)])]
            ),
            "20 tags",
        ),
        (operations.create_image_tags(P, [(A, A)] * 129), "128 pairs"),
        (operations.create_image_regions(P, [_region()] * 65), "64 regions"),
        (
            operations.query_predictions(
                P, PredictionQueryToken(tags=(PredictionQueryTag(id=A),) * 3)
            ),
            "2 tags",
        ),
        (operations.update_image_metadata(P, [A], {str(i): "x" for i in range(11)}), "10 pairs"),
        (operations.update_image_metadata(P, [A], {"k": "x" * 257}), "256 characters"),
    ]
    for call, words in refused:
        with pytest.raises(errors.LimitExceeded, match=words):
            await call
    assert not service.requests


def _region(left: float = 0.0) -> ImageRegionCreateEntry:
    return ImageRegionCreateEntry(image_id=A, tag_id=A, left=left, top=0, width=1, height=1)


async def test_bad_regions_are_refused() -> None:
    """A number that JSON lacks, or a tag that is not an id: refused before anything is sent."""
    operations, service = training(SUMMARY)
    with pytest.raises(ValueError, match="finite"):
        await operations.create_image_regions(P, [_region(float("nan"))])
    with pytest.raises(ValueError, match="tag of a region"):
        await operations.create_images_from_files(
            P, [ImageFile(data=b"x", regions=[Region("apple", 0, 0, 1, 1)])]
        )
    assert not service.requests


async def test_tag_pairs_under_either_name_and_version() -> None:
    """Pairs and entries are accepted. post_image_tags of v1.2 is the same operation."""
    operations, service = training({"created": [{"imageId": P, "tagId": A}], "duplicated": None})
    summary = await operations.create_image_tags(
        P, [(P, A), ImageTagCreateEntry(image_id=A, tag_id=A)]
    )
    assert service.json == {"tags": [{"imageId": P, "tagId": A}, {"imageId": A, "tagId": A}]}
    assert summary.created == (ImageTagCreateEntry(image_id=P, tag_id=A),)
    assert summary.duplicated == ()
    old, service = training({"Created": None}, version=ApiVersion.V1_2)
    await old.post_image_tags(P, [(P, A)])
    assert service.json == {"Tags": [{"ImageId": P, "TagId": A}]}
    assert service.sent.operation == "PostImageTags"


async def test_delete_images_never_means_all_by_accident() -> None:
    """Without ids, deleting all images needs an explicit argument."""
    operations, service = training(status=204)
    for nothing in (None, [], iter(())):
        with pytest.raises(ValueError, match="all_images=True"):
            await operations.delete_images(P, nothing)
    assert not service.requests
    await operations.delete_images(P, all_images=True, all_iterations=False)
    assert service.sent.url == f"{BASE}/projects/{P}/images?allImages=true&allIterations=false"
    assert service.sent.content is None


async def test_a_delete_whose_answer_was_lost_and_then_finds_nothing_is_done() -> None:
    """A 404 after an attempt in doubt is its effect. Without doubt it is an error."""
    missing = {"code": "NotFoundTag", "message": "gone"}
    operations, _ = training(missing, 404, in_doubt=True)
    await operations.delete_tag(P, A)
    operations, _ = training(missing, 404)
    with pytest.raises(errors.NotFoundError, match="gone"):
        await operations.delete_tag(P, A)


async def test_regions_are_deleted_by_id_or_model() -> None:
    """The id of a region in an image is its region id."""
    operations, service = training(status=204)
    region = ImageRegion(region_id=A, tag_id=P, left=0, top=0, width=1, height=1)
    await operations.delete_image_regions(P, [region, UUID(P)])
    assert service.sent.url.endswith(f"/images/regions?regionIds={A},{P}")


async def test_updates_send_what_can_be_changed() -> None:
    """Of a model only its writable fields are sent, of an update only the given ones."""
    project = Project(
        id=P,
        name="n",
        description="d",
        settings=ProjectSettings(domain_id=A, use_negative_set=True),
    )
    operations, service = training({"id": P, "name": "n"})
    await operations.update_project(project, project)
    assert service.json == {"name": "n", "description": "d", "settings": {"domainId": A}}
    operations, service = training({"id": P, "name": "n"})
    await operations.update_project(P, ProjectUpdate(name="n"))
    assert service.json == {"name": "n"}
    operations, service = training({"id": P, "name": "n"})
    await operations.update_tag(P, A, Tag(id=A, name="n", image_count=5))
    assert service.json == {"name": "n", "description": None, "type": "Regular"}
    operations, service = training({"id": P, "name": "n"})
    await operations.update_iteration(P, A, "n")
    assert service.json == {"name": "n"}


async def test_optional_bodies_need_their_version() -> None:
    """A body is sent only if it is not empty and the version accepts it."""
    operations, service = training({"id": P, "name": "n"})
    await operations.train_project(P, force_train=True)
    assert service.sent.content is None
    assert service.sent.url.endswith("/train?forceTrain=true")
    operations, service = training({"id": P, "name": "n"})
    await operations.train_project(P, selected_tags=[A])
    assert service.json == {"selectedTags": [A]}
    with pytest.raises(errors.UnsupportedOperation, match=r"v3\.2"):
        await training(version=ApiVersion.V3_1)[0].train_project(P, selected_tags=[A])
    with pytest.raises(errors.UnsupportedOperation, match=r"v3\.4-preview"):
        await operations.create_project("n", notification_queue_uri="u")


async def test_suggestions_and_stored_predictions() -> None:
    """Tokens are sent unchanged."""
    operations, service = training({"token": {"session": "s", "continuation": None}, "results": []})
    page = await operations.query_suggested_images(
        P, A, SuggestedTagAndRegionQueryToken(threshold=0.5, max_count=10)
    )
    assert service.json == {"threshold": 0.5, "maxCount": 10}
    assert page.token is not None
    operations, service = training({"token": {}, "results": []})
    await operations.query_suggested_images(P, A, page.token)
    assert service.json == {"session": "s"}
    operations, service = training({A: 3})
    assert await operations.query_suggested_image_count(P, A, tag_ids=[A]) == {A: 3}


async def test_prediction_api() -> None:
    """Images are sent as they are, URLs as JSON. A version without the operation raises."""
    service = Service({"id": P, "predictions": []})
    operations = PredictionOperations(service, "http://127.0.0.1:1")
    await operations.classify_image_with_no_store(P, "My model/1", b"image", application="a b")
    assert service.sent.url.endswith(
        f"/customvision/v3.1/prediction/{P}/classify/iterations/My%20model%2F1/image/nostore?application=a%20b"
    )
    assert service.sent.content is not None
    assert (service.sent.content.content_type, rendered(service.sent.content)) == (
        "application/octet-stream",
        b"image",
    )
    with pytest.raises(errors.UnsupportedOperation):
        await operations.predict_image(P, b"x")
    service = Service({"Id": P})
    await PredictionOperations(
        service, "http://127.0.0.1:1", PredictionVersion.V1_1
    ).predict_image_url(P, "https://example.com/a.jpg")
    assert service.json == {"Url": "https://example.com/a.jpg"}


async def test_a_partly_failed_batch_is_an_answer() -> None:
    """207 is a summary, not an error."""
    operations, _ = training(
        {
            "isBatchSuccessful": False,
            "images": [{"sourceUrl": "u", "status": "ErrorSource", "image": None}],
        },
        207,
    )
    summary = await operations.create_images_from_urls(
        P, [ImageUrlCreateEntry("https://example.com/a.jpg")]
    )
    assert [result.status for result in summary.images] == ["ErrorSource"]


async def test_a_429_names_its_wait() -> None:
    """Without a header, the wait is read from the service's message."""
    operations, _ = training(
        {"error": {"code": "429", "message": "Please retry after 7 seconds."}}, 429
    )
    with pytest.raises(errors.RateLimitError) as refused:
        await operations.get_tags(P)
    assert refused.value.retry_after == 7


async def test_requests_say_whether_they_may_be_repeated() -> None:
    """Creating a tag must not be repeated after a lost response. Creating images may be."""
    operations, service = training({"id": P, "name": "n"})
    await operations.create_tag(P, "n")
    assert not service.sent.repeatable
    assert service.sent.content is None
    operations, service = training(SUMMARY)
    await operations.create_images_from_data(P, b"x")
    assert service.sent.repeatable


async def test_a_meter_goes_with_the_request_and_the_date_comes_with_the_answer() -> None:
    """The meter counts for its caller, and the response has the time of the service."""
    operations, service = training(
        [], headers={"content-type": "application/json", "date": "Fri, 06 Nov 2020 16:37:27 GMT"}
    )
    meter = Meter()
    assert await operations.get_tags(P, meter=meter) == []
    assert service.sent.meter is meter
    assert meter.date == datetime(2020, 11, 6, 16, 37, 27, tzinfo=UTC)


def test_each_call_names_the_type_that_its_row_answers() -> None:
    """The type beside the operationId, which type checkers believe, is that of the table."""
    named = {}
    for module in map(sys.modules.__getitem__, {base.__module__ for base in _bases()}):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            match node:
                case ast.Call(ast.Attribute(attr="_call"), [ast.Constant(str(name)), returns, *_]):
                    named[name] = eval(ast.unparse(returns), vars(module))
    wrong = {
        name: returns
        for name, returns in named.items()
        if OPERATIONS[name].response != (None if returns is NoneType else returns)
    }
    assert not wrong
    assert len(named) > 50  # the others choose the operationId by their arguments


def _bases() -> set[type]:
    bases = {*Operations.__mro__, *PredictionOperations.__mro__}
    return {base for base in bases if base.__module__.startswith("customvision_async._operations")}
