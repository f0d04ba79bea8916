"""D1 to D12: the emulator follows public evidence of the real service, with its switches."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.support.evidence import (
    COMPACT,
    DETECTION,
    JSON,
    OCTETS,
    project_with_images,
    quick,
    trained,
)
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio


@pytest.mark.evidence("D1")
@pytest.mark.parametrize(
    "flavor, name",
    [
        ("linux", "Linux"),
        ("arm", "ARM"),
        ("onnx12", "ONNX12"),
        ("tensorflowlite", "TensorFlowLite"),
        ("ONNXFloat16", "ONNXFloat16"),
        ("CoreMLFloat16", "CoreMLFloat16"),
        ("TensorFlowSavedModel", "TensorFlowSavedModel"),
        ("TensorFlowJs", "TensorFlowJs"),
        ("TensorFlowLiteFloat16", "TensorFlowLiteFloat16"),
        ("NoPostProcess", "NoPostProcess"),
    ],
)
async def test_export_flavors(flavor: str, name: str) -> None:
    """Platforms and flavors match in any case, including flavors that are not documented."""
    async with quick() as call:
        path = await trained(call, await project_with_images(call, domainId=COMPACT))
        export = await call("POST", f"{path}/export?platform=dockerfile&flavor={flavor}")
        assert (export["platform"], export["flavor"]) == ("DockerFile", name)
        refused = await call.refused("POST", f"{path}/export?platform=onnx&flavor=nonsense")
        assert refused == "BadRequestExportValidationFailed"


@pytest.mark.evidence("D2")
@pytest.mark.parametrize(
    "body, quotes, lenient",
    [
        ("{'url' : 'x'}", True, True),
        ("""{'u"rl': 'it\\'s'}""", True, True),
        ('{url: "x"}', False, True),
        ('{"url": "x",}', False, True),
        ('{"url": "x" /* why */}', False, True),
        ('\ufeff{"url": "x"}', False, True),
        ("{'url': ", False, False),
        ("nonsense", False, False),
    ],
)
@pytest.mark.parametrize("reader", ["quotes", "lenient", "strict"])
async def test_json_as_the_service_reads_it(
    body: str, quotes: bool, lenient: bool, reader: str
) -> None:
    """Single quotes are accepted by default. A switch adds the rest that Json.NET accepts."""
    taken = {"quotes": quotes, "lenient": lenient, "strict": False}[reader]
    async with calling(json_reader=reader) as call:
        project = await call.project()
        answer = await call("POST", f"{project}/images/urls", 400, data=body.encode(), headers=JSON)
        # A body that is understood fails because it has no images.
        assert ("JSON" not in answer["message"]) == taken, answer


@pytest.mark.evidence("D3")
@pytest.mark.parametrize("newest", [True, False])
async def test_the_newest_iteration_is_the_first(newest: bool) -> None:
    """The first iteration of the list is the one just trained."""
    async with quick(newest_iteration_first=newest) as call:
        project = await project_with_images(call)
        made = [await trained(call, project, "?forceTrain=true") for _ in range(3)]
        listed = [
            f"{project}/iterations/{one['id']}"
            for one in await call("GET", f"{project}/iterations")
        ]
        assert listed == (made[::-1] if newest else made)


@pytest.mark.evidence("D4")
async def test_enum_values_in_any_case() -> None:
    """Queries and bodies accept any case. Responses have the documented spelling."""
    async with quick() as call:
        project = await project_with_images(
            call, classificationType="multiLABEL", targetExportPlatforms="coreml"
        )
        settings = (await call("GET", project))["settings"]
        assert settings["classificationType"] == "Multilabel"
        assert settings["targetExportPlatforms"] == ["CoreML"]
        await call("PATCH", project, json={"settings": {"targetExportPlatforms": ["onnx"]}})
        assert (await call("GET", project))["settings"]["targetExportPlatforms"] == ["ONNX"]
        first = (await call("GET", f"{project}/images?orderBy=oldest&taggingStatus=TAGGED"))[0][
            "id"
        ]
        assert first == (await call("GET", f"{project}/images?orderBy=Oldest"))[0]["id"]
        made = await call("POST", f"{project}/train?trainingType=advanced&reservedBudgetInHours=1")
        assert made["trainingType"] == "Advanced"
        answer = await call("POST", f"{project}/predictions/query", json={"orderBy": "oldest"})
        assert answer["token"]["orderBy"] == "Oldest"
        assert await call.refused("GET", f"{project}/images?orderBy=oldish") == "BadRequest"


@pytest.mark.evidence("D5")
@pytest.mark.parametrize("version", ["v1.1", "v2.0"])
async def test_no_prediction_without_a_default_iteration(version: str) -> None:
    """A prediction gets a 404 with the reported message until an iteration is the default."""
    async with quick() as call:
        project = await project_with_images(call)
        path = await trained(call, project)
        base = project.removeprefix("/projects")
        options: dict[str, Any] = {"data": image_bytes(1), "headers": OCTETS, "api": "prediction"}
        answer = await call.at(version)("POST", f"{base}/image", 404, **options)
        assert "Project has no default iteration" in answer.values()
        await call.at("v2.2")("PATCH", path, json={"isDefault": True})
        await call.at(version)("POST", f"{base}/image", **options)


@pytest.mark.evidence("D6")
@pytest.mark.parametrize("cors", [True, False])
async def test_browsers_may_call(cors: bool) -> None:
    """A preflight needs no key, and pages of any origin can read a response."""
    page = {"Origin": "https://page.example"}
    async with calling(cors=cors) as call:
        ask = page | {"Access-Control-Request-Method": "POST", "Training-Key": ""}
        response, _ = await call.raw("OPTIONS", "/projects", headers=ask)
        assert response.status == (200 if cors else 405)
        for headers in (page, page | {"Training-Key": "wrong"}):
            response, _ = await call.raw("GET", "/projects", headers=headers)
            assert response.headers.get("Access-Control-Allow-Origin") == ("*" if cors else None)
        response, _ = await call.raw("GET", "/projects")
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.evidence("D7")
@pytest.mark.parametrize("refused", [True, False])
async def test_the_same_region_twice(refused: bool) -> None:
    """The request fails with 400 and creates nothing, not even the regions that are given once."""
    async with calling(repeated_region_is_400=refused) as call:
        project = await call.project(domainId=DETECTION)
        tag = await call.tag(project, "apple")
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        box = {"imageId": image, "tagId": tag, "left": 0.1, "top": 0.1, "width": 0.2, "height": 0.2}
        regions = [box, box | {"left": 0.3}, box | {"left": 0.1 + 1e-12}]
        answer = await call(
            "POST", f"{project}/images/regions", 400 if refused else 207, json={"regions": regions}
        )
        if refused:
            assert answer == {
                "code": "BadRequestImageRegions",
                "message": "Duplicate image regions",
            }
        images = await call("GET", f"{project}/images/id?imageIds={image}")
        assert len(images[0].get("regions", [])) == (0 if refused else 2)


@pytest.mark.evidence("D7")
@pytest.mark.parametrize("shuffled", [True, False])
async def test_created_regions_come_in_another_order(shuffled: bool) -> None:
    """created[] must be matched by content, not by position."""
    async with calling(shuffle_created=shuffled, seed=1) as call:
        project = await call.project(domainId=DETECTION)
        tag = await call.tag(project, "apple")
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        box = {"imageId": image, "tagId": tag, "top": 0.1, "width": 0.2, "height": 0.2}
        lefts = [number / 20 for number in range(12)]
        answer = await call(
            "POST",
            f"{project}/images/regions",
            json={"regions": [box | {"left": left} for left in lefts]},
        )
        got = [round(region["left"], 6) for region in answer["created"]]
        assert sorted(got) == lefts
        assert (got != lefts) == shuffled


@pytest.mark.evidence("D8")
@pytest.mark.parametrize("kept", ["all", "last"])
async def test_a_list_given_twice_counts_twice(kept: str) -> None:
    """tagIds=A&tagIds=B,C keeps all three ids, or by switch only the last value."""
    async with calling(repeated_query=kept) as call:
        project = await call.project()
        a, b, c = [await call.tag(project, name) for name in "abc"]
        answer = await call(
            "POST",
            f"{project}/images?tagIds={a}&tagIds={b},{c}",
            data=image_bytes(1),
            headers=OCTETS,
        )
        tags = {tag["tagId"] for tag in answer["images"][0]["image"]["tags"]}
        assert tags == ({a, b, c} if kept == "all" else {b, c})
        assert len(await call("GET", f"{project}/images/tagged?tagIds={c}&tagIds={a}")) == (
            kept == "all"
        )


@pytest.mark.evidence("D9")
@pytest.mark.parametrize("refused", [True, False])
async def test_publishing_what_is_published(refused: bool) -> None:
    """overwrite takes a name from another iteration, but does not publish the same one again."""
    async with quick(republish_is_400=refused) as call:
        project = await project_with_images(call)
        one, two = [await trained(call, project, "?forceTrain=true") for _ in range(2)]
        live = "publish?publishName=live&predictionId=/r&overwrite=true"
        assert await call("POST", f"{one}/{live}") is True
        answer = await call("POST", f"{one}/{live}", 400 if refused else 200)
        if refused:
            assert answer["code"] == "BadRequestIterationIsPublished"
            assert answer["message"] == "Iteration is already published as: live"
        assert await call("POST", f"{two}/{live}") is True
        assert (await call("GET", one))["publishName"] is None


@pytest.mark.evidence("D10")
@pytest.mark.parametrize(
    "stops, detection, classification",
    [("detection", 400, 200), ("always", 400, 400), ("never", 200, 200)],
)
async def test_a_tag_without_images(stops: str, detection: int, classification: int) -> None:
    """A tag without images fails the training of a detection project."""
    async with quick(empty_tag_stops_training=stops) as call:
        for query, status in (({"domainId": DETECTION}, detection), ({}, classification)):
            project = await project_with_images(call, each=15, **query)
            await call.tag(project, "empty")
            answer = await call("POST", f"{project}/train", status)
            if status == 400:
                assert answer["message"] == "Not enough images per tag for training"
                assert answer["code"].endswith("TrainingValidationFailed")


@pytest.mark.evidence("D11")
@pytest.mark.parametrize("merged", [True, False])
async def test_a_duplicate_adds_its_tags_and_regions(merged: bool) -> None:
    """OKDuplicate adds the tags and regions of the request to the existing image."""
    async with calling(duplicate_merges_tags=merged) as call:
        project = await call.project(domainId=DETECTION)
        tags = [await call.tag(project, name) for name in ("one", "two")]
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        region = {"tagId": tags[1], "left": 0.1, "top": 0.1, "width": 0.2, "height": 0.2}
        entry = {
            "name": "again",
            "contents": base64.b64encode(image_bytes(1)).decode(),
            "tagIds": tags[:1],
            "regions": [region],
        }
        answer = await call("POST", f"{project}/images/files", 207, json={"images": [entry]})
        assert answer["images"][0]["status"] == "OKDuplicate"
        found = (await call("GET", f"{project}/images/id?imageIds={image}"))[0]
        assert {tag["tagId"] for tag in found.get("tags", [])} == (set(tags) if merged else set())
        assert len(found.get("regions", [])) == int(merged)


@pytest.mark.evidence("D12")
@pytest.mark.parametrize("newer", [True, False])
async def test_the_domains_of_today(newer: bool) -> None:
    """There are 18 domains for projects, or by switch the 14 of the recording."""
    added = {
        "a8e3c40f-fb4a-466f-832a-5e457ae4a344",
        "2e37d7fb-3a54-486a-b4d6-cfc369af0018",
        "a1db07ca-a19a-4830-bae8-e004a42dc863",
        "9c616dff-2e7d-ea11-af59-1866da359ce6",
    }
    async with calling(newer_domains=newer) as call:
        ids = {domain["id"] for domain in await call("GET", "/domains")}
        assert len(ids) == (18 if newer else 14)
        assert ids & added == (added if newer else set())
        for domain in added:
            await call("POST", f"/projects?name=x&domainId={domain}", 200 if newer else 400)
