"""The limits that docstrings state are those of the table in limits.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from customvision_async import limits
from customvision_async.limits import Limit

PACKAGE = Path(limits.__file__).parent

STATED: dict[str, tuple[Limit, ...]] = {
    "ImageFileCreateBatch": (limits.IMAGES_PER_BATCH,),
    "ImageIdCreateBatch": (limits.IMAGES_PER_BATCH,),
    "ImageLabels": (limits.TAGS_PER_BATCH,),
    "ImageUrlCreateBatch": (limits.IMAGES_PER_BATCH,),
    "OperationSpec": (limits.IMAGES_PER_BATCH,),
    "PredictionOperations": (limits.PREDICTION_BYTES,),
    "check_batch": (limits.IMAGES_PER_BATCH, limits.TAGS_PER_BATCH),
    "classify_image": (limits.PREDICTION_BYTES,),
    "classify_images": (limits.PREDICTION_BYTES,),
    "create_image_regions": (limits.REGIONS_PER_BATCH,),
    "create_image_tags": (limits.TAG_PAIRS_PER_BATCH,),
    "create_images_from_data": (limits.IMAGES_PER_BATCH, limits.TAGS_PER_BATCH),
    "create_images_from_files": (limits.IMAGES_PER_BATCH, limits.TAGS_PER_BATCH),
    "create_images_from_predictions": (limits.IMAGES_PER_BATCH,),
    "create_images_from_urls": (limits.IMAGES_PER_BATCH,),
    "delete_image_regions": (limits.REGIONS_PER_DELETE,),
    "delete_image_tags": (limits.IMAGES_PER_UNTAG, limits.TAGS_PER_UNTAG),
    "delete_images": (limits.IDS_PER_DELETE,),
    "delete_prediction": (limits.PREDICTIONS_PER_DELETE,),
    "get_image_performances": (limits.MAX_PAGE_SIZE,),
    "get_images": (limits.TAGS_PER_FILTER, limits.MAX_PAGE_SIZE),
    "get_images_by_ids": (limits.IDS_PER_GET,),
    "get_tagged_images": (limits.TAGS_PER_FILTER, limits.MAX_PAGE_SIZE),
    "get_untagged_images": (limits.MAX_PAGE_SIZE,),
    "images_in": (limits.IMAGE_BYTES, limits.IMAGE_SIDE, limits.IMAGE_ASPECT_RATIO),
    "list_image_performances": (limits.TAGS_PER_FILTER, limits.MAX_PAGE_SIZE),
    "list_images": (limits.TAGS_PER_FILTER, limits.MAX_PAGE_SIZE),
    "list_predictions": (limits.TAGS_PER_PREDICTION_QUERY,),
    "query_predictions": (limits.TAGS_PER_PREDICTION_QUERY,),
    "quick_test": (limits.IMAGE_BYTES,),
    "send_tags": (limits.TAG_PAIRS_PER_BATCH,),
    "_send_untag": (limits.TAGS_PER_UNTAG,),
    "suggest_tags_and_regions": (limits.IMAGES_PER_SUGGESTION,),
    "update_image_metadata": (
        limits.IMAGES_PER_METADATA_UPDATE,
        limits.METADATA_PAIRS,
        limits.METADATA_KEY_LENGTH,
        limits.METADATA_VALUE_LENGTH,
    ),
}
"""The limits behind the numbers in the docstring of each function or class."""

_BOUND = re.compile(
    r"\b(?:up to|at most|over|more than|larger than|limit of|limits are|keys of|values of) "
    r"([\d,]+)\b(?: (MB))?(?! %)|\b([\d]+):1\b",
    re.IGNORECASE,
)
"""A number that states a limit, with a unit other than 1, or a ratio."""


def docstrings() -> Iterator[tuple[str, str]]:
    """Yield the name and the docstring of every class and function of the client."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if {"cli", "emulator"} & set(path.relative_to(PACKAGE).parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.name, " ".join((ast.get_docstring(node) or "").split())


def test_a_limit_in_a_docstring_is_in_the_table() -> None:
    """A change of a limit names the docstrings that state it. A new one needs a row."""
    wrong: list[str] = []
    stating: set[str] = set()
    for name, text in docstrings():
        numbers = {
            int((number or ratio).replace(",", "")) * (1024**2 if unit else 1)
            for number, unit, ratio in _BOUND.findall(text)
        }
        known = {limit.value for limit in STATED.get(name, ())}
        if numbers:
            stating.add(name)
        wrong += [f"{name}: {number}" for number in sorted(numbers - known)]
    assert not wrong
    assert stating == STATED.keys()
