"""Bodies: a parser gets out what was put in, and the announced length is the real one."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from customvision_async._content import Blob
from customvision_async._versions import ApiVersion
from customvision_async._wire.bodies import (
    RegionTuple,
    files_batch,
    ids_batch,
    json_body,
    multipart,
    octet_stream,
    urls_batch,
)
from customvision_async._wire.codec import camel_keys
from customvision_async.errors import UnsupportedOperation
from customvision_async.models import PredictionQueryTag, PredictionQueryToken, TagUpdate

from ..support.render import rendered

V1, V2, V3 = ApiVersion.V1_2, ApiVersion.V2_0, ApiVersion.V3_3
ID = "11111111-2222-3333-4444-555555555555"

ids = st.uuids().map(str)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
regions = st.tuples(ids, numbers, numbers, numbers, numbers)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
part_names = names.filter(lambda name: not re.search("[\r\n\0]", name))


@dataclass(frozen=True)
class Entry:
    """An entry of any batch."""

    name: str
    blob: Blob
    tag_ids: list[str]
    regions: list[RegionTuple]
    url: str = ""
    id: str = ID


def blob(data: bytes) -> Blob:
    """Return bytes in memory as a blob."""
    return Blob(len(data), data=data)


entries = st.builds(
    Entry,
    names,
    st.binary(max_size=100).map(blob),
    st.lists(ids, max_size=3),
    st.lists(regions, max_size=3),
    names,
    ids,
)


@example(parts=[('a"b; c="d', b""), ("\\", b"--")])
@given(parts=st.lists(st.tuples(part_names, st.binary(max_size=200)), max_size=5))
def test_multipart_parses_back(parts: list[tuple[str, bytes]]) -> None:
    """A foreign MIME parser finds each part's bytes, complete and in order."""
    content = multipart([(name, blob(data)) for name, data in parts])
    body = rendered(content)
    assert len(body) == content.length
    boundary = content.content_type.partition("boundary=")[2].encode()
    sections = body.split(b"--" + boundary)
    assert sections[0] == b""
    assert sections[-1] == b"--\r\n"
    found = []
    for section in sections[1:-1]:
        head, _, data = section.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        found.append((head, data.removesuffix(b"\r\n")))
    assert [data for _, data in found] == [data for _, data in parts]
    for (head, _), (name, _) in zip(found, parts, strict=True):
        written = name.replace('"', "%22").encode()
        assert head.startswith(
            b'Content-Disposition: form-data; name="'
            + written
            + b'"; filename="'
            + written
            + b'"\r\n'
        )
        assert head.endswith(b"\r\nContent-Type: application/octet-stream")


def test_multipart_of_numbers_is_read_by_the_standard_library() -> None:
    """The email package reads numbered parts, as the engine sends them."""
    content = multipart([("0", blob(b"\x00one\r\n--")), ("1", blob(b""))])
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content.content_type.encode() + b"\r\n\r\n" + rendered(content)
    )
    parts = [(part.get_filename(), part.get_payload(decode=True)) for part in message.iter_parts()]
    assert [name for name, _ in parts] == ["0", "1"]
    assert parts[0][1] == b"\x00one\r\n--"


def test_multipart_boundaries_differ() -> None:
    """The boundary is random for each body, so no image can be made to contain it."""
    assert multipart([]).content_type != multipart([]).content_type


@pytest.mark.parametrize("name", ["a\rb", "a\nb", "a\0b", 'x"\r\nContent-Type: text/html'])
def test_multipart_refuses_names_that_would_break_out(name: str) -> None:
    """A line break or NUL in the name of a part is refused before anything is sent."""
    with pytest.raises(ValueError, match="line break"):
        multipart([(name, blob(b""))])


def test_multipart_takes_names_that_are_not_unicode() -> None:
    """A file name may have bytes that are not UTF-8. They become the replacement character."""
    body = rendered(multipart([("a\udcff.jpg", blob(b"x"))]))
    assert "a\ufffd" in body.decode()


def wire_entry(entry: Entry) -> dict[str, object]:
    """Return the JSON of the tags and regions of an entry."""
    said: dict[str, object] = {}
    if entry.tag_ids:
        said["tagIds"] = entry.tag_ids
    if entry.regions:
        said["regions"] = [
            dict(zip(("tagId", "left", "top", "width", "height"), region, strict=True))
            for region in entry.regions
        ]
    return said


@given(
    batch=st.lists(entries, max_size=4),
    tag_ids=st.lists(ids, max_size=3),
    metadata=st.none() | st.dictionaries(names, names, max_size=3),
)
def test_files_batch_parses_back(
    batch: list[Entry], tag_ids: list[str], metadata: dict[str, str] | None
) -> None:
    """A files batch is JSON with all entries, images as base64, and of the announced length."""
    content = files_batch(batch, tag_ids, metadata, V3)
    body = rendered(content)
    assert len(body) == content.length
    contents = [base64.b64encode(bytes(entry.blob.data or b"")).decode() for entry in batch]
    expected: dict[str, object] = {
        "images": [
            {"name": entry.name, "contents": text, **wire_entry(entry)}
            for entry, text in zip(batch, contents, strict=True)
        ]
    }
    if tag_ids:
        expected["tagIds"] = tag_ids
    if metadata:
        expected["metadata"] = metadata
    assert json.loads(body) == expected


@given(batch=st.lists(entries, max_size=4), tag_ids=st.lists(ids, max_size=3))
def test_url_and_id_batches_parse_back(batch: list[Entry], tag_ids: list[str]) -> None:
    """URL and prediction batches are JSON with all entries."""
    for content, key in (
        (urls_batch(batch, tag_ids, None, V3), "url"),
        (ids_batch(batch, tag_ids, None, V3), "id"),
    ):
        expected: dict[str, object] = {
            "images": [{key: getattr(entry, key), **wire_entry(entry)} for entry in batch]
        }
        if tag_ids:
            expected["tagIds"] = tag_ids
        assert json.loads(rendered(content)) == expected


@given(
    batch=st.lists(
        entries.map(lambda entry: Entry(entry.name, entry.blob, entry.tag_ids, [])), max_size=4
    ),
    tag_ids=st.lists(ids),
)
def test_v1_batches_say_the_same_in_pascal_case(batch: list[Entry], tag_ids: list[str]) -> None:
    """The body of v1.2 is that of v2.0 with keys in PascalCase."""
    for plan in (files_batch, urls_batch, ids_batch):
        old, new = (
            json.loads(rendered(plan(batch, tag_ids, None, version))) for version in (V1, V2)
        )
        assert camel_keys(old) == new
        assert set(old) <= {"Images", "TagIds"}


def test_pieces_hold_no_image() -> None:
    """An image is in a body as the given blob, never as its bytes."""
    image = blob(bytes(1000))
    for content in (
        multipart([("0", image)]),
        files_batch([Entry("0", image, [], [])], [], None, V3),
        octet_stream(image),
    ):
        assert [piece for piece in content.pieces if piece is image]
        assert sum(len(piece) for piece in content.pieces if isinstance(piece, bytes)) < 400


def test_regions_and_metadata_need_their_versions() -> None:
    """Regions before v2.0 and metadata before v3.3 are refused. The error names the version
    to use.
    """
    with pytest.raises(UnsupportedOperation, match=r"v2\.0") as refused:
        files_batch([Entry("0", blob(b""), [], [(ID, 0, 0, 1, 1)])], [], None, V1)
    assert refused.value.first_version == "v2.0"
    with pytest.raises(UnsupportedOperation, match=r"v3\.3"):
        files_batch([], [], {"a": "b"}, ApiVersion.V3_2)


def test_json_bodies_leave_out_what_was_not_given() -> None:
    """A field that was not given is not sent. None is sent as null where that has a meaning."""
    assert rendered(json_body(TagUpdate(name="ripe"), V3)) == b'{"name":"ripe"}'
    assert rendered(json_body(TagUpdate(description=None), V3)) == b'{"description":null}'
    token = PredictionQueryToken(max_count=5, tags=(PredictionQueryTag(id=ID, min_threshold=0.5),))
    assert json.loads(rendered(json_body(token, V1))) == {
        "MaxCount": 5,
        "Tags": [{"Id": ID, "MinThreshold": 0.5}],
    }
