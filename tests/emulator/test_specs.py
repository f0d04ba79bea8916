"""The emulator's operations and responses, checked against the OpenAPI documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async.emulator import _handlers
from customvision_async.emulator._api_request import HANDLERS, SLOW_HANDLERS
from customvision_async.emulator._routes import ROUTES, Match, find_route
from tests.support.images import image_bytes
from tests.support.openapi import faults_of
from tests.support.operations import Caller, calling
from tests.support.shared import SHARED, needs_specs

pytestmark = [pytest.mark.anyio, needs_specs]

VERSIONS = [*ApiVersion, *PredictionVersion]
each_version = pytest.mark.parametrize(
    "version", VERSIONS, ids=lambda version: f"{type(version).__name__}-{version.value}"
)

AS_RECORDED = {
    # Responses of the real service (../shared/recordings) that differ from its documents.
    "useNegativeSet": "recorded in every version",
    "detectionParameters": "recorded null in v2.1, v3.0 and v3.4-preview",
    "Classification": "recorded in v1.2",
    "UseNegativeSet": "recorded in v1.2",
    "tagName": "recorded null in create answers",
    "publishName": "recorded null until published",
    "originalPublishResourceId": "recorded null until published",
    "continuation": "recorded null on the last page",
    "application": "recorded null where none was given",
    "exportableTo": "recorded null",
    "trainingErrorDetails": "recorded null",
    "customBaseModelInfo": "recorded null",
    "modelInformation": "recorded null where a domain has no model to export",
    "thumbnailUri": "recorded null until there is an image",
    "description": "recorded null for a tag without one, v3.0 too",
}


def document(version: Any) -> dict[str, Any]:
    """Return the OpenAPI document of a version."""
    api = "Training" if isinstance(version, ApiVersion) else "Prediction"
    read: dict[str, Any] = json.loads(
        (SHARED / "specs" / f"{api}-{version.value}.json").read_text("utf-8")
    )
    return read


@each_version
def test_routes_are_the_operations_of_the_document(version: Any) -> None:
    """The routes of a version are the operations of its document, and each has a handler."""
    api = "training" if isinstance(version, ApiVersion) else "prediction"
    wanted = {}
    for path, methods in document(version)["paths"].items():
        for method, operation in methods.items():
            filled = path.replace("{", "").replace("}", "")
            match = find_route(method.upper(), f"/customvision/{version.value}/{api}{filled}")
            assert isinstance(match, Match), (method, path)
            wanted[operation["operationId"]] = match.route.operation
    assert all(id == found for id, found in wanted.items())
    ours = {route.operation for route in ROUTES if route.api.lower() == api and route.has(version)}
    assert ours == set(wanted)
    assert ours <= {*HANDLERS, *SLOW_HANDLERS}
    assert _handlers.__all__


def accepted(fault: str) -> bool:
    """Return whether the recordings show the same difference from the document."""
    place = fault.split(":")[0]
    return any(place.endswith(name) for name in AS_RECORDED)


class Checked:
    """A caller that checks each response against the document of the version."""

    def __init__(self, call: Caller, version: Any) -> None:
        self.call = call.at(version.value)
        self.version = version
        self.document = document(version)
        self.pascal = version.value.startswith("v1")
        self.seen: set[str] = set()

    async def __call__(self, method: str, path: str, **options: Any) -> Any:
        """Send a request, check the response and return its body with camelCase keys.

        Return None if the version does not have the operation.
        """
        api = options.get("api", "training")
        match = find_route(
            method, f"/customvision/{self.version.value}/{api}{path.partition('?')[0]}"
        )
        if not isinstance(match, Match):
            return None
        if self.pascal and "json" in options:
            options["json"] = _rekeyed(options["json"], str.upper)
        response, body = await self.call.raw(method, path, **options)
        assert response.status < 300, (method, path, body[:300])
        self.seen.add(match.route.operation)
        value = json.loads(body) if body and response.content_type == "application/json" else None
        self._check(match, response.status, value)
        return _rekeyed(value, str.lower) if self.pascal else value

    def _check(self, match: Match, status: int, value: Any) -> None:
        for methods in self.document["paths"].values():
            for operation in methods.values():
                if operation["operationId"] != match.route.operation:
                    continue
                assert str(status) in operation["responses"], (match.route.operation, status)
                schema = operation["responses"][str(status)].get("schema")
                if schema and schema.get("type") != "file":
                    faults = [
                        fault
                        for fault in faults_of(value, schema, self.document)
                        if not accepted(fault)
                    ]
                    assert faults == [], (match.route.operation, faults)


def _rekeyed(value: Any, change: Any) -> Any:
    if isinstance(value, dict):
        return {change(key[:1]) + key[1:]: _rekeyed(item, change) for key, item in value.items()}
    return [_rekeyed(item, change) for item in value] if isinstance(value, list) else value


@each_version
async def test_answers_are_valid_under_the_document(version: Any) -> None:
    """Every operation responds as documented, except where the recordings show otherwise."""
    async with calling(training_seconds=0, prediction_key="p") as call:
        checked = Checked(call, version)
        if isinstance(version, ApiVersion):
            await everything(checked)
            await detection(checked)
        else:
            await predictions(call, checked)
        api = "Training" if isinstance(version, ApiVersion) else "Prediction"
        assert checked.seen == {
            route.operation for route in ROUTES if route.api == api and route.has(version)
        }


OCTETS = {"Content-Type": "application/octet-stream"}


async def filled(call: Any, domain: str) -> tuple[str, list[str], list[str]]:
    """Create a project with two tags of five images each. Return its path, tags and images."""
    project = f"/projects/{(await call('POST', f'/projects?name=x&domainId={domain}'))['id']}"
    tags = [(await call("POST", f"{project}/tags?name={name}"))["id"] for name in ("apple", "pear")]
    images = []
    for number in range(10):
        path = f"{project}/images?tagIds={tags[number // 5]}"
        images.append(
            (await call("POST", path, data=image_bytes(number), headers=OCTETS))["images"][0][
                "image"
            ]["id"]
        )
    return project, tags, images


async def everything(call: Checked) -> None:
    """Use a classification project from its creation to its deletion."""
    await call("GET", "/domains")
    await call("GET", "/domains/0732100f-1a38-4e49-a514-c9b44c697ab5")
    project, tags, images = await filled(call, "0732100f-1a38-4e49-a514-c9b44c697ab5")
    await call("PATCH", project, json={"name": "y", "description": "d"})
    await call("PATCH", f"{project}/tags/{tags[0]}", json={"name": "z"})
    for path in (
        "",
        f"/tags/{tags[0]}",
        "/tags",
        "/images",
        "/images/count",
        "/images/tagged",
        "/images/tagged/count",
    ):
        await call("GET", project + path)
    await call("GET", "/projects")
    await call("GET", "/account")
    await call("GET", f"{project}/images/id?imageIds={','.join(images[:2])}")
    await call("POST", f"{project}/images/metadata?imageIds={images[0]}", json={"a": "b"})
    await call(
        "POST", f"{project}/images/files", json={"images": [{"name": "bad", "contents": "AAE="}]}
    )
    uri = f"{call.call.emulator.endpoint}/nowhere"
    await call("POST", f"{project}/images/urls", json={"images": [{"url": uri}]})
    await call(
        "POST", f"{project}/images/tags", json={"tags": [{"imageId": images[0], "tagId": tags[1]}]}
    )
    await call("DELETE", f"{project}/images/tags?imageIds={images[0]}&tagIds={tags[1]}")
    container, blob = (id.replace("-", "") for id in (project.rpartition("/")[2], images[0]))
    await call("GET", f"{project}/artifacts?path=i-{container}/i-{blob}")
    iteration = (await call("POST", f"{project}/train"))["id"]
    await trained(call, project, iteration)
    stored = (
        await call("POST", f"{project}/quicktest/image", data=image_bytes(50), headers=OCTETS)
    )["id"]
    await call("POST", f"{project}/quicktest/url", json={"url": await address(call, project)})
    await call("POST", f"{project}/predictions/query", json={"maxCount": 1, "orderBy": "Newest"})
    loose = (
        await call("POST", f"{project}/images/predictions", json={"images": [{"id": stored}]})
    )["images"][0]["image"]["id"]
    await call("GET", f"{project}/images/untagged")
    await call("GET", f"{project}/images/untagged/count")
    await call(
        "POST", f"{project}/tagsandregions/suggestions?iterationId={iteration}&imageIds={loose}"
    )
    query = {"tagIds": tags, "threshold": 0.0, "maxCount": 1, "sortBy": "UncertaintyAscending"}
    await call("POST", f"{project}/images/suggested?iterationId={iteration}", json=query)
    await call(
        "POST",
        f"{project}/images/suggested/count?iterationId={iteration}",
        json={"tagIds": tags, "threshold": 0.0},
    )
    await call("DELETE", f"{project}/predictions?ids={stored}")
    token = await call("GET", f"{project}/export")
    if token:
        await call(
            "POST",
            f"/projects/import?token={token['token'].replace('%', '%25').replace('&', '%26')}",
        )
    await call("DELETE", f"{project}/tags/{tags[1]}")
    await call("DELETE", f"{project}/images?imageIds={','.join(images)}")
    await call("DELETE", f"{project}/iterations/{iteration}")
    await call("DELETE", project)


async def address(call: Any, project: str) -> str:
    """Return the address of an image."""
    image = (await call("GET", f"{project}/images/tagged?take=1"))[0]
    return str(image.get("originalImageUri") or image["imageUri"])


async def trained(call: Checked, project: str, iteration: str) -> None:
    """Use all operations of an iteration."""
    path = f"{project}/iterations/{iteration}"
    await call("GET", f"{project}/iterations")
    await call("GET", path)
    await call("PATCH", path, json={"name": "first"})
    await call("GET", f"{path}/performance?threshold=0.5")
    await call("GET", f"{path}/performance/images")
    await call("GET", f"{path}/performance/images/count")
    await call("POST", f"{path}/export?platform=TensorFlow")
    await call("GET", f"{path}/export")
    await call("POST", f"{path}/publish?publishName=live&predictionId=/r")
    await call("DELETE", f"{path}/publish")


async def detection(call: Checked) -> None:
    """Use the regions of a detection project, which v1.2 does not have."""
    if call.pascal:
        return
    project, tags, images = await filled(call, "da2e3a8a-40a5-4171-82f4-58522f70fbc1")
    box = {
        "imageId": images[0],
        "tagId": tags[0],
        "left": 0.1,
        "top": 0.1,
        "width": 0.2,
        "height": 0.2,
    }
    made = await call("POST", f"{project}/images/regions", json={"regions": [box]})
    await call("POST", f"{project}/images/regions", json={"regions": [box]})
    await call("GET", f"{project}/images/tagged")
    await call("DELETE", f"{project}/images/regions?regionIds={made['created'][0]['regionId']}")
    base = project.removeprefix("/projects") if call.version < ApiVersion.V3_0 else project
    await call("POST", f"{base}/images/{images[0]}/regionproposals")


async def predictions(call: Caller, checked: Checked) -> None:
    """Use every operation of a version of the prediction API."""
    for kind, domain in (
        ("classify", "ee85a74c-405e-4adc-bb47-ffa8ca0c9f31"),
        ("detect", "da2e3a8a-40a5-4171-82f4-58522f70fbc1"),
    ):
        project, tags, _ = await filled(call, domain)
        for number, tag in enumerate(tags):
            await call.upload(
                project,
                {
                    str(seed): image_bytes(seed)
                    for seed in range(100 * (number + 1), 100 * (number + 1) + 15)
                },
                [tag],
            )
        iteration = (await call("POST", f"{project}/train"))["id"]
        await call(
            "POST",
            f"{project}/iterations/{iteration}/publish?publishName=live%20one&predictionId=/r",
        )
        await call.at("v2.2")(
            "PATCH", f"{project}/iterations/{iteration}", json={"isDefault": True}
        )
        url = await address(call, project)
        base = project.removeprefix("/projects")
        for prefix in ("", f"/{kind}/iterations/live%20one"):
            for store in ("", "/nostore"):
                await checked(
                    "POST",
                    f"{base}{prefix}/image{store}",
                    data=image_bytes(7),
                    headers=OCTETS,
                    api="prediction",
                )
                await checked(
                    "POST", f"{base}{prefix}/url{store}", json={"url": url}, api="prediction"
                )
