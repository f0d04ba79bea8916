"""Build the bodies of requests, from bytes and from blobs that are read when they are sent."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from .._content import Blob, Content
from .._versions import ApiVersion, PredictionVersion
from .codec import encode
from .operation_spec import Version, require

__all__ = [
    "RegionTuple",
    "files_batch",
    "ids_batch",
    "json_body",
    "multipart",
    "octet_stream",
    "pairs_batch",
    "regions_batch",
    "urls_batch",
]

RegionTuple: TypeAlias = tuple[str, float, float, float, float]
"""A region on the wire: id of its tag, left, top, width, height."""

_JSON = "application/json; charset=utf-8"


class _Entry(Protocol):
    @property
    def tag_ids(self) -> Sequence[str]: ...
    @property
    def regions(self) -> Sequence[RegionTuple]: ...


class FileEntry(_Entry, Protocol):
    """An image of CreateImagesFromFiles. The response repeats its name."""

    @property
    def name(self) -> str: ...
    @property
    def blob(self) -> Blob: ...


class UrlEntry(_Entry, Protocol):
    """An image of CreateImagesFromUrls."""

    @property
    def url(self) -> str: ...


class IdEntry(_Entry, Protocol):
    """A stored prediction of CreateImagesFromPredictions."""

    @property
    def id(self) -> str: ...


def octet_stream(blob: Blob) -> Content:
    """Return a body with one image."""
    return Content("application/octet-stream", (blob,))


def multipart(parts: Sequence[tuple[str, Blob]], *, field: str | None = None) -> Content:
    """Return a multipart body with one part per image. The response repeats the name of a part.

    Args:
        parts: File name and blob of each image.
        field: Form name of all parts. Defaults to the file name of each part. The service ignores
            the form name: the official SDK sends "imageData", and two clients of Microsoft's
            engineers send numbers.

    Raises:
        ValueError: A name has a line break or NUL.
    """
    boundary = secrets.token_hex(16)
    pieces: list[bytes | Blob] = []
    common = None if field is None else _quoted(field)
    opening = f"--{boundary}"
    between = f'{opening}\r\nContent-Disposition: form-data; name="'
    for name, blob in parts:
        quoted = _quoted(name)
        head = (
            f'{between}{common or quoted}"; filename="{quoted}"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        )
        pieces += (head.encode(), blob)
        between = f'\r\n{opening}\r\nContent-Disposition: form-data; name="'
    pieces.append((f"\r\n{opening}--\r\n" if pieces else f"{opening}--\r\n").encode())
    return Content(f"multipart/form-data; boundary={boundary}", pieces)


def _quoted(name: str) -> str:
    if name.isalnum():
        return name
    if "\r" in name or "\n" in name or "\0" in name:
        raise ValueError(f"the name of a part must not have a line break or NUL: {name[:80]!r}")
    # As browsers do it. Backslashes are not escaped.
    return _writable(name).replace('"', "%22")


def _writable(text: str) -> str:
    """Return `text` without lone surrogates, which stand for bytes of a name that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def json_body(value: Any, version: Version) -> Content:
    """Return a JSON body in the key case of the version."""
    return Content(_JSON, (encode(value, pascal=_pascal(version)),))


def files_batch(
    entries: Sequence[FileEntry],
    tag_ids: Sequence[str],
    metadata: Mapping[str, str] | None,
    version: Version,
) -> Content:
    """Return the body of CreateImagesFromFiles, with blobs to send as base64.

    Raises:
        UnsupportedOperation: There are regions or metadata, which the version does not support.
    """
    pascal = _pascal(version)
    images, name, contents = (
        (b'{"Images":[', b'"Name":', b'"Contents":"')
        if pascal
        else (b'{"images":[', b'"name":', b'"contents":"')
    )
    pieces: list[bytes | Blob] = []
    pending = [images]
    for entry in entries:
        pending += (b"{", name, msgspec.json.encode(_writable(entry.name)), b",", contents)
        pieces += (b"".join(pending), entry.blob)
        rest = encode(_extras(entry, version), pascal=pascal)[1:-1]
        pending = [b'",' if rest else b'"', rest, b"},"]
    if pieces:
        pending[-1] = b"}"
    tail = encode(_common(tag_ids, metadata, version), pascal=pascal)[1:]
    pending += (b"]," if len(tail) > 1 else b"]", tail)
    pieces.append(b"".join(pending))
    return Content(_JSON, pieces, base64=True)


def urls_batch(
    entries: Sequence[UrlEntry],
    tag_ids: Sequence[str],
    metadata: Mapping[str, str] | None,
    version: Version,
) -> Content:
    """Return the body of CreateImagesFromUrls. See :func:`files_batch` for errors."""
    images = [{"url": entry.url, **_extras(entry, version)} for entry in entries]
    return json_body({"images": images, **_common(tag_ids, metadata, version)}, version)


def ids_batch(
    entries: Sequence[IdEntry],
    tag_ids: Sequence[str],
    metadata: Mapping[str, str] | None,
    version: Version,
) -> Content:
    """Return the body of CreateImagesFromPredictions. See :func:`files_batch` for errors."""
    images = [{"id": entry.id, **_extras(entry, version)} for entry in entries]
    return json_body({"images": images, **_common(tag_ids, metadata, version)}, version)


def pairs_batch(pairs: Sequence[tuple[str, str]], version: Version) -> Content:
    """Return the body of CreateImageTags, from pairs of image id and tag id."""
    return json_body({"tags": [{"imageId": image, "tagId": tag} for image, tag in pairs]}, version)


def regions_batch(regions: Sequence[tuple[str, RegionTuple]], version: Version) -> Content:
    """Return the body of CreateImageRegions, from pairs of image id and region."""
    return json_body(
        {"regions": [{"imageId": image, **_region(region)} for image, region in regions]}, version
    )


def _pascal(version: Version) -> bool:
    return version in (ApiVersion.V1_2, PredictionVersion.V1_1)


def _region(region: RegionTuple) -> dict[str, object]:
    tag_id, left, top, width, height = region
    return {"tagId": tag_id, "left": left, "top": top, "width": width, "height": height}


def _extras(entry: _Entry, version: Version) -> dict[str, object]:
    extras: dict[str, object] = {}
    if entry.tag_ids:
        extras["tagIds"] = list(entry.tag_ids)
    if entry.regions:
        require(version, ApiVersion.V2_0, "a region of an image")
        extras["regions"] = [_region(region) for region in entry.regions]
    return extras


def _common(
    tag_ids: Sequence[str], metadata: Mapping[str, str] | None, version: Version
) -> dict[str, object]:
    common: dict[str, object] = {}
    if tag_ids:
        common["tagIds"] = list(tag_ids)
    if metadata:
        require(version, ApiVersion.V3_3, "metadata of an image")
        common["metadata"] = dict(metadata)
    return common
