"""The result of an item."""

from __future__ import annotations

import pytest

from customvision_async import ItemError, ItemResult, has_value

FAILURE = ItemError("its tags could not be added", index=0, item="a.jpg")


@pytest.mark.parametrize(
    "result, known",
    [
        (ItemResult(0, "a.jpg", True, "OK", "the image"), True),
        (ItemResult(0, "a.jpg", True, "OKDuplicate"), False),
        (ItemResult(0, "a.jpg", False, "ErrorImageFormat", error=FAILURE), False),
        (ItemResult(0, "a.jpg", False, "", "the image", FAILURE), False),
    ],
)
def test_a_result_has_a_value_if_the_item_succeeded_and_the_value_is_known(
    result: ItemResult[str, str], known: bool
) -> None:
    """A failed item has no value, nor has a duplicate whose image the service does not name."""
    assert has_value(result) is known


def test_a_result_is_one_class_at_run_time() -> None:
    """The narrowed types exist for type checkers only. Subscripts and isinstance work."""
    result = ItemResult[str, str](0, "a.jpg", True, "OK", "the image")
    assert type(result) is ItemResult
    assert isinstance(result, ItemResult)
    assert result.image == result.value == "the image"
