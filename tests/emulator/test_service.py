"""The emulated service: versions, keys, rates, quotas, projects and tags."""

from __future__ import annotations

import asyncio
import json
import re

import aiohttp
import pytest

from customvision_async.emulator._float32 import single
from customvision_async.emulator._ids import guid_key, guid_text
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio

GATEWAY = re.compile(r"^\{\"error\":\{\"code\":\"\d+\",\"message\":\".*\"\}\}$")


# Dialects.


async def test_v1_2_speaks_pascal_case() -> None:
    """Keys are in PascalCase in both directions, and the shapes are those of v1.2.

    Tags have no names, images have one imageUri, and GetTags has totals.
    """
    async with calling("v1.2") as call:
        made = await call("POST", "/projects?name=Old&description=d")
        assert list(made) == [
            "Id",
            "Name",
            "Description",
            "Settings",
            "CurrentIterationId",
            "Created",
            "LastModified",
            "ThumbnailUri",
        ]
        assert made["Settings"]["Classification"] == "MultiLabel"
        assert not made["Created"].endswith("Z")
        assert made["LastModified"].endswith("Z")
        project = f"/projects/{made['Id']}"
        tag = (await call("POST", f"{project}/tags?name=apple"))["Id"]
        entry = {"Name": "a b.png", "Contents": "AAE=", "TagIds": [tag]}
        summary = await call(
            "POST", f"{project}/images/files", json={"Images": [entry], "TagIds": []}
        )
        assert summary == {
            "IsBatchSuccessful": False,
            "Images": [{"SourceUrl": "a b.png", "Status": "ErrorImageFormat", "Image": None}],
        }
        form = aiohttp.FormData()
        form.add_field("imageData", image_bytes(1), filename="1.jpg")
        image = (await call("POST", f"{project}/images?tagIds={tag}", data=form))["Images"][0][
            "Image"
        ]
        assert set(image) == {
            "Id",
            "Created",
            "Width",
            "Height",
            "ImageUri",
            "ThumbnailUri",
            "Tags",
        }
        assert set(image["Tags"][0]) == {"TagId", "Created"}
        posted = await call(
            "POST",
            f"{project}/images/tags",
            json={"Tags": [{"ImageId": image["Id"], "TagId": tag}]},
        )
        assert list(posted) == ["Created", "Duplicated", "Exceeded"]
        assert len(posted["Duplicated"]) == 1
        tags = await call("GET", f"{project}/tags")
        assert (
            tags["TotalTaggedImages"],
            tags["TotalUntaggedImages"],
            tags["Tags"][0]["ImageCount"],
        ) == (1, 0, 1)
        account = await call("GET", "/account")
        assert account["Quotas"]["PerProject"][0]["Images"]["Used"] == 1
        assert {domain["Name"] for domain in await call("GET", "/domains")} >= {"General", "Food"}


async def test_partial_failure_is_200_before_v3_3_and_207_after() -> None:
    """The body is the same. Only the status differs."""
    async with calling() as call:
        for version, status in (("v2.0", 200), ("v3.2", 200), ("v3.3", 207), ("v3.4-preview", 207)):
            caller = call.at(version)
            project = await caller.project()
            results = await caller.upload(
                project, {"good": image_bytes(1), "bad": b"text"}, expect=status
            )
            assert {name: result["status"] for name, result in results.items()} == {
                "good": "OK",
                "bad": "ErrorImageFormat",
            }
            assert ("imageUri" in results["good"]["image"]) == (version == "v2.0")


async def test_versions_have_their_operations_and_no_others() -> None:
    """An operation that a version lacks is the gateway's 404.

    The prefix matches in any case, with repeated slashes.
    """
    async with calling() as call:
        project = await call.project()
        await call("GET", f"{project}/images/count")
        answer = await call.at("v3.2")("GET", f"{project}/images/count", 404)
        assert answer == {"error": {"code": "404", "message": "Resource not found"}}
        await call.at("v9.9")("GET", "/projects", 404)
        await call("PUT", "/projects", 405)
        for prefix in (
            "//customvision/v3.3/training",
            "/customvision/V2.1/Training",
            "/CustomVision/v3.0/TRAINING",
        ):
            headers = {"Training-Key": call.emulator.training_key}
            async with call.session.get(
                f"{call.emulator.endpoint}{prefix}/projects", headers=headers
            ) as response:
                assert response.status == 200


async def test_null_in_place_of_empty_lists() -> None:
    """With the switch, empty lists are null, as the old schemas allow."""
    async with calling("v2.1", null_lists=True) as call:
        project = await call.project()
        assert await call("GET", f"{project}/images/untagged") is None
        tag = await call.tag(project, "apple")
        image = (await call.upload(project, {"a": image_bytes(1)}, [tag]))["a"]["image"]["id"]
        posted = await call(
            "POST", f"{project}/images/tags", json={"tags": [{"imageId": image, "tagId": tag}]}
        )
        assert posted["created"] is None
        assert len(posted["duplicated"]) == 1


async def test_headers_are_the_recorded_ones() -> None:
    """Responses have request ids and compact JSON with length and charset, and no Server header."""
    async with calling() as call:
        response, body = await call.raw("GET", "/domains")
        assert response.headers["Request-Id"] == response.headers["apim-request-id"]
        assert response.headers["Content-Type"] == "application/json; charset=utf-8"
        assert "Server" not in response.headers
        assert int(response.headers["Content-Length"]) == len(body)
        assert json.dumps(json.loads(body), separators=(",", ":")).encode() == body
        response, _ = await call.at("v2.1").raw("GET", "/domains")
        assert "Request-Id" not in response.headers
        assert "apim-request-id" in response.headers


# Keys.


async def test_each_api_has_its_key() -> None:
    """A wrong key, no key and the key of the other API all give the gateway's 401 Access Denied."""
    async with calling(
        training_key="train", prediction_key="predict", bearer_tokens=("token",)
    ) as call:
        for headers in (
            {"Training-Key": "wrong"},
            {"Training-Key": ""},
            {"Training-Key": "predict"},
        ):
            response, body = await call.raw("GET", "/projects", headers=headers)
            assert (response.status, response.reason) == (401, "Access Denied")
            assert GATEWAY.match(body.decode())
        path = "/00000000-0000-0000-0000-000000000000/classify/iterations/x/image"
        response, _ = await call.at("v3.1").raw(
            "POST", path, api="prediction", headers={"Prediction-Key": "train"}
        )
        assert response.status == 401
        response, _ = await call.raw(
            "GET", "/projects", headers={"Training-Key": "", "Authorization": "Bearer token"}
        )
        assert response.status == 200
        response, _ = await call.raw(
            "GET", "/projects", headers={"Training-Key": "", "Authorization": "Bearer other"}
        )
        assert response.status == 401


async def test_a_key_may_be_rotated() -> None:
    """A replaced key is rejected.

    By default the key is random, and the prediction key is the training key.
    """
    async with calling() as call:
        old = call.emulator.training_key
        assert len(old) == 32
        assert call.emulator.prediction_key == old
        call.emulator.training_key = "new"
        response, _ = await call.raw("GET", "/projects", headers={"Training-Key": old})
        assert response.status == 401
        await call("GET", "/projects")


async def test_the_log_has_no_keys() -> None:
    """The log has each request with operation, query, body size and status, but no credentials."""
    async with calling(training_key="secret-key") as call:
        project = await call.project()
        await call.upload(project, {"a": image_bytes(1)})
        await call("GET", "/nowhere", 404)
        seen = list(call.emulator.requests)
        assert [(request.operation, request.status) for request in seen] == [
            ("CreateProject", 200),
            ("CreateImagesFromData", 200),
            ("", 404),
        ]
        assert seen[1].body_bytes > len(image_bytes(1))
        assert seen[0].query == "name=Orchard"
        assert "secret-key" not in repr(seen)


# Rates and quotas.


async def test_calls_above_the_rate_are_refused_in_the_services_words() -> None:
    """In F0 the third request of a second gets the service's 429 with Retry-After."""
    async with calling(tier="F0") as call:
        answers = [await call.raw("GET", "/projects") for _ in range(5)]
        assert [response.status for response, _ in answers] == [200, 200, 429, 429, 429]
        response, body = answers[-1]
        assert response.headers["Retry-After"] == "1"
        assert GATEWAY.match(body.decode())
        expected = (
            "Requests to the GetProjects Operation under Custom_Vision_Training_3.3 have "
            "exceeded rate limit of your current "
            "Custom_Vision.Training F0 pricing tier. Please retry after 1 second. To increase "
            "your rate limit switch to a paid tier."
        )
        assert json.loads(body)["error"]["message"] == expected


async def test_a_rate_may_be_given_and_no_tier_has_none() -> None:
    """calls_per_second overrides the rate of the tier. Without a tier nothing is throttled."""
    async with calling(tier="F0", calls_per_second=10) as call:
        statuses = [(await call.raw("GET", "/projects"))[0].status for _ in range(12)]
        assert statuses == [200] * 10 + [429] * 2
    async with calling() as call:
        assert {(await call.raw("GET", "/projects"))[0].status for _ in range(50)} == {200}


async def test_quotas_of_the_free_tier() -> None:
    """The third project and the 51st tag fail with their codes, or a project with a 401."""
    async with calling(tier="F0", calls_per_second=10_000) as call:
        project = await call.project("one")
        await call.project("two")
        assert await call.refused("POST", "/projects?name=three") == "BadRequestExceedProjectLimit"
        for number in range(50):
            await call.tag(project, str(number))
        assert (
            await call.refused("POST", f"{project}/tags?name=more")
            == "BadRequestExceedTagPerProjectLimit"
        )
    async with calling(tier="F0", calls_per_second=10_000, quota_is_401=True) as call:
        await call.project("one")
        await call.project("two")
        response, _ = await call.raw("POST", "/projects?name=three")
        assert (response.status, response.reason) == (401, "Access Denied")


async def test_a_body_that_is_too_large_times_out() -> None:
    """A body above the limit gets a 408, and the connection stays usable."""
    async with calling(body_bytes=10_000) as call:
        project = await call.project()
        response, _ = await call.raw(
            "POST",
            f"{project}/images",
            data=bytes(20_000),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert response.status == 408
        await call("GET", project)


# Projects and tags.


async def test_a_name_that_is_taken_gets_a_number() -> None:
    """CreateProject numbers a name that is taken ("Orchard (1)"). UpdateProject rejects it."""
    async with calling() as call:
        names = [(await call("POST", "/projects?name=Orchard"))["name"] for _ in range(3)]
        assert names == ["Orchard", "Orchard (1)", "Orchard (2)"]
        first, second, _ = await call("GET", "/projects")
        project = f"/projects/{first['id']}"
        assert (
            await call.refused("PATCH", project, json={"name": second["name"]})
            == "BadRequestProjectNameNotUnique"
        )
        assert (await call("PATCH", project, json={"description": "d"}))["description"] == "d"


async def test_refusals_of_projects_and_tags_have_their_codes() -> None:
    """Each invalid request fails with the documented code."""
    nowhere = "00000000-0000-0000-0000-000000000000"
    async with calling() as call:
        assert (
            await call.refused("POST", f"/projects?name=x&domainId={nowhere}")
            == "BadRequestProjectUnknownDomain"
        )
        assert (
            await call.refused("POST", "/projects?name=x&classificationType=Odd")
            == "BadRequestProjectUnknownClassification"
        )
        assert (
            await call.refused("POST", "/projects?name=x&targetExportPlatforms=Odd")
            == "BadRequestProjectUnsupportedExportPlatform"
        )
        assert await call.refused("POST", "/projects?name=") == "BadRequestProjectName"
        assert await call.refused("GET", f"/projects/{nowhere}", 404) == "NotFoundProject"
        assert await call.refused("GET", "/projects/apple") == "BadRequestInvalidIds"
        assert await call.refused("GET", f"/domains/{nowhere}", 404) == "NotFoundDomain"
        project = await call.project()
        await call.tag(project, "apple")
        assert (
            await call.refused("POST", f"{project}/tags?name=Apple") == "BadRequestTagNameNotUnique"
        )
        assert await call.refused("POST", f"{project}/tags?name=x&type=Odd") == "BadRequestTagType"
        none = await call.tag(project, "none", type="Negative")
        assert (
            await call.refused("POST", f"{project}/tags?name=x&type=Negative")
            == "BadRequestMultipleNegativeTag"
        )
        assert await call.refused("GET", f"{project}/tags/{nowhere}", 404) == "NotFoundTag"
        image = (await call.upload(project, {"a": image_bytes(1)}, [none]))["a"]["image"]["id"]
        pair = {"imageId": image, "tagId": (await call("GET", f"{project}/tags"))[0]["id"]}
        pairs = [
            pair | {"tagId": tag["id"]}
            for tag in await call("GET", f"{project}/tags")
            if tag["id"] != none
        ]
        assert (
            await call.refused("POST", f"{project}/images/tags", json={"tags": pairs})
            == "BadRequestNegativeAndRegularTagOnSameImage"
        )
        assert (
            await call.refused(
                "POST", f"{project}/images/tags", 404, json={"tags": [pair | {"imageId": nowhere}]}
            )
            == "NotFoundImage"
        )


async def test_names_of_tags_may_differ_in_case_alone() -> None:
    """With the switch off, "Apple" and "apple" are two tags."""
    async with calling(names_ignore_case=False) as call:
        project = await call.project()
        assert await call.tag(project, "apple") != await call.tag(project, "Apple")
        assert (
            await call.refused("POST", f"{project}/tags?name=apple") == "BadRequestTagNameNotUnique"
        )


async def test_tags_are_listed_in_sql_servers_order() -> None:
    """The last six bytes of the id come first, for the four recorded ids and any others."""
    recorded = [
        "81a9ba4b-5078-427b-a333-3e6b04fe7d52",
        "3e2c93b6-ab18-4680-9501-9240ebd61ca8",
        "82ec06a8-d127-487d-9854-9d0bf061df23",
        "c90ec502-5409-4228-8f3c-c2a17f7e7d0c",
    ]
    assert sorted(set(recorded), key=guid_key) == recorded
    assert [guid_text(guid_key(id.upper())) for id in recorded] == recorded
    async with calling() as call:
        project = await call.project()
        made = [await call.tag(project, str(number)) for number in range(20)]
        assert [tag["id"] for tag in await call("GET", f"{project}/tags")] == sorted(
            made, key=guid_key
        )


def test_numbers_are_written_as_dotnet_writes_them() -> None:
    """Single precision has 7 digits if they round-trip, else 9, and a capital E."""
    texts = {
        0.3807391: "0.3807391",
        0.276588678: "0.276588678",
        1.1920929e-7: "1.1920929E-07",
        1.0: "1.0",
        0.1: "0.1",
        0.0: "0.0",
    }
    assert {value: bytes(single(value)).decode() for value in texts} == texts


async def test_many_requests_at_a_time_are_counted() -> None:
    """in_flight and most_in_flight count concurrent requests."""
    async with calling(think_seconds=0.05) as call:
        await asyncio.gather(*(call("GET", "/projects") for _ in range(8)))
        assert call.emulator.most_in_flight > 1
        assert call.emulator.in_flight == 0
