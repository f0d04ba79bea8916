"""Errors can be copied, pickled and sent between processes without loss."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from customvision_async import ImageFile, ImageUrl, TrainingClient, errors
from customvision_async.emulator import Emulator
from customvision_async.limits import IMAGE_BYTES

_ITEM = errors.ItemError("no image", index=3, item="a.txt", status="ErrorImageFormat")
SAMPLES: list[Exception] = [
    errors.CustomVisionError("x"),
    errors.ConnectError("refused", operation="GetTags"),
    errors.RequestTimeout("late", operation="GetTags", sent=False),
    errors.NotFoundError(
        "gone",
        status=404,
        code="NotFoundImage",
        request_id="1",
        operation="GetImages",
        advice="Look again.",
    ),
    errors.RateLimitError("slow", status=429, retry_after=3.0),
    errors.DecodeError("html"),
    errors.LimitExceeded(IMAGE_BYTES, 7_000_000, "a.jpg"),
    errors.UnsupportedOperation(
        "not in v1.2", operation="GetImages", version="v1.2", first_version="v3.3"
    ),
    errors.OperationFailed("it failed", operation="TrainProject", status="Failed"),
    _ITEM,
    errors.BatchError("1 of 2 items failed", [_ITEM], report="the report", dropped=0),
]


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied_and_pickled(error: Exception, again: Callable[[Any], Any]) -> None:
    """A process pool breaks on an error that cannot be unpickled."""
    made = again(error)
    assert type(made) is type(error)
    assert str(made) == str(error)
    assert {name: str(value) for name, value in vars(made).items()} == {
        name: str(value) for name, value in vars(error).items()
    }
    if isinstance(error, errors.BatchError) and isinstance(made, errors.BatchError):
        assert [str(one) for one in made.exceptions] == [str(one) for one in error.exceptions]


@pytest.mark.parametrize(
    "item, begins",
    [
        (ImageFile("photos/a.jpg"), "photos/a.jpg: "),
        (ImageFile("photos/a.jpg", name="Anna"), "Anna: "),
        (ImageFile(data=b"", name="a.jpg"), "a.jpg: "),
        (ImageUrl("https://example.com/a.jpg"), "https://example.com/a.jpg: "),
        (Path("photos/a.jpg"), "photos/a.jpg: "),
        (b"bytes", ""),
    ],
)
def test_an_item_error_begins_with_its_item_once(item: object, begins: str) -> None:
    """It starts with the path or the given name, whether or not the cause has the name already."""
    assert str(errors.ItemError("it is empty", index=3, item=item)) == f"{begins}it is empty"
    if begins:
        short = begins.rpartition("/")[2]
        assert (
            str(errors.ItemError(f"{short}it is empty", index=3, item=item))
            == f"{begins}it is empty"
        )


@pytest.mark.anyio
async def test_a_batch_error_names_the_first_items_with_their_causes(tmp_path: Path) -> None:
    """The last line of a traceback names the files to look at, and the number of further ones."""
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "notes.jpg").write_text("hello")
    gone = tmp_path / "gone.jpg"
    async with (
        Emulator() as emulator,
        TrainingClient(emulator.endpoint, emulator.training_key) as training,
    ):
        project = await training.create_project("P")
        with pytest.raises(errors.BatchError) as caught:
            await project.upload_images(
                [
                    gone,
                    ImageFile(tmp_path / "empty.jpg"),
                    b"no image",
                    str(tmp_path / "notes.jpg"),
                    "x" * 5000,
                ]
            )
    named = str(caught.value)
    assert named.startswith(
        f"5 of 5 items failed: {gone}: cannot be read: No such file or directory; "
        f"{tmp_path / 'empty.jpg'}: "
        "the file is empty (0 bytes); "
        "item 2: the bytes: not a JPEG"
    )
    assert "; and 2 more" in named
    assert str(tmp_path / "notes.jpg") in str(caught.value.exceptions[3])
    assert isinstance(caught.value.exceptions[0].__cause__, FileNotFoundError)
    assert caught.value.exceptions[0].__cause__.errno == 2
    assert len(named) < 1000
