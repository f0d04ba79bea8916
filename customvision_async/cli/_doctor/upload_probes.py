"""How ``customvision doctor --probe`` settles the switches about uploads, in a scratch project for
classification.
"""

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
_MANY = 24
_OVER = "BadRequestExceededBatchSize"


async def good_batch(scratch: Scratch) -> tuple[list[str], list[dict[str, Any]], dict[str, bytes]]:
    """Upload a batch of good images; return the names as sent, the results as they came, and the
    bytes.
    """
    images = {f"{number:02}.png": scratch.image() for number in range(_MANY)}
    response = await scratch.upload(list(images.items()), [await scratch.tag("first")])
    found = results_of(response)
    if set(found) != set(images) or any(result["status"] != "OK" for result in found.values()):
        raise UnsettledError("a batch of good images did not succeed")
    return list(images), list(found.values()), images


async def shuffle_results(scratch: Scratch) -> bool:
    """Whether the order of many results differs from the order sent."""
    sent, results, _ = await scratch.cached(good_batch)
    return [str(result["sourceUrl"]) for result in results] != sent


async def duplicate_upload(scratch: Scratch) -> tuple[Response, dict[str, Any], str]:
    """Upload an image that is there with another tag, beside a new one; return its result and the
    id it has.
    """
    _, results, images = await scratch.cached(good_batch)
    first = results[0]
    name, tag = str(first["sourceUrl"]), await scratch.tag("second")
    response = await scratch.upload([(name, images[name]), ("new.png", scratch.image())], [tag])
    return response, results_of(response)[name], str(first["image"]["id"])


async def _duplicate(scratch: Scratch) -> tuple[Response, dict[str, Any], str]:
    found = await scratch.cached(duplicate_upload)
    if found[1]["status"] != "OKDuplicate":
        raise UnsettledError("no image is told to be a duplicate")
    return found


async def deduplicate(scratch: Scratch) -> bool:
    """Whether the same bytes are a duplicate."""
    status = (await scratch.cached(duplicate_upload))[1]["status"]
    if status not in ("OK", "OKDuplicate"):
        raise UnsettledError("the same bytes failed the second time")
    return bool(status == "OKDuplicate")


async def duplicates_in_batch(scratch: Scratch) -> bool:
    """Whether the same bytes twice in one batch are a duplicate, too."""
    await _duplicate(scratch)
    data = scratch.image()
    found = await scratch.results([("one.png", data), ("two.png", data)])
    statuses = [result["status"] for result in found.values()]
    if len(statuses) != 2 or not set(statuses) <= {"OK", "OKDuplicate"}:
        raise UnsettledError("the batch did not succeed")
    return "OKDuplicate" in statuses


async def duplicate_has_image(scratch: Scratch) -> bool:
    """Whether the result of a duplicate has an image."""
    return (await _duplicate(scratch))[1].get("image") is not None


async def duplicate_merges_tags(scratch: Scratch) -> bool:
    """Whether the image that was there has the tag that the duplicate brought."""
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
    """Whether a batch with a duplicate counts as successful."""
    response, _, _ = await _duplicate(scratch)
    return bool(response.json["isBatchSuccessful"])


async def mixed_batch(scratch: Scratch) -> tuple[Response, dict[str, dict[str, Any]]]:
    """Upload good files and one that is no image."""
    images = [("good.png", scratch.image()), ("bad.png", _NOT_AN_IMAGE)]
    response = await scratch.upload([*images, ("better.png", scratch.image())])
    found = results_of(response)
    if found["bad.png"]["status"] in ("OK", "OKDuplicate"):
        raise UnsettledError("a file that is no image was taken")
    return response, found


async def multi_status(scratch: Scratch) -> bool:
    """Whether a batch in which one image fails is a 207."""
    return (await scratch.cached(mixed_batch))[0].status == 207


async def failed_image_is_null(scratch: Scratch) -> bool:
    """Whether the result of an image that failed has a member ``image``."""
    return "image" in (await scratch.cached(mixed_batch))[1]["bad.png"]


async def spoiled_batches(scratch: Scratch) -> bool:
    """Whether good images fail for a bad one."""
    _, found = await scratch.cached(mixed_batch)
    good = {found[name]["status"] for name in ("good.png", "better.png")}
    if good == {"OK"}:
        return False
    if good == {"ErrorUnknown"}:
        return True
    raise UnsettledError(f"the good images of the batch are {', '.join(sorted(good))}")


async def all_bad_is_400(scratch: Scratch) -> bool:
    """Whether a batch without a good image is refused as a whole."""
    response = await scratch.upload([("a.png", _NOT_AN_IMAGE), ("b.png", _NOT_AN_IMAGE + b"!")])
    if response.status not in (200, 207, 400):
        raise UnsettledError(f"the batch was answered with {public_status(response)}")
    return response.status == 400


async def entry_tags_add(scratch: Scratch) -> bool:
    """Whether an image has the tag of its entry and the tag of the batch."""
    batch, entry = await scratch.tag("first"), await scratch.tag("second")
    found = await scratch.results([("both.png", scratch.image())], [batch], tagIds=[entry])
    tags = await tags_of(scratch, str(found["both.png"]["image"]["id"]))
    if entry not in tags:
        raise UnsettledError("the image does not have the tag of its entry")
    return batch in tags


async def unknown_tag(scratch: Scratch) -> str:
    """Whether a tag that the project does not have costs the batch, or its image."""
    entries = [
        {"name": name, "contents": base64.b64encode(scratch.image()).decode(), "tagIds": tags}
        for name, tags in (("plain.png", [str(uuid4())]), ("good.png", []))
    ]  # a good image beside it: a batch without any may be refused for that
    response = await scratch.call("POST", "/images/files", json_body={"images": entries})
    if response.status == 400:
        return "batch"
    result = results_of(response)["plain.png"]
    if result["status"] in ("OK", "OKDuplicate"):
        raise UnsettledError("the unknown tag was ignored")
    return "image"


async def tag_limit_over_all(scratch: Scratch) -> bool:
    """Whether 21 tags are too many for a batch though no entry has more than 11."""
    tags = [await scratch.tag(f"tag {number}") for number in range(21)]
    entries = [
        {"name": name, "contents": base64.b64encode(scratch.image()).decode(), "tagIds": part}
        for name, part in (("a.png", tags[:11]), ("b.png", tags[11:]))
    ]
    response = await scratch.call("POST", "/images/files", json_body={"images": entries})
    if response.status == 400 and response.code == _OVER:
        return True
    if response.status == 400:
        raise UnsettledError(
            f"the batch was answered with {public_status(response)}, which is not the limit"
        )
    if {result["status"] for result in results_of(response).values()} != {"OK"}:
        raise UnsettledError("the images of the batch failed")
    return False


async def turned_size(scratch: Scratch) -> bool:
    """Whether the size of an image is the one that its orientation gives it."""
    found = await scratch.results([("turned.jpg", rotated_jpeg())])
    image = found["turned.jpg"].get("image") or {}
    size = image.get("width"), image.get("height")
    if size not in ((48, 16), (16, 48)):
        raise UnsettledError("the size of the image is another one")
    return size == (16, 48)


async def data_upload(scratch: Scratch) -> tuple[Response, set[str]]:
    """Upload one file as multipart data with two tags in two query parameters; return the tags that
    it has.
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
    """Whether sourceUrl of a data upload has the quotes."""
    response, _ = await scratch.cached(data_upload)
    return bool(response.json["images"][0]["sourceUrl"] == '"data.png"')


async def repeated_query(scratch: Scratch) -> str:
    """Which tags of two query parameters an image has."""
    _, found = await scratch.cached(data_upload)
    first, second = await scratch.tag("first"), await scratch.tag("second")
    if found == {first, second}:
        return "all"
    if found == {second}:
        return "last"
    raise UnsettledError("the first of two parameters counts alone, or neither does")
