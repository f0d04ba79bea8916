"""What a person gives: images, regions, and the mistakes that are told at once."""

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
    """A path and an open file give the name; bytes have none; a name that is given wins."""
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
    """None and two of path, data and file are mistakes, and so are their wrong types."""
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
    """A string or a tag where several belong is a mistake that is said, not a tag for every letter."""
    with pytest.raises(TypeError, match=r"\['apple'\]"):
        ImageFile("a.jpg", tags="apple")
    with pytest.raises(TypeError, match="one tag"):
        ImageUrl("https://example.com/a.jpg", tags=Tag(id="x", name="apple"))


def test_inputs_keep_what_they_are_given() -> None:
    """Tags and regions of any iterable become tuples; an image's bytes stay out of the repr."""
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
    """An input can be sent again because it stays what it was."""
    with pytest.raises(AttributeError):
        ImageFile("a.jpg").name = "b"


@pytest.mark.parametrize("kind", OpenEnum.__subclasses__())
def test_enums_are_open(kind: type[OpenEnum]) -> None:
    """A value of a later service version is kept, equal to its string, through pickle and JSON, and
    leaves the enum as it was.
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
    """A model can be made with what a test needs alone."""
    assert Tag(id="x", name="y").type is TagType.REGULAR
    with pytest.raises(TypeError):
        Tag("x", "y")


def test_keys_of_an_account_are_not_shown() -> None:
    """v1.2's account holds keys; their repr does not."""
    assert "s3cret" not in repr(KeyPair(primary_key="s3cret"))
