"""The probes of ``customvision doctor --probe`` for uploads, in a classification project."""

from __future__ import annotations

import base64
from typing import Any
from uuid import uuid4

from .network import Response
from .scratch_project import Scratch, UnsettledError, public_status, results_of, rotated_jpeg

__all__ = [
    "all_bad_is_400",
    "deduplicate",
    "duplicate_has_image",
    "duplicate_is_success",
    "duplicate_merges_tags",
    "duplicates_in_batch",
    "entry_tags_add",
    "failed_image_is_null",
    "multi_status",
    "quoted_file_names",
    "repeated_query",
    "shuffle_results",
    "spoiled_batches",
    "tag_limit_over_all",
    "turned_size",
    "unknown_tag",
]

_NOT_AN_IMAGE = b"this is no image"
_BATCH_SIZE = 24
_EXCEEDED = "BadRequestExceededBatchSize"


async def good_batch(scratch: Scratch) -> tuple[list[str], list[dict[str, Any]], dict[str, bytes]]:
    """Upload a batch of valid images.

    Return the names in the order sent, the results in the order received, and the images by name.
    """
    images = {f"{number:02}.png": scratch.image() for number in range(_BATCH_SIZE)}
    response = await scratch.upload(list(images.items()), [await scratch.tag("first")])
    found = results_of(response)
    if set(found) != set(images) or any(result["status"] != "OK" for result in found.values()):
        raise UnsettledError("a batch of good images did not succeed")
    return list(images), list(found.values()), images


async def shuffle_results(scratch: Scratch) -> bool:
    """Return whether results are returned out of order."""
    sent, results, _ = await scratch.cached(good_batch)
    return [str(result["sourceUrl"]) for result in results] != sent


async def duplicate_upload(scratch: Scratch) -> tuple[Response, dict[str, Any], str]:
    """Upload an existing image with another tag, together with a new one.

    Return the response, the result of the existing image, and its id.
    """
    _, results, images = await scratch.cached(good_batch)
    first = results[0]
    name, tag = str(first["sourceUrl"]), await scratch.tag("second")
    response = await scratch.upload([(name, images[name]), ("new.png", scratch.image())], [tag])
    return response, results_of(response)[name], str(first["image"]["id"])


async def _duplicate(scratch: Scratch) -> tuple[Response, dict[str, Any], str]:
    """Return the cached upload of a duplicate.

    Raises:
        UnsettledError: The service does not report duplicates.
    """
    found = await scratch.cached(duplicate_upload)
    if found[1]["status"] != "OKDuplicate":
        raise UnsettledError("no image is told to be a duplicate")
    return found


async def deduplicate(scratch: Scratch) -> bool:
    """Return whether an image with the same bytes is a duplicate."""
    status = (await scratch.cached(duplicate_upload))[1]["status"]
    if status not in ("OK", "OKDuplicate"):
        raise UnsettledError("the same bytes failed the second time")
    return bool(status == "OKDuplicate")


async def duplicates_in_batch(scratch: Scratch) -> bool:
    """Return whether an image is a duplicate of another in the same batch."""
    await _duplicate(scratch)
    data = scratch.image()
    found = await scratch.results([("one.png", data), ("two.png", data)])
    statuses = [result["status"] for result in found.values()]
    if len(statuses) != 2 or not set(statuses) <= {"OK", "OKDuplicate"}:
        raise UnsettledError("the batch did not succeed")
    return "OKDuplicate" in statuses


async def duplicate_has_image(scratch: Scratch) -> bool:
    """Return whether the result of a duplicate contains the image."""
    return (await _duplicate(scratch))[1].get("image") is not None


async def duplicate_merges_tags(scratch: Scratch) -> bool:
    """Return whether a duplicate adds its tags to the existing image."""
    _, _, image = await _duplicate(scratch)
    tag = await scratch.tag("second")
    return tag in await tags_of(scratch, image)


async def tags_of(scratch: Scratch, image: str) -> set[str]:
    """Return the ids of the tags of an image."""
    found = await scratch.request_json("GET", "/images/id", [("imageIds", image)])
    if len(found) != 1:
        raise UnsettledError("an image that was uploaded is not there")
    return {str(tag["tagId"]) for tag in found[0].get("tags") or ()}


async def duplicate_is_success(scratch: Scratch) -> bool:
    """Return whether a batch with a duplicate is successful."""
    response, _, _ = await _duplicate(scratch)
    return bool(response.json["isBatchSuccessful"])


async def mixed_batch(scratch: Scratch) -> tuple[Response, dict[str, dict[str, Any]]]:
    """Upload two valid images and a file that is not an image."""
    images = [("good.png", scratch.image()), ("bad.png", _NOT_AN_IMAGE)]
    response = await scratch.upload([*images, ("better.png", scratch.image())])
    found = results_of(response)
    if found["bad.png"]["status"] in ("OK", "OKDuplicate"):
        raise UnsettledError("a file that is no image was taken")
    return response, found


async def multi_status(scratch: Scratch) -> bool:
    """Return whether a batch with a failed image has status 207."""
    return (await scratch.cached(mixed_batch))[0].status == 207


async def failed_image_is_null(scratch: Scratch) -> bool:
    """Return whether the result of a failed image has a member ``image``."""
    return "image" in (await scratch.cached(mixed_batch))[1]["bad.png"]


async def spoiled_batches(scratch: Scratch) -> bool:
    """Return whether valid images fail because of an invalid one in their batch."""
    _, found = await scratch.cached(mixed_batch)
    good = {found[name]["status"] for name in ("good.png", "better.png")}
    if good == {"OK"}:
        return False
    if good == {"ErrorUnknown"}:
        return True
    raise UnsettledError(f"the good images of the batch are {', '.join(sorted(good))}")


async def all_bad_is_400(scratch: Scratch) -> bool:
    """Return whether a batch without a valid image is refused as a whole."""
    response = await scratch.upload([("a.png", _NOT_AN_IMAGE), ("b.png", _NOT_AN_IMAGE + b"!")])
    if response.status not in (200, 207, 400):
        raise UnsettledError(f"the batch was answered with {public_status(response)}")
    return response.status == 400


async def entry_tags_add(scratch: Scratch) -> bool:
    """Return whether an image gets the tag of the batch in addition to that of its entry."""
    batch, entry = await scratch.tag("first"), await scratch.tag("second")
    found = await scratch.results([("both.png", scratch.image())], [batch], tagIds=[entry])
    tags = await tags_of(scratch, str(found["both.png"]["image"]["id"]))
    if entry not in tags:
        raise UnsettledError("the image does not have the tag of its entry")
    return batch in tags


async def unknown_tag(scratch: Scratch) -> str:
    """Return whether an unknown tag fails the whole batch or its image only."""
    entries = [
        {"name": name, "contents": base64.b64encode(scratch.image()).decode(), "tagIds": tags}
        for name, tags in (("plain.png", [str(uuid4())]), ("good.png", []))
    ]  # with a second image, because a batch without a valid image may be refused
    response = await scratch.call("POST", "/images/files", json_body={"images": entries})
    if response.status == 400:
        return "batch"
    result = results_of(response)["plain.png"]
    if result["status"] in ("OK", "OKDuplicate"):
        raise UnsettledError("the unknown tag was ignored")
    return "image"


async def tag_limit_over_all(scratch: Scratch) -> bool:
    """Return whether 21 tags exceed the limit of a batch if each entry has at most 11."""
    tags = [await scratch.tag(f"tag {number}") for number in range(21)]
    entries = [
        {"name": name, "contents": base64.b64encode(scratch.image()).decode(), "tagIds": part}
        for name, part in (("a.png", tags[:11]), ("b.png", tags[11:]))
    ]
    response = await scratch.call("POST", "/images/files", json_body={"images": entries})
    if response.status == 400 and response.code == _EXCEEDED:
        return True
    if response.status == 400:
        raise UnsettledError(
            f"the batch was answered with {public_status(response)}, which is not the limit"
        )
    if {result["status"] for result in results_of(response).values()} != {"OK"}:
        raise UnsettledError("the images of the batch failed")
    return False


async def turned_size(scratch: Scratch) -> bool:
    """Return whether the size of an image takes its orientation into account."""
    found = await scratch.results([("turned.jpg", rotated_jpeg())])
    image = found["turned.jpg"].get("image") or {}
    size = image.get("width"), image.get("height")
    if size not in ((48, 16), (16, 48)):
        raise UnsettledError("the size of the image is another one")
    return size == (16, 48)


async def data_upload(scratch: Scratch) -> tuple[Response, set[str]]:
    """Upload one file as multipart data, with two tags in repeated query parameters.

    Return the response and the ids of the tags of the image.
    """
    tags = [await scratch.tag("first"), await scratch.tag("second")]
    boundary = uuid4().hex
    body = (
        f"--{boundary}\r\nContent-Type: application/octet-stream\r\n"
        'Content-Disposition: form-data; name="0"; filename="data.png"\r\n\r\n'
    ).encode()
    response = await scratch.call(
        "POST",
        "/images",
        [("tagIds", tag) for tag in tags],
        body=body + scratch.image() + f"\r\n--{boundary}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
    )
    image = results_of(response).get("data.png", {}).get("image") or {}
    if "id" not in image:
        raise UnsettledError("an upload as data did not succeed")
    return response, await tags_of(scratch, str(image["id"]))


async def quoted_file_names(scratch: Scratch) -> bool:
    """Return whether ``sourceUrl`` of a data upload has quotes."""
    response, _ = await scratch.cached(data_upload)
    return bool(response.json["images"][0]["sourceUrl"] == '"data.png"')


async def repeated_query(scratch: Scratch) -> str:
    """Return which of two repeated query parameters apply: all or the last."""
    _, found = await scratch.cached(data_upload)
    first, second = await scratch.tag("first"), await scratch.tag("second")
    if found == {first, second}:
        return "all"
    if found == {second}:
        return "last"
    raise UnsettledError("the first of two parameters counts alone, or neither does")
