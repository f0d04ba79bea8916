"""The bodies of requests, planned without reading a picture: bytes, and blobs where the pictures go."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from .._content import Blob, Content
from .._versions import ApiVersion, PredictionVersion
from ..errors import UnsupportedOperation
from .codec import encode
from .operation_spec import Version

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
"""A region as it is sent: the id of its tag, left, top, width, height."""

_JSON = "application/json; charset=utf-8"


class _Entry(Protocol):
    @property
    def tag_ids(self) -> Sequence[str]: ...
    @property
    def regions(self) -> Sequence[RegionTuple]: ...


class FileEntry(_Entry, Protocol):
    """A picture of a files batch, under the name the answer gives back."""

    @property
    def name(self) -> str: ...
    @property
    def blob(self) -> Blob: ...


class UrlEntry(_Entry, Protocol):
    """A picture of a URL batch."""

    @property
    def url(self) -> str: ...


class IdEntry(_Entry, Protocol):
    """A stored prediction of a predictions batch."""

    @property
    def id(self) -> str: ...


def octet_stream(blob: Blob) -> Content:
    """One picture as the whole body."""
    return Content("application/octet-stream", (blob,))


def multipart(parts: Sequence[tuple[str, Blob]], *, field: str | None = None) -> Content:
    """Pictures as they are, one part each. The name of a part comes back in the answer, in double quotes.

    A part has the name as its form name too, unless `field` gives one for all: the service looks at neither (two
    clients by Microsoft's engineers number their parts; the official SDK says "imageData").

    Raises:
        ValueError: a name has a line break or NUL.
    """
    boundary = secrets.token_hex(16)
    pieces: list[bytes | Blob] = []
    common = None if field is None else _quoted(field)
    opening = f"--{boundary}"
    between = f'{opening}\r\nContent-Disposition: form-data; name="'
    for name, blob in parts:
        quoted = _quoted(name)
        head = f'{between}{common or quoted}"; filename="{quoted}"\r\nContent-Type: application/octet-stream\r\n\r\n'
        pieces += (head.encode(), blob)
        between = f'\r\n{opening}\r\nContent-Disposition: form-data; name="'
    pieces.append((f"\r\n{opening}--\r\n" if pieces else f"{opening}--\r\n").encode())
    return Content(f"multipart/form-data; boundary={boundary}", pieces)


def _quoted(name: str) -> str:
    if name.isalnum():
        return name
    if "\r" in name or "\n" in name or "\0" in name:
        raise ValueError(
            f"the name of a part must not have a line break or NUL in it: {name[:80]!r}"
        )
    return _writable(name).replace('"', "%22")  # as browsers write it; backslashes stay as they are


def _writable(text: str) -> str:
    """`text` with what is not Unicode (bytes of a file name that are not UTF-8) replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    return text


def json_body(value: Any, version: Version) -> Content:
    """A model or plain data in the dialect of the version."""
    return Content(_JSON, (encode(value, pascal=_pascal(version)),))


def files_batch(
    entries: Sequence[FileEntry],
    tag_ids: Sequence[str],
    metadata: Mapping[str, str] | None,
    version: Version,
) -> Content:
    """The body of CreateImagesFromFiles. The pictures stand in it as blobs, to be sent as base64.

    Raises:
        UnsupportedOperation: the version lacks regions or metadata, and there are some.
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
    """The body of CreateImagesFromUrls; raises as :func:`files_batch`."""
    images = [{"url": entry.url, **_extras(entry, version)} for entry in entries]
    return json_body({"images": images, **_common(tag_ids, metadata, version)}, version)


def ids_batch(
    entries: Sequence[IdEntry],
    tag_ids: Sequence[str],
    metadata: Mapping[str, str] | None,
    version: Version,
) -> Content:
    """The body of CreateImagesFromPredictions; raises as :func:`files_batch`."""
    images = [{"id": entry.id, **_extras(entry, version)} for entry in entries]
    return json_body({"images": images, **_common(tag_ids, metadata, version)}, version)


def pairs_batch(pairs: Sequence[tuple[str, str]], version: Version) -> Content:
    """The body of CreateImageTags: pairs of an image's and a tag's id."""
    return json_body({"tags": [{"imageId": image, "tagId": tag} for image, tag in pairs]}, version)


def regions_batch(regions: Sequence[tuple[str, RegionTuple]], version: Version) -> Content:
    """The body of CreateImageRegions: the id of an image, and a region to put on it."""
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
        _need(ApiVersion.V2_0, version, "regions")
        extras["regions"] = [_region(region) for region in entry.regions]
    return extras


def _common(
    tag_ids: Sequence[str], metadata: Mapping[str, str] | None, version: Version
) -> dict[str, object]:
    common: dict[str, object] = {}
    if tag_ids:
        common["tagIds"] = list(tag_ids)
    if metadata:
        _need(ApiVersion.V3_3, version, "metadata")
        common["metadata"] = dict(metadata)
    return common


def _need(first: ApiVersion, version: Version, what: str) -> None:
    if version < first:
        raise UnsupportedOperation(
            f"{version} has no {what} on images: the first version that has them is {first}",
            operation="", version=version.value, first_version=first.value,
        )  # fmt: skip
