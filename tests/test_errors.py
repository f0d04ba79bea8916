"""Errors as values: they can be copied, pickled and sent between processes, whole."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from customvision_async import errors
from customvision_async.limits import IMAGE_BYTES

_ITEM = errors.ItemError("no picture", index=3, item="a.txt", status="ErrorImageFormat")
SAMPLES: list[Exception] = [
    errors.CustomVisionError("x"),
    errors.ConnectError("refused", operation="GetTags"),
    errors.RequestTimeout("late", operation="GetTags", sent=False),
    errors.NotFoundError("gone", status=404, code="NotFoundImage", request_id="1", operation="GetImages", advice="Look again."),
    errors.RateLimitError("slow", status=429, retry_after=3.0),
    errors.DecodeError("html"),
    errors.LimitExceeded(IMAGE_BYTES, 7_000_000, "a.jpg"),
    errors.UnsupportedOperation("not in v1.2", operation="GetImages", version="v1.2", first_version="v3.3"),
    errors.OperationFailed("it failed", operation="TrainProject", status="Failed"),
    _ITEM,
    errors.BatchError("1 of 2 items failed", [_ITEM], report="the report", dropped=0),
]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied_and_pickled(error: Exception, again: Callable[[Any], Any]) -> None:
    """A process pool breaks over an error that cannot be made again from its pickle."""
    made = again(error)
    assert type(made) is type(error)
    assert str(made) == str(error)
    assert {name: str(value) for name, value in vars(made).items()} == {name: str(value) for name, value in vars(error).items()}
    if isinstance(error, errors.BatchError) and isinstance(made, errors.BatchError):
        assert [str(one) for one in made.exceptions] == [str(one) for one in error.exceptions]
