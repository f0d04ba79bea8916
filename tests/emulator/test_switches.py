"""The emulator's switches: each has its effect, and no combination for uploads loses an image."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from typing import Any, Literal

import aiohttp
import anyio
import pytest
import trustme

from customvision_async.emulator import Emulator, Switches
from customvision_async.emulator._quota import QUOTAS, Gate
from customvision_async.emulator._routes import Match, find_route
from customvision_async.emulator._service_fault import GatewayFault
from tests.support.images import image_bytes
from tests.support.operations import calling

pytestmark = pytest.mark.anyio


def files(*seeds: int, **more: Any) -> dict[str, Any]:
    """Return a body of CreateImagesFromFiles."""
    return {
        "images": [
            {"name": str(seed), "contents": base64.b64encode(image_bytes(seed)).decode()}
            for seed in seeds
        ]
    } | more


UPLOADS = (
    "shuffle_results",
    "duplicates_in_batch",
    "duplicate_has_image",
    "duplicate_is_success",
    "multi_status",
    "failed_image_is_null",
)


@pytest.mark.parametrize(
    "switches",
    Switches.combinations(*UPLOADS),
    ids=lambda switches: "".join(str(int(getattr(switches, name))) for name in UPLOADS),
)
async def test_every_combination_answers_for_every_image(switches: Switches) -> None:
    """Under all switches each image has one result, and only the valid ones are stored, once."""
    async with calling(switches=switches, seed=2) as call:
        project = await call.project()
        await call.upload(project, {"there": image_bytes(1)})
        body = files(1, 2, 2, 3)
        body["images"].append({"name": "bad", "contents": "AAE="})
        summary = await call(
            "POST", f"{project}/images/files", 207 if switches.multi_status else 200, json=body
        )
        statuses = sorted(
            f"{result['sourceUrl']} {result['status']}" for result in summary["images"]
        )
        again = "OKDuplicate" if switches.duplicates_in_batch else "OK"
        assert statuses == ["1 OKDuplicate", "2 OK", f"2 {again}", "3 OK", "bad ErrorImageFormat"]
        count = await call("GET", f"{project}/images/count")
        assert count == (3 if switches.duplicates_in_batch else 4)


async def test_results_in_order_and_without_quotes() -> None:
    """shuffle_results and quoted_file_names off: order and names are those of the request."""
    async with calling(shuffle_results=False, quoted_file_names=False) as call:
        project = await call.project()
        form = aiohttp.FormData()
        for number in range(9):
            form.add_field(str(number), image_bytes(number), filename=str(number))
        summary = await call("POST", f"{project}/images", data=form)
        assert [result["sourceUrl"] for result in summary["images"]] == [
            str(number) for number in range(9)
        ]


async def test_failures_without_an_image_member_and_with_200() -> None:
    """failed_image_is_null and multi_status off: no "image" member, and 200."""
    async with calling(failed_image_is_null=False, multi_status=False) as call:
        project = await call.project()
        summary = await call(
            "POST",
            f"{project}/images/files",
            json={"images": [{"name": "bad", "contents": "AAE="}]},
        )
        assert summary == {
            "isBatchSuccessful": False,
            "images": [{"sourceUrl": "bad", "status": "ErrorImageFormat"}],
        }


async def test_entry_tags_replace_or_add() -> None:
    """entry_tags_add off: the tags of an entry replace those of the batch."""
    for adds in (True, False):
        async with calling(entry_tags_add=adds) as call:
            project = await call.project()
            one, two = await call.tag(project, "one"), await call.tag(project, "two")
            body = files(1, tagIds=[one])
            body["images"][0]["tagIds"] = [two]
            image = (await call("POST", f"{project}/images/files", json=body))["images"][0]["image"]
            assert {tag["tagId"] for tag in image["tags"]} == ({one, two} if adds else {two})


async def test_twenty_tags_in_all_or_in_each_list() -> None:
    """tag_limit_over_all off: a batch and an entry may each have 20 tags."""
    for over_all in (True, False):
        async with calling(tag_limit_over_all=over_all) as call:
            project = await call.project()
            tags = [await call.tag(project, str(number)) for number in range(40)]
            body = files(1, tagIds=tags[:20])
            body["images"][0]["tagIds"] = tags[20:]
            response, _ = await call.raw("POST", f"{project}/images/files", json=body)
            assert response.status == (400 if over_all else 200)


async def test_metadata_within_the_wider_limits() -> None:
    """strict_metadata off: 50 pairs of 256 and 512 characters are accepted."""
    async with calling(strict_metadata=False) as call:
        project = await call.project()
        metadata = {f"{number:0256}": "v" * 512 for number in range(50)}
        image = (await call("POST", f"{project}/images/files", json=files(1, metadata=metadata)))[
            "images"
        ][0]["image"]
        assert image["metadata"] == metadata
        assert (
            await call.refused(
                "POST", f"{project}/images/files", json=files(2, metadata=metadata | {"x": "y"})
            )
            == "BadRequestImageMetadataKey"
        )


async def test_how_far_images_are_looked_at() -> None:
    """A truncated image has a valid header, but cannot be decoded. "none" accepts anything."""
    cut = image_bytes(1, size=(400, 400), format="PNG")[:2000]
    for check, data, status in (
        ("header", cut, "OK"),
        ("decode", cut, "ErrorImageFormat"),
        ("none", b"text", "OK"),
    ):
        async with calling(check_images=check) as call:
            project = await call.project()
            results = await call.upload(project, {"a": data}, expect=200 if status == "OK" else 207)
            assert results["a"]["status"] == status


async def test_images_need_not_be_kept() -> None:
    """keep_images off: duplicates are still detected, but no image is served."""
    async with calling(keep_images=False, training_seconds=0) as call:
        project = await call.project()
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]
        async with call.session.get(image["originalImageUri"]) as response:
            assert response.status == 404
        assert (await call.upload(project, {"b": image_bytes(1)}, expect=207))["b"][
            "status"
        ] == "OKDuplicate"
        for number, name in enumerate("ab"):
            tag = await call.tag(project, name)
            await call.upload(
                project,
                {
                    str(seed): image_bytes(seed)
                    for seed in range(10 * number + 10, 10 * number + 15)
                },
                [tag],
            )
        await call("POST", f"{project}/train")
        headers = {"Content-Type": "application/octet-stream"}
        answers = [
            (
                await call(
                    "POST", f"{project}/quicktest/image", data=image_bytes(99), headers=headers
                )
            )["predictions"]
            for _ in range(2)
        ]
        assert answers[0] == answers[1]


async def test_refusals_before_or_after_the_body() -> None:
    """refuse_early: the 401 does not wait for the end of the body."""

    async def endless() -> Any:
        yield b"x"
        await anyio.sleep(60)

    async with calling(refuse_early=True) as call:
        options: dict[str, Any] = {"data": endless(), "headers": {"Training-Key": "wrong"}}
        with anyio.fail_after(20):
            response, _ = await call.raw(
                "POST", "/projects/00000000-0000-0000-0000-000000000000/images", **options
            )
        assert response.status == 401
        assert call.emulator.requests[-1].body_bytes == 0


async def test_a_penalty_lasts_as_long_as_calls_come_too_soon() -> None:
    """penalty: a request before the end of Retry-After is rejected even if the rate permits it."""
    async with calling(calls_per_second=2, penalty=True) as call:
        statuses = [(await call.raw("GET", "/projects"))[0].status for _ in range(4)]
        assert statuses == [200, 200, 429, 429]


@pytest.mark.parametrize(("counting", "taken_up"), [("second", 10), ("bucket", 15)])
async def test_calls_are_counted_by_the_second_or_by_a_bucket(
    counting: Literal["second", "bucket"], taken_up: int
) -> None:
    """counting: half a second after a burst the window is still full, but a bucket is half
    refilled.
    """
    gate = Gate(QUOTAS["S0"], None, Switches(counting=counting))
    match = find_route("GET", "/customvision/v3.3/training/projects")
    assert isinstance(match, Match)
    count = 0
    for now in (100.0, 100.5):
        for _ in range(20):
            with contextlib.suppress(GatewayFault):
                gate.admit(match, now)
                count += 1
    assert count == taken_up


@pytest.mark.parametrize("counting", ["second", "bucket"])
async def test_a_second_of_calls_is_taken_up_at_once_however_it_is_counted(
    counting: Literal["second", "bucket"],
) -> None:
    """counting: a burst of one second's requests passes, and the next request does not."""
    async with calling(calls_per_second=2, counting=counting) as call:
        statuses = await asyncio.gather(*(call.raw("GET", "/projects") for _ in range(3)))
        assert sorted(response.status for response, _ in statuses) == [200, 200, 429]


async def test_exports_and_imports_take_their_time() -> None:
    """export_seconds and import_seconds: the state lasts."""
    async with calling(training_seconds=0, export_seconds=60, import_seconds=60) as call:
        project = await call.project("Slow", domainId="0732100f-1a38-4e49-a514-c9b44c697ab5")
        for number, name in enumerate("ab"):
            tag = await call.tag(project, name)
            await call.upload(
                project,
                {str(seed): image_bytes(seed) for seed in range(10 * number, 10 * number + 5)},
                [tag],
            )
        path = f"{project}/iterations/{(await call('POST', f'{project}/train'))['id']}"
        await call("POST", f"{path}/export?platform=ONNX")
        assert [export["status"] for export in await call("GET", f"{path}/export")] == ["Exporting"]
        token = (
            (await call("GET", f"{project}/export"))["token"]
            .replace("%", "%25")
            .replace("&", "%26")
        )
        copy = (await call("POST", f"/projects/import?token={token}"))["id"]
        with anyio.fail_after(10):
            while not await call("GET", f"/projects/{copy}/images/count"):
                await anyio.sleep(0.005)
        assert (await call("GET", f"/projects/{copy}"))["status"] == "Importing"


async def test_over_tls() -> None:
    """With an SSL context, the endpoint and the addresses of images are https."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    async with Emulator(ssl_context=server) as emulator, aiohttp.ClientSession() as session:
        assert emulator.endpoint.startswith("https://127.0.0.1:")
        headers = {"Training-Key": emulator.training_key}
        async with session.get(
            f"{emulator.endpoint}/customvision/v3.3/training/projects", headers=headers, ssl=client
        ) as response:
            assert await response.json() == []


async def test_calls_do_not_wait_for_each_other() -> None:
    """think_seconds delays requests concurrently."""
    async with calling(think_seconds=0.2) as call:
        await asyncio.gather(*(call("GET", "/projects") for _ in range(50)))
        assert call.emulator.most_in_flight > 10
