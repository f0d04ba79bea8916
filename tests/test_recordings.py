"""Recorded sessions of the real service: the client sends these requests and reads these
responses.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest

from customvision_async._content import Blob, Content
from customvision_async._versions import ApiVersion, PredictionVersion
from customvision_async._wire.bodies import (
    RegionTuple,
    files_batch,
    ids_batch,
    pairs_batch,
    regions_batch,
    urls_batch,
)
from customvision_async._wire.codec import camel_keys
from customvision_async._wire.operation_spec import OperationSpec, Version
from customvision_async._wire.operations import OPERATIONS
from customvision_async._wire.request import base_path, build_request
from customvision_async._wire.responses import decode_response

from .support.render import rendered
from .support.shared import SHARED, needs_recordings

pytestmark = needs_recordings

FILES = sorted((SHARED / "recordings").glob("*/*.json"))
each_file = pytest.mark.parametrize(
    "file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}"
)


def version_of(uri: str) -> Version:
    """Return the version in a path."""
    match = re.match(r"/customvision/(v[^/]+)/(training|prediction)/", uri, re.IGNORECASE)
    assert match, uri
    return ApiVersion(match[1]) if match[2].lower() == "training" else PredictionVersion(match[1])


def row_of(method: str, path: str, version: Version) -> tuple[OperationSpec, dict[str, str]]:
    """Return the operation of a request, and the values of the placeholders in its path."""
    found = []
    for row in OPERATIONS.values():
        if not row.in_version(version) or row.method != method:
            continue
        pattern = re.sub(
            r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(base_path(version) + row.path_in(version))
        )
        match = re.fullmatch(pattern, path)
        if match:
            found.append((row, match.groupdict()))
    found.sort(key=lambda pair: len(pair[1]))  # /projects/import is not a project
    assert found, f"{method} {path}"
    return found[0]


def entries(file: Any) -> Iterator[tuple[dict[str, Any], Version, OperationSpec, dict[str, str]]]:
    """Yield the entries of a recording, each with its operation."""
    for entry in json.loads(file.read_text("utf-8-sig"))["Entries"]:
        uri = "/" + entry["RequestUri"].lstrip("/")
        version = version_of(uri)
        yield entry, version, *row_of(entry["RequestMethod"], urlsplit(uri).path, version)


@each_file
def test_each_request_is_one_we_would_send(file: Any) -> None:
    """Rebuilt from its parts, the URL is the recorded one, except for commas and empty values."""
    for entry, version, row, path in entries(file):
        recorded = urlsplit("//host/" + entry["RequestUri"].lstrip("/"))
        pairs = dict(parse_qsl(recorded.query))
        kinds = {param.name: param.kind for param in row.query}
        query = {
            name: value.split(",")
            if kinds[name] in {"ids", "texts"}
            else value.lower() == "true"
            if kinds[name] == "bool"
            else value
            for name, value in pairs.items()
        }
        method, url, _ = build_request(
            row,
            version,
            "http://host",
            {name: unquote(value) for name, value in path.items()},
            query,
        )
        ours = urlsplit(url)
        assert method == entry["RequestMethod"]
        assert ours.path == recorded.path
        assert {name: value.lower() for name, value in parse_qsl(ours.query)} == {
            name: value.lower() for name, value in pairs.items()
        }


def comparable(value: Any) -> Any:
    """Return JSON with dates as instants, and without nulls and empty values."""
    if isinstance(value, dict):
        kept = {key: comparable(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], "")}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        moment = msgspec.convert(value, datetime)
        assert isinstance(moment, datetime)
        return (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).timestamp()
    return value


def lost(recorded: Any, ours: Any, where: str = "") -> list[str]:
    """Return the places of the recorded response whose value is missing in ours."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        return [
            place
            for key, item in recorded.items()
            for place in lost(item, ours.get(key), f"{where}.{key}")
        ]
    if isinstance(recorded, list) and isinstance(ours, list) and len(recorded) == len(ours):
        return [
            place
            for i, item in enumerate(recorded)
            for place in lost(item, ours[i], f"{where}[{i}]")
        ]
    if recorded == ours or (
        isinstance(recorded, str)
        and isinstance(ours, str)
        and recorded.casefold() == ours.casefold()
    ):
        return []
    return [f"{where}: {recorded!r} came as {ours!r}"]


@each_file
def test_each_answer_is_read_without_loss(file: Any) -> None:
    """Every value of a recorded response is in the model."""
    for entry, version, row, _ in entries(file):
        headers = {name.lower(): values[0] for name, values in entry["ResponseHeaders"].items()}
        body = entry["ResponseBody"].encode()
        if "_trimmed" in json.loads(file.read_text("utf-8-sig")) and body and not _is_json(body):
            continue
        value = decode_response(row, version, entry["StatusCode"], headers, body)
        if not body:
            assert value is None
            continue
        recorded = camel_keys(json.loads(body))
        if row.id == "GetTags" and version is ApiVersion.V1_2:
            recorded = recorded["tags"]
        assert not lost(comparable(recorded), comparable(json.loads(msgspec.json.encode(value)))), (
            row.id
        )


@dataclass(frozen=True)
class Entry:
    """An entry of any batch."""

    tag_ids: list[str]
    regions: list[RegionTuple]
    name: str = ""
    blob: Blob = field(default_factory=lambda: Blob(0, data=b""))
    url: str = ""
    id: str = ""


def region(item: dict[str, Any]) -> RegionTuple:
    """Return a region as the bodies accept it."""
    return item["tagId"], item["left"], item["top"], item["width"], item["height"]


def planned(row: OperationSpec, sent: dict[str, Any], version: Version) -> Content | None:
    """Return our body for a recorded one, or None for operations with other bodies."""
    plans: dict[str, Any] = {
        "CreateImagesFromFiles": files_batch,
        "CreateImagesFromUrls": urls_batch,
        "CreateImagesFromPredictions": ids_batch,
    }
    if row.id in plans:
        images = [
            Entry(
                item.get("tagIds", []),
                [region(box) for box in item.get("regions", [])],
                name=item.get("name", ""),
                blob=Blob(len(data := base64.b64decode(item.get("contents", ""))), data=data),
                url=item.get("url", ""),
                id=item.get("id", ""),
            )
            for item in sent["images"]
        ]
        return plans[row.id](images, sent.get("tagIds", []), sent.get("metadata"), version)
    if row.id == "CreateImageTags":
        return pairs_batch([(item["imageId"], item["tagId"]) for item in sent["tags"]], version)
    if row.id == "CreateImageRegions":
        return regions_batch([(item["imageId"], region(item)) for item in sent["regions"]], version)
    return None


def test_recorded_bodies_are_those_we_would_send() -> None:
    """Rebuilt from its parts, the body is equivalent to the recorded one."""
    seen = set()
    for file in FILES:
        for entry, version, row, _ in entries(file):
            if row.body != "json" or not _is_json(entry["RequestBody"].encode()):
                continue
            sent = json.loads(entry["RequestBody"])
            try:
                content = planned(row, sent, version)
            except ValueError:
                continue  # contents that were removed from the recording
            if content is not None:
                seen.add(row.id)
                assert comparable(json.loads(rendered(content))) == comparable(sent), (
                    f"{file.stem}: {row.id}"
                )
    assert {"CreateImagesFromUrls", "CreateImageTags", "CreateImageRegions"} <= seen


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def test_recorded_dates_without_a_zone_are_utc() -> None:
    """A creation date without a zone agrees with the Date header of its response."""
    file = SHARED / "recordings" / "training-v3.4-preview" / "CreateImageFromUrl.json"
    seen = 0
    for entry, version, row, _ in entries(file):
        if row.id != "CreateImagesFromUrls":
            continue
        headers = {name.lower(): values[0] for name, values in entry["ResponseHeaders"].items()}
        summary = decode_response(
            row, version, entry["StatusCode"], headers, entry["ResponseBody"].encode()
        )
        created = summary.images[0].image.created
        assert abs((created - parsedate_to_datetime(headers["date"])).total_seconds()) < 60
        seen += 1
    assert seen


def test_file_names_come_back_as_recorded() -> None:
    """An upload by data returns names in double quotes, one by files returns them as sent."""
    file = SHARED / "recordings" / "training-v3.0" / "CreateImagesFromData.json"
    for entry, version, row, _ in entries(file):
        if row.id == "CreateImagesFromData":
            summary = decode_response(
                row, version, entry["StatusCode"], {}, entry["ResponseBody"].encode()
            )
            name = summary.images[0].source_url
            assert name[0] == name[-1] == '"'
            return
    pytest.fail("the recording has no upload by data")
