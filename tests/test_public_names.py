"""The public names: a list that is sorted, whole and true."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types

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
"""Names that other people's programs are written against."""


def test_the_list_of_public_names_is_sorted_and_is_the_namespace() -> None:
    """What is listed is there, what is there is listed: nothing becomes public by accident."""
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
    """No name that a program may use has gone."""
    assert CONTRACT - set(customvision_async.__all__) == set()


@pytest.mark.parametrize("name", sorted(customvision_async.__all__))
def test_every_public_name_explains_itself(name: str) -> None:
    """Each public class and function has a docstring."""
    value = getattr(customvision_async, name)
    assert (
        not (inspect.isclass(value) or inspect.isfunction(value)) or (value.__doc__ or "").strip()
    )


def test_importing_the_library_imports_no_extra() -> None:
    """A program that only uses the clients pays for nothing else."""
    code = "import sys, customvision_async; print(sorted({'cyclopts', 'rich', 'PIL', 'sqlite3', 'pytest', 'uvloop'} & set(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
