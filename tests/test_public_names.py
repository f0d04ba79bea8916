"""The list of public names is sorted, complete and correct."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import types

import msgspec
import pytest

import customvision_async

CONTRACT = {
    "ApiVersion",
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "BatchReport",
    "BatchRun",
    "Concurrency",
    "ConflictError",
    "ConnectError",
    "CustomVisionError",
    "DecodeError",
    "ImageFile",
    "ImageUrl",
    "InternalServerError",
    "ItemError",
    "ItemResult",
    "KeyCredential",
    "LimitExceeded",
    "NotFoundError",
    "PermissionDeniedError",
    "ProjectClient",
    "RateLimitError",
    "Region",
    "RequestTimeout",
    "ResponseLost",
    "Retry",
    "ServiceError",
    "Timeouts",
    "TrainingClient",
    "TransportError",
    "UnsupportedOperation",
    "images_from_urls",
    "images_in",
}
"""Names that programs of users depend on."""


def test_the_list_of_public_names_is_sorted_and_is_the_namespace() -> None:
    """The list and the namespace agree, so that no name becomes public by accident."""
    listed = customvision_async.__all__
    there = {
        name
        for name, value in vars(customvision_async).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert list(listed) == sorted(listed)
    assert len(set(listed)) == len(listed)
    assert there - {"annotations", "TYPE_CHECKING"} == {
        name for name in listed if not name.startswith("_")
    }


def test_the_contract_is_kept() -> None:
    """No name that a program may use is missing."""
    assert CONTRACT - set(customvision_async.__all__) == set()


@pytest.mark.parametrize("name", sorted(customvision_async.__all__))
def test_every_public_name_explains_itself(name: str) -> None:
    """Each public class and function has a docstring."""
    value = getattr(customvision_async, name)
    assert (
        not (inspect.isclass(value) or inspect.isfunction(value)) or (value.__doc__ or "").strip()
    )


@pytest.mark.parametrize("name", sorted(customvision_async.__all__))
def test_a_public_name_says_where_a_program_gets_it(name: str) -> None:
    """Tracebacks and reprs say `customvision_async.X`, not the module that defines X."""
    value = getattr(customvision_async, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert f"{value.__module__}.{value.__qualname__}" == f"customvision_async.{name}"
        assert pickle.loads(pickle.dumps(value)) is value


def test_what_is_named_anew_is_pickled_and_decoded() -> None:
    """Instances can be pickled, and the fields of models keep their types."""
    image = msgspec.json.decode(
        b'{"id": "a", "tags": [{"tagId": "b"}]}', type=customvision_async.Image
    )
    assert image.tags[0].tag_id == "b"
    file = customvision_async.ImageFile("a.jpg", tags=["b"])
    result = customvision_async.ItemResult(0, file, True, "OK", image)
    assert pickle.loads(pickle.dumps(result)) == result


def test_importing_the_library_imports_no_extra() -> None:
    """A program that uses only the clients loads nothing else."""
    code = (
        "import sys, customvision_async; extras = {'cyclopts', 'rich', 'PIL', 'sqlite3', "
        "'pytest', 'uvloop'}; print(sorted(extras & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
