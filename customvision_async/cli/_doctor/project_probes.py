"""The probes of ``customvision doctor --probe`` for tags, regions, iterations and addresses."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from .network import Link
from .scratch_project import Resource, Scratch, UnsettledError, public_status, results_of

__all__ = [
    "address_seconds",
    "empty_tag_stops_training",
    "names_ignore_case",
    "newer_domains",
    "newest_iteration_first",
    "null_lists",
    "originals_kept",
    "repeated_region_is_400",
    "shuffle_created",
    "strict_ids",
    "strict_metadata",
    "vnet",
    "workspace_listed",
]

_GENERAL_A1 = "a8e3c40f-fb4a-466f-832a-5e457ae4a344"
_MAX_PROJECTS = 10
"""Maximum projects to search for one with two iterations."""


async def names_ignore_case(scratch: Scratch) -> bool:
    """Return whether a tag name that differs only in case is refused."""
    await scratch.tag("first")
    response = await scratch.call("POST", "/tags", [("name", "FIRST")])
    if response.status not in (200, 400):
        raise UnsettledError(f"the tag was answered with {public_status(response)}")
    return response.status == 400


async def strict_ids(scratch: Scratch) -> bool:
    """Return whether the deletion of an image that does not exist is refused."""
    response = await scratch.call("DELETE", "/images", [("imageIds", str(uuid4()))])
    if response.status not in (200, 202, 204, 400, 404):
        raise UnsettledError(f"the deletion was answered with {public_status(response)}")
    return response.status in (400, 404)


async def uploaded_image(scratch: Scratch) -> tuple[dict[str, Any], bytes, float]:
    """Upload an image; return its JSON, its bytes, and the time of the service in seconds."""
    data = scratch.image()
    made = results_of(await scratch.upload([("one.png", data)]))["one.png"].get("image") or {}
    if "id" not in made:
        raise UnsettledError("an upload did not succeed")
    response = await scratch.call("GET", "/images/id", [("imageIds", str(made["id"]))])
    if response.status != 200 or not response.json:
        raise UnsettledError(f"the image was answered with {public_status(response)}")
    try:
        now = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        raise UnsettledError("the response has no date") from None
    return response.json[0], data, now


async def strict_metadata(scratch: Scratch) -> bool:
    """Return whether 11 metadata pairs of one image are refused."""
    image, _, _ = await scratch.cached(uploaded_image)
    pairs = {f"key {number}": "value" for number in range(11)}
    response = await scratch.call(
        "POST", "/images/metadata", [("imageIds", str(image["id"]))], json_body=pairs
    )
    if response.status == 400:
        return True
    if response.status not in (200, 207):
        raise UnsettledError(f"the metadata was answered with {public_status(response)}")
    return any(result.get("status") != "OK" for result in response.json["images"])


async def null_lists(scratch: Scratch) -> bool:
    """Return whether v2.2 returns null for an empty list."""
    tag = await scratch.tag("of no image")
    response = await scratch.call("GET", "/images/tagged", [("tagIds", tag)], version="v2.2")
    if response.status != 200 or response.body.strip() not in (b"null", b"[]"):
        raise UnsettledError(f"v2.2 was answered with {public_status(response)}")
    return response.body.strip() == b"null"


async def vnet(scratch: Scratch) -> bool:
    """Return whether the address of an image is a relative path."""
    image, _, _ = await scratch.cached(uploaded_image)
    return not urlsplit(_address(image)).scheme


def _address(image: dict[str, Any]) -> str:
    address = image.get("originalImageUri")
    if not isinstance(address, str):
        raise UnsettledError("the image has no address")
    return address


async def address_seconds(scratch: Scratch) -> float:
    """Return the validity of a signed address in seconds, rounded to minutes."""
    image, _, now = await scratch.cached(uploaded_image)
    ends = parse_qs(urlsplit(_address(image)).query).get("se")
    if not ends:
        raise UnsettledError("the address of the image has no end")
    left = datetime.fromisoformat(ends[0]).timestamp() - now
    return round(left / 60) * 60.0


async def originals_kept(scratch: Scratch) -> bool:
    """Return whether the address of an image serves the uploaded bytes."""
    image, data, _ = await scratch.cached(uploaded_image)
    address = _address(image)
    parts = urlsplit(address)
    if not parts.scheme:
        response = await scratch.call("GET", "/artifacts", [("path", address)])
    else:
        origin = f"{parts.scheme}://{parts.netloc}"
        blobs = (parts.hostname or "").endswith(".blob.core.windows.net")
        if not (blobs and parts.scheme == "https") and origin != scratch.resource.link.endpoint:
            raise UnsettledError("the address is not one of Azure's blob storage")
        link = Link(origin, scratch.resource.link.seconds)
        try:
            response = await link.request("GET", f"{parts.path}?{parts.query}")  # without the key
        finally:
            link.close()
    if response.status != 200 or not response.body:
        raise UnsettledError(f"the address was answered with {public_status(response)}")
    return response.body == data


async def workspace_listed(scratch: Scratch) -> bool:
    """Return whether v1.2 lists an iteration of an untrained project."""
    response = await scratch.call("GET", "/iterations", version="v1.2")
    if response.status != 200:
        raise UnsettledError(f"v1.2 was answered with {public_status(response)}")
    return bool(response.json)


async def newer_domains(resource: Resource) -> bool:
    """Return whether General [A1] is among the domains."""
    found = await resource.request_json("GET", "/domains")
    return any(domain["id"] == _GENERAL_A1 for domain in found)


async def newest_iteration_first(resource: Resource) -> bool:
    """Return whether the newest iteration is listed first, in a project that has several."""
    projects = await resource.request_json("GET", "/projects")
    for project in projects[:_MAX_PROJECTS]:
        found = await resource.request_json("GET", f"/projects/{project['id']}/iterations")
        times = [datetime.fromisoformat(iteration["created"]) for iteration in found]
        if len(set(times)) > 1 and times in (sorted(times), sorted(times, reverse=True)):
            return times[0] > times[-1]
    raise UnsettledError("no project has two iterations, and the probe trains none")


async def empty_tag(scratch: Scratch) -> bool:
    """Return whether training is refused with a message about images per tag.

    None of the tags has an image.
    """
    for name in ("empty 1", "empty 2"):
        await scratch.tag(name)
    response = await scratch.call("POST", "/train")
    if response.status != 400:
        raise UnsettledError(f"the training was answered with {public_status(response)}")
    return "per tag" in response.message


async def empty_tag_stops_training(classification: bool | None, detection: bool | None) -> str:
    """Return the kinds of projects that need images for each tag, by the refusal messages."""
    if not detection or classification is None:
        raise UnsettledError("the words of the refusals do not tell, and the probe trains nothing")
    return "always" if classification else "detection"


async def _image_and_tag(scratch: Scratch) -> tuple[str, str]:
    image, _, _ = await scratch.cached(uploaded_image)
    return str(image["id"]), await scratch.tag("box")


async def shuffle_created(scratch: Scratch) -> bool:
    """Return whether new regions are returned out of order."""
    image, tag = await _image_and_tag(scratch)
    sides = [round(0.01 * number, 2) for number in range(24)]
    regions = [_region(image, tag, side) for side in sides]
    found = await scratch.request_json("POST", "/images/regions", json_body={"regions": regions})
    lefts = [round(float(region["left"]), 2) for region in found["created"]]
    if sorted(lefts) != sides:
        raise UnsettledError("the regions were not created")
    return lefts != sides


async def repeated_region_is_400(scratch: Scratch) -> bool:
    """Return whether a batch that contains the same region twice is refused."""
    image, tag = await _image_and_tag(scratch)
    regions = [_region(image, tag, 0.5)] * 2
    response = await scratch.call("POST", "/images/regions", json_body={"regions": regions})
    if response.status not in (200, 207, 400):
        raise UnsettledError(f"the regions were answered with {public_status(response)}")
    return response.status == 400


def _region(image: str, tag: str, left: float) -> dict[str, Any]:
    box = {"left": left, "top": 0.25, "width": 0.25, "height": 0.25}
    return {"imageId": image, "tagId": tag, **box}
