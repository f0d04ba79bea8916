"""Regions: tagged boxes on the images of a detection project."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from ... import limits
from .._api_request import ApiRequest, ApiResponse, handles
from .._bodies import field, list_field
from .._float32 import single, to_single
from .._ids import guid_key, guid_text
from .._resource import Resource
from .._service_fault import ServiceFault
from .._views import region_json
from .tags import workspace_image

_TOLERANCE = 1e-5  # rounding of left + width in single precision


@dataclass(frozen=True, slots=True)
class Box:
    """A box with a tag, in fractions of the width and height of the image."""

    tag: bytes
    left: float
    top: float
    width: float
    height: float

    @property
    def inside(self) -> bool:
        """Whether the box lies within the image and has an area."""
        sides = self.left >= 0 and self.top >= 0 and self.width > 0 and self.height > 0
        return (
            sides
            and self.left + self.width <= 1 + _TOLERANCE
            and self.top + self.height <= 1 + _TOLERANCE
        )


def read_box(given: Any) -> Box:
    """Return the box of a JSON object. Raise ValueError if it is invalid."""
    sides = [field(given, name) for name in ("left", "top", "width", "height")]
    if not all(
        isinstance(side, (int, float)) and not isinstance(side, bool) and abs(side) < 1e30
        for side in sides
    ):
        raise ValueError("a region needs left, top, width and height")
    return Box(guid_key(str(field(given, "tagId"))), *(to_single(side) for side in sides))


def insert_region(resource: Resource, image: bytes, box: Box) -> bytes | None:
    """Add a region and its tag to an image.

    Return the id of the region, or None if the image has the same region already.
    """
    state = resource.state
    values = (image, box.tag, box.left, box.top, box.width, box.height)
    if state.scalar(
        (
            "SELECT 1 FROM regions WHERE iteration = X'' AND image = ? AND tag = ? AND left = ? "
            "AND top = ? AND width = ? AND height = ?"
        ),
        *values,
    ):
        return None
    key, now = state.ids.key(), state.clock.now()
    state.db.execute(
        "INSERT OR IGNORE INTO image_tags VALUES (X'', ?, ?, ?)", (image, box.tag, now)
    )
    state.db.execute(
        (
            "INSERT INTO regions (iteration, image, tag, left, top, width, height, id, created) "
            "VALUES (X'', ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        (*values, key, now),
    )
    return key


@handles("CreateImageRegions")
def create_image_regions(request: ApiRequest) -> ApiResponse:
    """Add regions to images, and report those created, duplicated or over the limit of an image."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))
    given = list_field(request.json, "regions")
    if not given:
        raise ServiceFault("BadRequestImageRegions", "No image regions provided")
    limit = limits.REGIONS_PER_BATCH.value
    if len(given) > limit:
        raise ServiceFault(
            "BadRequestExceededBatchSize",
            f"The batch has {len(given)} regions; at most {limit} are allowed.",
        )
    if project["classification"]:
        raise ServiceFault(
            "BadRequestImageRegions", "Regions are for object detection projects only."
        )
    summary: dict[str, list[Any]] = {"created": [], "duplicated": [], "exceeded": []}
    checked = [_check_region(resource, project["id"], entry) for entry in given]
    if resource.switches.repeated_region_is_400 and len(set(checked)) < len(checked):
        raise ServiceFault("BadRequestImageRegions", "Duplicate image regions")
    for image, box in checked:
        echo: dict[str, Any] = {"imageId": guid_text(image), "tagId": guid_text(box.tag)}
        echo |= {side: single(getattr(box, side)) for side in ("left", "top", "width", "height")}
        if (
            state.scalar("SELECT count(*) FROM regions WHERE iteration = X'' AND image = ?", image)
            >= limits.REGIONS_PER_IMAGE.value
        ):
            summary["exceeded"].append(echo)
            continue
        key = insert_region(resource, image, box)
        if key is None:
            summary["duplicated"].append(echo)
            continue
        row = state.row("SELECT * FROM regions WHERE iteration = X'' AND id = ?", key)
        summary["created"].append({"imageId": guid_text(image)} | region_json(row, name=None))
    if resource.switches.shuffle_created:
        resource.random.shuffle(summary["created"])
    fine = not summary["exceeded"] and not summary["duplicated"]
    mixed = not fine and resource.switches.multi_status and request.version >= request.version.V3_3
    return ApiResponse(207 if mixed else 200, summary)


def _check_region(resource: Resource, project: bytes, entry: Any) -> tuple[bytes, Box]:
    try:
        image, box = guid_key(str(field(entry, "imageId"))), read_box(entry)
    except ValueError as error:
        raise ServiceFault("BadRequestImageRegions", f"Invalid region: {error}.") from None
    if not box.inside:
        raise ServiceFault(
            "BadRequestImageRegions",
            "Invalid region: the box must lie within the image (0 to 1) and have an area.",
        )
    workspace_image(resource, project, image)
    resource.tag(project, box.tag)
    return image, box


@handles("DeleteImageRegions")
def delete_image_regions(request: ApiRequest) -> ApiResponse:
    """Delete regions. An image also loses a tag with its last region of that tag."""
    resource, state = request.resource, request.resource.state
    project = resource.project(request.key("projectId"))["id"]
    keys = request.keys("regionIds", limits.REGIONS_PER_DELETE)
    if not keys:
        raise ServiceFault("BadRequestRequiredParamIsNull", "regionIds is required.")
    for key in keys:
        row = state.row(
            (
                "SELECT r.image, r.tag FROM regions r JOIN images i ON i.id = r.image WHERE "
                "r.iteration = X'' AND r.id = ? AND i.project = ?"
            ),
            key,
            project,
        )
        if row is None:
            if resource.switches.strict_ids:
                raise ServiceFault(
                    "BadRequestInvalidIds", f"Region {guid_text(key)} was not found."
                )
            continue
        state.db.execute("DELETE FROM regions WHERE iteration = X'' AND id = ?", (key,))
        if not state.scalar(
            "SELECT 1 FROM regions WHERE iteration = X'' AND image = ? AND tag = ?", *row
        ):
            state.db.execute(
                "DELETE FROM image_tags WHERE iteration = X'' AND image = ? AND tag = ?", tuple(row)
            )
    return ApiResponse(204)


@handles("GetImageRegionProposals")
def get_image_region_proposals(request: ApiRequest) -> ApiResponse:
    """Return 25 boxes by falling confidence, always the same for the same image."""
    project = request.resource.project(request.key("projectId"))["id"]
    image = workspace_image(request.resource, project, request.key("imageId"))
    proposals = []
    for number in range(25):
        noise = hashlib.blake2b(image["digest"] + bytes([number]), digest_size=16).digest()
        width, height = 0.1 + 0.6 * noise[0] / 255, 0.1 + 0.6 * noise[1] / 255
        box = {
            "left": (1 - width) * noise[2] / 255,
            "top": (1 - height) * noise[3] / 255,
            "width": width,
            "height": height,
        }
        confidence = 0.1 / (1 + number / 2) + 1e-4 * noise[4] / 255 / (number + 1)
        proposals.append(
            {
                "confidence": single(confidence),
                "boundingBox": {side: single(value) for side, value in box.items()},
            }
        )
    return ApiResponse(
        value={
            "projectId": guid_text(project),
            "imageId": guid_text(image["id"]),
            "proposals": proposals,
        }
    )
