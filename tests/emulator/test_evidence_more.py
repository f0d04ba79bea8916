"""D13 to D18, and the switches for behaviour without evidence."""

from __future__ import annotations

import base64
import io
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from tests.support.evidence import COMPACT, DETECTION, OCTETS, project_with_images, quick, trained
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio


@pytest.mark.evidence("D13")
async def test_update_keeps_the_image_processing_settings() -> None:
    """The settings can be changed. useNegativeSet is read-only from v3.1 on, so it stays."""
    async with calling() as call:
        project = await call.project()
        given = {"imageProcessingSettings": {"augmentationMethods": {"rotation": False}}}
        await call("PATCH", project, json={"settings": given | {"useNegativeSet": False}})
        settings = (await call("GET", project))["settings"]
        assert settings["imageProcessingSettings"]["augmentationMethods"]["rotation"] is False
        assert settings["imageProcessingSettings"]["augmentationMethods"]["scaling"] is True
        assert settings["useNegativeSet"] is True
        await call("PATCH", project, json={"name": "other"})
        assert (await call("GET", project))["settings"] == settings


@pytest.mark.evidence("D14")
@pytest.mark.parametrize("costs", ["batch", "image"])
async def test_an_unknown_tag_of_one_entry(costs: str) -> None:
    """Up to v3.3 it fails the batch, or by switch only that image."""
    async with calling(unknown_tag=costs) as call:
        project = await call.project()
        images: list[dict[str, Any]] = [
            {"name": str(n), "contents": base64.b64encode(image_bytes(n)).decode()}
            for n in range(2)
        ]
        images[1]["tagIds"] = [DETECTION]
        answer = await call(
            "POST",
            f"{project}/images/files",
            400 if costs == "batch" else 207,
            json={"images": images},
        )
        if costs == "image":
            statuses = {result["sourceUrl"]: result["status"] for result in answer["images"]}
            assert statuses == {"0": "OK", "1": "ErrorUnknown"}


@pytest.mark.evidence("D15")
async def test_storage_addresses_in_the_query() -> None:
    """Addresses given to CreateProject of v3.3 are in the settings, which otherwise lack these
    members.
    """
    async with calling() as call:
        uri = "https://store.example/models"
        project = await call.project(exportModelContainerUri=uri, notificationQueueUri=uri)
        settings = (await call("GET", project))["settings"]
        assert (settings["exportModelContainerUri"], settings["notificationQueueUri"]) == (uri, uri)
        assert "notificationQueueUri" not in (await call("GET", await call.project()))["settings"]


@pytest.mark.evidence("D16")
@pytest.mark.parametrize("listed", [True, False])
async def test_the_workspace_of_the_first_version(listed: bool) -> None:
    """In v1.2 the iteration of CurrentIterationId exists from the start and becomes the trained
    one.
    """
    async with quick(workspace_listed=listed) as call:
        project = await project_with_images(call)
        old = call.at("v1.2")
        id = (await old("GET", project))["CurrentIterationId"]
        found = await old("GET", f"{project}/iterations/{id}")
        assert (found["Id"], found["Status"], found["DomainId"]) == (id, "New", None)
        assert [one["Id"] for one in await old("GET", f"{project}/iterations")] == [id] * listed
        assert (await old("POST", f"{project}/train"))["Id"] == id
        assert (await old("GET", project))["CurrentIterationId"] != id


@pytest.mark.evidence("D17")
async def test_media_types_that_are_refused() -> None:
    """JSON sent as octets, and octets sent as JSON, get a 415 with the reported message."""
    async with quick() as call:
        project = await project_with_images(call)
        await trained(call, project)
        for path, kind in (("url", "application/octet-stream"), ("image", "application/json")):
            answer = await call(
                "POST",
                f"{project}/quicktest/{path}",
                415,
                data=b'{"url": "x"}',
                headers={"Content-Type": kind},
            )
            assert answer["code"] == "ErrorUnknown"
            expected = (
                f"The request entity's media type '{kind}' is not supported for this resource."
            )
            assert answer["message"] == expected


@pytest.mark.evidence("D17")
async def test_a_resource_to_publish_to_is_an_azure_id() -> None:
    """predictionId=abc is rejected, except in v3.0, where a developer's instance accepted one like
    it.
    """
    async with quick() as call:
        path = await trained(call, await project_with_images(call))
        where = f"{path}/publish?publishName=live&predictionId=abc"
        assert await call.refused("POST", where) == "BadRequestInvalidPublishTarget"
        assert await call.at("v3.0")("POST", where) is True


@pytest.mark.evidence("D18")
async def test_words_that_clients_look_for() -> None:
    """Messages are those that users reported."""
    async with quick() as call:
        project = await project_with_images(call, domainId=COMPACT)
        path = await trained(call, project)
        base = project.removeprefix("/projects")
        image: dict[str, Any] = {"data": image_bytes(1), "headers": OCTETS}
        found = await call.at("v3.1")(
            "POST", f"{base}/classify/iterations/x/image", 404, api="prediction", **image
        )
        assert found == {"code": "NotFoundIteration", "message": "Invalid iteration"}
        found = await call("POST", f"{project}/quicktest/image", 400, data=b"x", headers=OCTETS)
        assert found["code"] == "BadRequestImageFormat"
        assert re.fullmatch(r"Bad Request Image Format, Uri: [0-9a-f]{32}", found["message"])
        await call("POST", f"{path}/export?platform=ONNX")
        found = await call("POST", f"{path}/export?platform=ONNX", 400)
        assert found["message"] == f"{path.rpartition('/')[2]} is already queued for export"
        assert (await call("POST", f"{project}/train", 400))["message"] == (
            "Nothing changed since last training"
        )
        few = await project_with_images(call, each=4)
        assert (await call("POST", f"{few}/train", 400))["message"] == (
            "Not enough images for training"
        )
        body = {"images": [{"url": "http://127.0.0.1:1/"}], "tagIds": ["tag1"]}
        found = await call("POST", f"{project}/images/urls", 400, json=body)
        assert found["message"] == "No image urls provided"


@pytest.mark.parametrize("told", ["seconds", "date", "none"])
async def test_how_a_429_tells_when_to_come_again(told: str) -> None:
    """retry_after: in seconds, as a date at least one second ahead, or only in the message."""
    async with calling(calls_per_second=1, retry_after=told) as call:
        before = datetime.now(UTC)
        answers = [await call.raw("GET", "/projects") for _ in range(2)]
        response, body = answers[1]
        assert response.status == 429
        assert b"Please retry after 1 second" in body
        found = response.headers.get("Retry-After")
        if told == "date":
            away = parsedate_to_datetime(found or "") - before
            assert timedelta(seconds=1) <= away < timedelta(seconds=60)
        else:
            assert found == {"seconds": "1", "none": None}[told]


@pytest.mark.parametrize("seconds", [86_400.0, 600.0])
async def test_how_long_an_address_is_good(seconds: float) -> None:
    """address_seconds: the address contains its own expiry."""
    async with calling(address_seconds=seconds) as call:
        now = datetime.now(UTC)
        image = (await call.upload(await call.project(), {"a": image_bytes(1)}))["a"]["image"]
        query = parse_qs(urlsplit(image["originalImageUri"]).query)
        away = datetime.fromisoformat(query["se"][0]) - now
        assert abs(away - timedelta(seconds=seconds)) < timedelta(seconds=60)


async def test_an_address_that_is_too_old() -> None:
    """address_seconds of 0: the address is rejected as by blob storage."""
    async with calling(address_seconds=0) as call:
        image = (await call.upload(await call.project(), {"a": image_bytes(1)}))["a"]["image"]
        async with call.session.get(image["originalImageUri"]) as response:
            assert response.status == 403


@pytest.mark.parametrize("kept", [True, False])
async def test_originals_are_the_bytes_or_the_image(kept: bool) -> None:
    """originals_kept: byte for byte, or encoded again in the same size."""
    async with calling(originals_kept=kept) as call:
        image = (await call.upload(await call.project(), {"a": image_bytes(1)}))["a"]["image"]
        async with call.session.get(image["originalImageUri"]) as response:
            data = await response.read()
        assert (data == image_bytes(1)) == kept
        assert Image.open(io.BytesIO(data)).size == (64, 48)


@pytest.mark.parametrize("turned", [True, False])
async def test_the_size_of_an_image_on_its_side(turned: bool) -> None:
    """turned_size: the size is that of the EXIF orientation, or as stored."""
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(io.BytesIO(image_bytes(1))).save(out, "JPEG", exif=exif)
    async with calling(turned_size=turned) as call:
        image = (await call.upload(await call.project(), {"a": out.getvalue()}))["a"]["image"]
        assert (image["width"], image["height"]) == ((48, 64) if turned else (64, 48))


@pytest.mark.parametrize("fetched", [True, False])
async def test_addresses_of_another_resource(fetched: bool) -> None:
    """cross_resource_fetch: a resource fetches from another one, or only from itself."""
    async with calling() as other, calling(cross_resource_fetch=fetched) as call:
        foreign = (await other.upload(await other.project(), {"a": image_bytes(1)}))["a"]["image"]
        own = (await call.upload(await call.project(), {"b": image_bytes(2)}))["b"]["image"]
        urls = [foreign["originalImageUri"], own["originalImageUri"]]
        answer = await call(
            "POST",
            f"{await call.project()}/images/urls",
            200 if fetched else 207,
            json={"images": [{"url": url} for url in urls]},
        )
        statuses = {result["sourceUrl"]: result["status"] for result in answer["images"]}
        assert statuses == {urls[0]: "OK" if fetched else "ErrorSource", urls[1]: "OK"}
