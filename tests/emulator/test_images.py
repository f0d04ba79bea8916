"""Images of the emulator: uploads, lists, counts and deletion, over real sockets with aiohttp."""

from __future__ import annotations

import base64
import io
import uuid
from typing import Any

import aiohttp
import pytest
from PIL import Image

from customvision_async.emulator import Switches
from tests.support.images import image_bytes
from tests.support.operations import Caller, calling

pytestmark = pytest.mark.anyio

DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"


def plain(width: int, height: int, format: str = "PNG") -> bytes:
    """Return an image of one colour and any size that is small in bytes."""
    out = io.BytesIO()
    Image.new("1", (width, height)).save(out, format)
    return out.getvalue()


def contents(data: bytes) -> str:
    """Return bytes as base64 text for JSON."""
    return base64.b64encode(data).decode()


async def test_results_carry_the_file_names_in_quotes_and_tags_without_names() -> None:
    """Data uploads return quoted file names. tagName is null in the response, but not in a list."""
    async with calling(shuffle_results=True, seed=3) as call:
        project = await call.project()
        tag = await call.tag(project, "apple")
        form = aiohttp.FormData()
        for number in range(8):
            form.add_field("imageData", image_bytes(number), filename=f"{number}")
        summary = await call("POST", f"{project}/images?tagIds={tag}", data=form)
        names = [result["sourceUrl"] for result in summary["images"]]
        assert sorted(names) == [f'"{number}"' for number in range(8)]
        assert names != sorted(names)
        assert summary["isBatchSuccessful"] is True
        assert {
            entry["tagName"] for result in summary["images"] for entry in result["image"]["tags"]
        } == {None}
        listed = await call("GET", f"{project}/images/tagged")
        assert {entry["tagName"] for image in listed for entry in image["tags"]} == {"apple"}


async def test_multipart_as_dotnet_writes_it() -> None:
    """Unquoted names, Windows paths, a quoted boundary and the order of headers are as recorded."""
    async with calling() as call:
        project = await call.project()
        boundary = "e6658d30-34b1-4c4b-acc4-2de631dd5edc"
        path = "E:\\github\\images\\tag1\\hemlock_1.jpg"
        head = (
            "Content-Type: application/octet-stream\r\n"
            f'Content-Disposition: form-data; name=imageData; filename="{path}"\r\n\r\n'
        )
        body = (
            f"--{boundary}\r\n{head}".encode() + image_bytes(1) + f"\r\n--{boundary}--\r\n".encode()
        )
        headers = {"Content-Type": f'multipart/form-data; boundary="{boundary}"'}
        summary = await call("POST", f"{project}/images", data=body, headers=headers)
        assert summary["images"][0]["sourceUrl"] == f'"{path}"'


async def test_one_image_as_the_whole_body() -> None:
    """application/octet-stream is one image, named by 32 hexadecimal digits."""
    async with calling() as call:
        project = await call.project()
        summary = await call(
            "POST",
            f"{project}/images",
            data=image_bytes(1),
            headers={"Content-Type": "application/octet-stream"},
        )
        assert len(bytes.fromhex(summary["images"][0]["sourceUrl"])) == 16


async def test_files_keep_their_names_and_have_tags_and_regions_of_their_own() -> None:
    """sourceUrl is the name verbatim, entry tags add to the batch's, and a region adds its tag."""
    async with calling() as call:
        project = await call.project(domainId=DETECTION)
        one, two, three = [await call.tag(project, name) for name in ("one", "two", "three")]
        region = {
            "tagId": three,
            "left": 0.3807391,
            "top": 0.164848924,
            "width": 0.276588678,
            "height": 0.1,
        }
        entry = {
            "name": "TestImages\\a b.png",
            "contents": contents(image_bytes(1)),
            "tagIds": [two],
            "regions": [region],
        }
        summary = await call(
            "POST", f"{project}/images/files", json={"images": [entry], "tagIds": [one]}
        )
        result = summary["images"][0]
        assert result["sourceUrl"] == "TestImages\\a b.png"
        assert {tag["tagId"] for tag in result["image"]["tags"]} == {one, two, three}
        _, body = await call.raw("GET", f"{project}/images/tagged")
        assert b'"left":0.3807391,"top":0.164848924,"width":0.276588678,"height":0.1}' in body


async def test_urls_come_from_loopback_and_data_only() -> None:
    """Loopback addresses and data: URLs are fetched. All others are ErrorSource."""
    async with calling() as call:
        project, other = await call.project(), await call.project("Other")
        uri = (await call.upload(other, {"a": image_bytes(1)}))["a"]["image"]["originalImageUri"]
        bad = [
            "http://192.0.2.1/x.jpg",
            "file:///etc/passwd",
            "http://127.0.0.1:9/x",
            "nonsense",
            f"{call.emulator.endpoint}/nowhere",
        ]
        urls = [uri, f"data:image/png;base64,{contents(image_bytes(2))}", *bad]
        summary = await call(
            "POST", f"{project}/images/urls", 207, json={"images": [{"url": url} for url in urls]}
        )
        statuses = {result["sourceUrl"]: result["status"] for result in summary["images"]}
        assert statuses == dict.fromkeys(urls[:2], "OK") | dict.fromkeys(bad, "ErrorSource")


@pytest.mark.parametrize(
    "data, status",
    [
        (b"", "ErrorImageFormat"),
        (b"just text", "ErrorImageFormat"),
        (b"\xff\xd8\xff\xe0 cut off", "ErrorImageFormat"),
        (image_bytes(1) + bytes(6 * 1024 * 1024 - len(image_bytes(1))), "OK"),
        (image_bytes(1) + bytes(6 * 1024 * 1024 + 1 - len(image_bytes(1))), "ErrorImageSize"),
        (plain(10_240, 410), "OK"),
        (plain(10_241, 500), "ErrorImageDimensions"),
        (plain(2_500, 100), "OK"),
        (plain(2_501, 100), "ErrorImageDimensions"),
        (plain(1, 1), "OK"),
        (plain(30, 20, "GIF"), "OK"),
        (plain(30, 20, "BMP"), "OK"),
        (plain(30, 20, "TIFF"), "ErrorImageFormat"),
    ],
    ids=[
        "empty",
        "text",
        "cut",
        "6MB",
        "6MB+1",
        "10240px",
        "10241px",
        "25:1",
        "25.01:1",
        "1px",
        "gif",
        "bmp",
        "tiff",
    ],
)
async def test_images_are_looked_at(data: bytes, status: str) -> None:
    """Format, bytes, sides and aspect ratio have the service's limits and statuses.

    An invalid image does not affect the others of the batch.
    """
    async with calling("v3.4-preview") as call:
        project = await call.project()
        results = await call.upload(
            project,
            {"good": image_bytes(99), "tested": data},
            expect=200 if status == "OK" else 207,
        )
        assert results["tested"]["status"] == status
        assert results["good"]["status"] == "OK"
        assert (results["tested"]["image"] is None) == (status != "OK")


async def test_ten_thousand_pixels_square_are_taken() -> None:
    """The largest allowed image is not treated as a decompression bomb."""
    async with calling("v3.4-preview") as call:
        project = await call.project()
        assert (await call.upload(project, {"a": plain(10_240, 10_240)}))["a"]["image"][
            "height"
        ] == 10_240


@pytest.mark.parametrize("has_image", [True, False])
@pytest.mark.parametrize("merges", [True, False])
@pytest.mark.parametrize("success", [True, False])
async def test_duplicates_under_every_switch(has_image: bool, merges: bool, success: bool) -> None:
    """Under all switches a duplicate is reported as one and never stored again."""
    switches = Switches(
        duplicate_has_image=has_image, duplicate_merges_tags=merges, duplicate_is_success=success
    )
    async with calling(switches=switches) as call:
        project = await call.project()
        one, two = await call.tag(project, "one"), await call.tag(project, "two")
        first = (await call.upload(project, {"a": image_bytes(1)}, [one]))["a"]["image"]["id"]
        again = (
            await call.upload(project, {"b": image_bytes(1)}, [two], expect=200 if success else 207)
        )["b"]
        assert again["status"] == "OKDuplicate"
        assert (again["image"] is not None) == has_image
        image = (await call("GET", f"{project}/images/id?imageIds={first}"))[0]
        assert {tag["tagId"] for tag in image["tags"]} == ({one, two} if merges else {one})
        assert await call("GET", f"{project}/images/count") == 1


async def test_content_may_be_stored_twice() -> None:
    """With de-duplication off, the same bytes are stored as often as they are sent."""
    async with calling(deduplicate=False) as call:
        project = await call.project()
        await call.upload(project, {"a": image_bytes(1), "b": image_bytes(1)})
        assert await call("GET", f"{project}/images/count") == 2


async def test_spoiled_batches_and_all_bad_batches() -> None:
    """By switch, one bad image makes all results ErrorUnknown, and only bad images get a 400."""
    async with calling(spoiled_batches=True, all_bad_is_400=True) as call:
        project = await call.project()
        results = await call.upload(project, {"good": image_bytes(1), "bad": b"text"}, expect=207)
        assert {result["status"] for result in results.values()} == {"ErrorUnknown"}
        form = aiohttp.FormData()
        form.add_field("a", b"text", filename="a")
        answer = await call("POST", f"{project}/images", 400, data=form)
        assert answer["message"] == "No valid image files"


async def test_limits_of_a_batch() -> None:
    """65 images, 21 tags and an empty batch are rejected. An invalid tag id voids the body."""
    async with calling() as call:
        project = await call.project()
        tags = [await call.tag(project, f"t{number}") for number in range(21)]
        entries = [
            {"name": str(number), "contents": contents(image_bytes(number))} for number in range(65)
        ]
        assert (
            await call.refused("POST", f"{project}/images/files", json={"images": entries})
            == "BadRequestExceededBatchSize"
        )
        more = {"images": entries[:1], "tagIds": tags}
        assert (
            await call.refused("POST", f"{project}/images/files", json=more)
            == "BadRequestExceededBatchSize"
        )
        empty = await call(
            "POST",
            f"{project}/images/urls",
            400,
            json={"images": [{"url": "x", "tagIds": ["apple"]}]},
        )
        assert empty["message"] == "No image urls provided"
        assert (
            await call.refused("POST", f"{project}/images/files", json={"images": []})
            == "BadRequestImageBatch"
        )
        assert (
            await call.refused(
                "POST",
                f"{project}/images/files",
                data=b"{not json",
                headers={"Content-Type": "application/json"},
            )
            == "BadRequest"
        )
        unknown = {"images": entries[:1], "tagIds": [str(uuid.uuid4())]}
        assert (
            await call.refused("POST", f"{project}/images/files", json=unknown)
            == "BadRequestImageTags"
        )
        status = (
            await call.at("v3.4-preview")("POST", f"{project}/images/files", 207, json=unknown)
        )["images"][0]["status"]
        assert status == "ErrorInvalidTag"


async def test_regions_outside_the_image() -> None:
    """A box beyond the edge is ErrorInvalidRegion in an upload, and a 400 in CreateImageRegions."""
    async with calling() as call:
        project = await call.project(domainId=DETECTION)
        tag = await call.tag(project, "fork")
        box = {"tagId": tag, "left": 0.8, "top": 0.1, "width": 0.3, "height": 0.1}
        entry = {"name": "a", "contents": contents(image_bytes(1)), "regions": [box]}
        result = (await call("POST", f"{project}/images/files", 207, json={"images": [entry]}))[
            "images"
        ][0]
        assert result["status"] == "ErrorInvalidRegion"
        image = (await call.upload(project, {"b": image_bytes(2)}))["b"]["image"]["id"]
        body = {"regions": [box | {"imageId": image}]}
        assert (
            await call.refused("POST", f"{project}/images/regions", json=body)
            == "BadRequestImageRegions"
        )


async def many(
    call: Caller, project: str, count: int, tags: list[str] | None = None, start: int = 0
) -> list[str]:
    """Upload `count` images and return their ids."""
    found: list[str] = []
    for at in range(start, start + count, 64):
        batch = {
            str(seed): image_bytes(seed, size=(16, 16), format="PNG")
            for seed in range(at, min(at + 64, start + count))
        }
        found += [
            result["image"]["id"] for result in (await call.upload(project, batch, tags)).values()
        ]
    return found


async def test_lists_are_newest_first_in_pages() -> None:
    """Pages cover all images once, newest first unless Oldest. A page has at most 256.

    images/id is oldest first.
    """
    async with calling() as call:
        project = await call.project()
        tag = await call.tag(project, "apple")
        tagged, untagged = (
            await many(call, project, 70, [tag]),
            await many(call, project, 30, start=100),
        )
        pages = [
            await call("GET", f"{project}/images?take=40&skip={skip}") for skip in (0, 40, 80, 120)
        ]
        assert [len(page) for page in pages] == [40, 40, 20, 0]
        walked = [image for page in pages for image in page]
        assert {image["id"] for image in walked} == {*tagged, *untagged}
        dates = [image["created"].ljust(27, "0") for image in walked]
        assert dates == sorted(dates, reverse=True)
        oldest = await call("GET", f"{project}/images?orderBy=Oldest&take=256")
        assert {image["id"] for image in oldest[:70]} == set(tagged)
        assert await call("GET", f"{project}/images/tagged/count") == 70
        assert await call("GET", f"{project}/images/untagged/count") == 30
        assert await call("GET", f"{project}/images/count?taggingStatus=Tagged&tagIds={tag}") == 70
        ids = [image["id"] for image in walked]
        by_ids = await call("GET", f"{project}/images/id?imageIds={'%2C'.join(ids)}")
        assert [image["created"] for image in by_ids] == [image["created"] for image in oldest]
        assert await call.refused("GET", f"{project}/images?take=257") == "BadRequest"
        assert await call.refused("GET", f"{project}/images?orderBy=Best") == "BadRequest"


async def test_tag_filters_are_any_of() -> None:
    """An image with at least one of the tags matches. 21 tags are rejected."""
    async with calling() as call:
        project = await call.project()
        tags = [await call.tag(project, f"t{number}") for number in range(3)]
        for number, tag in enumerate(tags):
            await many(call, project, 2, [tag], start=10 * number)
        found = await call("GET", f"{project}/images/tagged?tagIds={tags[0]},{tags[1]}")
        assert len(found) == 4
        many_tags = ",".join(str(uuid.uuid4()) for _ in range(21))
        assert (
            await call.refused("GET", f"{project}/images/tagged?tagIds={many_tags}")
            == "BadRequestExceededBatchSize"
        )


async def test_absent_and_null_members() -> None:
    """Members of an image without content are absent. The lists of a tag summary are always
    present.
    """
    async with calling() as call:
        project = await call.project()
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]
        assert set(image) == {
            "id",
            "created",
            "width",
            "height",
            "resizedImageUri",
            "thumbnailUri",
            "originalImageUri",
        }
        assert image["resizedImageUri"] == image["originalImageUri"]
        tag = await call.tag(project, "apple")
        pair = {"imageId": image["id"], "tagId": tag}
        assert await call("POST", f"{project}/images/tags", json={"tags": [pair]}) == {
            "created": [pair],
            "duplicated": [],
            "exceeded": [],
        }
        assert (await call("POST", f"{project}/images/tags", json={"tags": [pair, pair]}))[
            "duplicated"
        ] == [pair, pair]


async def test_an_image_has_at_most_a_hundred_tags() -> None:
    """Tags above the limit are reported as exceeded. 129 pairs are rejected."""
    async with calling() as call:
        project = await call.project()
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        pairs = [
            {"imageId": image, "tagId": await call.tag(project, f"t{number}")}
            for number in range(102)
        ]
        summary = await call("POST", f"{project}/images/tags", json={"tags": pairs})
        assert [len(summary[name]) for name in ("created", "duplicated", "exceeded")] == [100, 0, 2]
        assert (
            await call.refused("POST", f"{project}/images/tags", json={"tags": pairs + pairs[:27]})
            == "BadRequestExceededBatchSize"
        )


async def test_regions_bring_and_take_their_tag() -> None:
    """A region adds its tag to the image. The image loses the tag with its last region."""
    async with calling() as call:
        project = await call.project(domainId=DETECTION)
        tag = await call.tag(project, "fork")
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]["id"]
        boxes = [
            {"imageId": image, "tagId": tag, "left": left, "top": 0.1, "width": 0.2, "height": 0.2}
            for left in (0.1, 0.5)
        ]
        made = await call("POST", f"{project}/images/regions", json={"regions": boxes})
        assert [region["tagName"] for region in made["created"]] == [None, None]
        again = await call("POST", f"{project}/images/regions", 207, json={"regions": boxes[:1]})
        assert len(again["duplicated"]) == 1
        assert again["created"] == []
        for number, region in enumerate(made["created"]):
            found = (await call("GET", f"{project}/images/id?imageIds={image}"))[0]
            assert len(found["regions"]) == 2 - number
            assert found["tags"][0]["tagName"] == "fork"
            await call("DELETE", f"{project}/images/regions?regionIds={region['regionId']}", 204)
        found = (await call("GET", f"{project}/images/id?imageIds={image}"))[0]
        assert "tags" not in found
        assert "regions" not in found


async def test_untagging_takes_the_regions_too() -> None:
    """DeleteImageTags removes each of the tags from each of the images, and ignores unknown ids."""
    async with calling() as call:
        project = await call.project()
        one, two = await call.tag(project, "one"), await call.tag(project, "two")
        images = await many(call, project, 3, [one, two])
        some = ",".join([*images[:2], str(uuid.uuid4())])
        await call("DELETE", f"{project}/images/tags?imageIds={some}&tagIds={one},{two}", 204)
        assert await call("GET", f"{project}/images/untagged/count") == 2
        ids = ",".join(str(uuid.uuid4()) for _ in range(65))
        assert (
            await call.refused("DELETE", f"{project}/images/tags?imageIds={ids}&tagIds={one}")
            == "BadRequestExceededBatchSize"
        )


async def test_256_ids_in_a_url() -> None:
    """256 ids are accepted and 257 rejected. Unknown ids are ignored, or by switch not found."""
    async with calling() as call:
        project = await call.project()
        ids = await many(call, project, 10)
        unknown = [str(uuid.uuid4()) for _ in range(246)]
        response, body = await call.raw(
            "DELETE", f"{project}/images?imageIds={','.join(ids + unknown)}"
        )
        assert (response.status, body, response.headers["Content-Length"]) == (204, b"", "0")
        assert "Content-Type" not in response.headers
        assert await call("GET", f"{project}/images/count") == 0
        more = ",".join([*unknown, *unknown[:11]])
        assert (
            await call.refused("DELETE", f"{project}/images?imageIds={more}")
            == "BadRequestExceededBatchSize"
        )
    async with calling(strict_ids=True) as call:
        project = await call.project()
        assert (
            await call.refused("DELETE", f"{project}/images?imageIds={unknown[0]}", 404)
            == "NotFoundImage"
        )


async def test_delete_all_is_accepted_and_may_take_time() -> None:
    """allImages returns 202. Before v3.1 the flag does not exist, so the request has no ids."""
    async with calling(delete_all_seconds=30) as call:
        project = await call.project()
        await many(call, project, 5)
        response, _ = await call.raw("DELETE", f"{project}/images?allImages=true")
        assert response.status == 202
        assert await call("GET", f"{project}/images/count") == 5
        await call.at("v3.0").refused("DELETE", f"{project}/images?allImages=true")
    async with calling() as call:
        project = await call.project()
        await many(call, project, 5)
        await call("DELETE", f"{project}/images?allImages=true", 202)
        assert await call("GET", f"{project}/images/count") == 0


async def test_metadata_and_filter() -> None:
    """Metadata of batches and updates has limits, and $filter supports eq, ne, and, or."""
    async with calling() as call:
        project = await call.project()
        entry: dict[str, Any] = {
            "images": [{"name": "a", "contents": contents(image_bytes(1))}],
            "metadata": {"farm": "north", "year": "1"},
        }
        one = (await call("POST", f"{project}/images/files", json=entry))["images"][0]["image"]
        assert one["metadata"] == {"farm": "north", "year": "1"}
        two = (await call.upload(project, {"b": image_bytes(2)}))["b"]["image"]["id"]
        update = await call(
            "POST", f"{project}/images/metadata?imageIds={two}", json={"farm": "it's", "Type": "x"}
        )
        assert update["images"] == [
            {"imageId": two, "status": "OK", "metadata": {"farm": "it's", "Type": "x"}}
        ]
        filters = {
            "metadata=farm eq 'north'": [one["id"]],
            "metadata=farm eq 'north' and year ne '1'": [],
            "farm eq 'it''s' or year eq '1'": [two, one["id"]],
            "year ne '1'": [two],
        }
        for text, expected in filters.items():
            found = await call("GET", f"{project}/images?$filter={text.replace(' ', '%20')}")
            assert [image["id"] for image in found] == expected, text
        assert await call("GET", f"{project}/images/count?$filter=farm%20eq%20'north'") == 1
        await call.refused("GET", f"{project}/images?$filter=farm%20like%20'n'")
        gone = await call(
            "POST", f"{project}/images/metadata?imageIds={two},{uuid.uuid4()}", 207, json={"a": "b"}
        )
        assert [entry["status"] for entry in gone["images"]] == ["OK", "ErrorImageNotFound"]
        long = {"k" * 129: "v"}
        assert (
            await call.refused("POST", f"{project}/images/metadata?imageIds={two}", json=long)
            == "BadRequestImageMetadataKey"
        )
        long = {"k": "v" * 257}
        assert (
            await call.refused("POST", f"{project}/images/metadata?imageIds={two}", json=long)
            == "BadRequestImageMetadataValue"
        )
        ids = ",".join(str(uuid.uuid4()) for _ in range(65))
        assert (
            await call.refused("POST", f"{project}/images/metadata?imageIds={ids}", json={})
            == "BadRequestExceededBatchSize"
        )


async def test_addresses_are_served_to_those_who_were_given_them() -> None:
    """Originals are served unchanged, copies as smaller JPEGs, and ranges on request.

    Without the signature, or after deletion, they are not.
    """
    async with calling() as call:
        project = await call.project()
        data = image_bytes(1, size=(2000, 1000), format="PNG")
        image = (await call.upload(project, {"a": data}))["a"]["image"]
        assert image["resizedImageUri"] != image["originalImageUri"]
        async with call.session.get(image["originalImageUri"]) as response:
            assert await response.read() == data
            assert response.content_type == "image/png"
        async with call.session.get(
            image["originalImageUri"], headers={"Range": "bytes=100-"}
        ) as response:
            assert response.status == 206
            assert await response.read() == data[100:]
        for name, side in (("thumbnailUri", 300), ("resizedImageUri", 1600)):
            async with call.session.get(image[name]) as response:
                assert Image.open(io.BytesIO(await response.read())).size == (side, side // 2)
        async with call.session.get(image["originalImageUri"].split("?")[0]) as response:
            assert response.status == 403
        await call("DELETE", f"{project}/images?imageIds={image['id']}", 204)
        async with call.session.get(image["originalImageUri"]) as response:
            assert response.status == 404


async def test_a_resource_in_a_virtual_network_gives_paths() -> None:
    """With the vnet switch addresses are relative. GetArtifact reads those of its project."""
    async with calling(vnet=True) as call:
        project, other = await call.project(), await call.project("Other")
        image = (await call.upload(project, {"a": image_bytes(1)}))["a"]["image"]
        assert "://" not in image["originalImageUri"]
        response, body = await call.raw(
            "GET", f"{project}/artifacts?path={image['originalImageUri'].replace('/', '%2F')}"
        )
        assert body == image_bytes(1)
        assert response.content_type == "application/octet-stream"
        refused = await call.refused("GET", f"{other}/artifacts?path={image['originalImageUri']}")
        assert refused == "BadRequestInvalidArtifactUri"
