"""Inputs of users: images, regions, and mistakes that raise at once."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from customvision_async.models import (
    ImageCreateStatus,
    ImageFile,
    ImageFromPrediction,
    ImageUrl,
    KeyPair,
    OpenEnum,
    ProjectSettings,
    Region,
    SkippedItem,
    Tag,
    TagType,
)


def test_an_image_is_named_after_its_file(tmp_path: Path) -> None:
    """A path or an open file gives the name, bytes have none, and an explicit name wins."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    assert ImageFile(path).name == "a.jpg"
    assert ImageFile(str(path), name="b").name == "b"
    assert ImageFile(data=b"x").name is None
    with path.open("rb") as file:
        assert ImageFile(file=file).name == "a.jpg"
    with os.fdopen(os.open(path, os.O_RDONLY), "rb") as file:
        assert ImageFile(file=file).name is None


def test_exactly_one_source() -> None:
    """None or several of path, data and file are an error, and so are values of a wrong type."""
    with pytest.raises(TypeError, match="exactly one"):
        ImageFile()
    with pytest.raises(TypeError, match="exactly one"):
        ImageFile("a.jpg", data=b"x")
    with pytest.raises(TypeError, match="bytes go in data"):
        ImageFile(b"x")
    with pytest.raises(TypeError, match="a path goes in path"):
        ImageFile(data="a.jpg")
    with pytest.raises(TypeError, match="url must be a str"):
        ImageUrl(b"x")


def test_one_tag_is_no_list_of_tags() -> None:
    """A single string or tag instead of a list is an error, not a tag per letter."""
    with pytest.raises(TypeError, match=r"\['apple'\]"):
        ImageFile("a.jpg", tags="apple")
    with pytest.raises(TypeError, match="one tag"):
        ImageUrl("https://example.com/a.jpg", tags=Tag(id="x", name="apple"))


def test_inputs_keep_what_they_are_given() -> None:
    """Tags and regions of any iterable become tuples. The repr does not contain the bytes."""
    region = Region(tag="apple", left=0, top=0, width=1, height=1)
    image = ImageFile(
        data=b"secret", tags=(tag for tag in ["a", "b"]), regions=[region], metadata={"k": "v"}
    )
    assert (image.tags, image.regions, image.metadata) == (("a", "b"), (region,), {"k": "v"})
    assert "secret" not in repr(image)
    assert ImageUrl("https://example.com/a.jpg").name == "https://example.com/a.jpg"
    assert ImageFromPrediction(UUID(int=5)).name == str(UUID(int=5))
    assert SkippedItem("a.txt", "no image").path is None


def test_inputs_cannot_be_changed() -> None:
    """An input is immutable, so it can be sent again."""
    with pytest.raises(AttributeError):
        ImageFile("a.jpg").name = "b"


@pytest.mark.parametrize("kind", OpenEnum.__subclasses__())
def test_enums_are_open(kind: type[OpenEnum]) -> None:
    """A value of a later version is kept. It equals its string, also after pickle and JSON.

    The enum itself does not change.
    """
    members = list(kind)
    later = kind("SomethingNew")
    assert later == "SomethingNew" == f"{later}"
    assert pickle.loads(pickle.dumps(later)) == later
    assert msgspec.json.decode(msgspec.json.encode(later), type=kind) == later
    assert list(kind) == members
    assert members[0] != later


def test_enums_read_either_spelling() -> None:
    """v1.2 writes MultiLabel where later versions write Multilabel."""
    assert ImageCreateStatus("okduplicate") is ImageCreateStatus.OK_DUPLICATE
    settings = msgspec.json.decode(b'{"classification":"MultiLabel"}', type=ProjectSettings)
    assert settings.classification_type == "Multilabel"


def test_models_are_made_by_keyword_and_have_defaults() -> None:
    """A model can be created with only the fields that a test needs."""
    assert Tag(id="x", name="y").type is TagType.REGULAR
    with pytest.raises(TypeError):
        Tag("x", "y")


def test_keys_of_an_account_are_not_shown() -> None:
    """The account of v1.2 holds keys, which are not in its repr."""
    assert "s3cret" not in repr(KeyPair(primary_key="s3cret"))
