"""The types of the public interface: none of them is Any."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import customvision_async
from customvision_async import emulator, errors, limits, models, sources
from customvision_async._operations import Operations, PredictionOperations

MODULES = (customvision_async, errors, limits, models, sources, emulator)
PACKAGE = customvision_async.__name__
LATE = {"Limit": limits.Limit, "BatchReport": customvision_async.BatchReport}
"""Names that modules import for type checkers only."""
JSON_EDITOR = Callable[[Any], Any]
"""A function that edits a response of the emulator. JSON has any shape."""
PROTOCOL = {
    "__init__",
    "__await__",
    "__aiter__",
    "__anext__",
    "__iter__",
    "__call__",
    "__aenter__",
    "__aexit__",
}
"""Special methods that a user calls."""


def public() -> dict[str, Any]:
    """Return everything that a program can import from a public module, and the operations."""
    found: dict[str, Any] = {"Operations": Operations, "PredictionOperations": PredictionOperations}
    for module in MODULES:
        found |= {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    return found


def callables() -> Iterator[tuple[str, Any]]:
    """Yield every public function, and every method and property of every public class."""
    for name, value in public().items():
        if inspect.isfunction(value):
            yield name, value
        if not inspect.isclass(value):
            continue
        for base in value.__mro__:
            if not base.__module__.startswith(PACKAGE):
                continue
            for attribute, member in vars(base).items():
                if attribute.startswith("_") and attribute not in PROTOCOL:
                    continue
                function = getattr(member, "fget", None) or getattr(member, "__func__", member)
                if inspect.isfunction(function) and function.__module__.startswith(PACKAGE):
                    yield f"{name}.{attribute}", function


def parts(hint: Any, seen: set[int]) -> Iterator[Any]:
    """Yield a hint and all hints in it: arguments, bounds of variables, fields of typed dicts."""
    if id(hint) in seen or hint == JSON_EDITOR:
        return
    seen.add(id(hint))
    yield hint
    inner = list(typing.get_args(hint))
    if isinstance(hint, list | tuple):
        inner += hint
    if isinstance(hint, typing.TypeVar):
        inner += [hint.__bound__, *hint.__constraints__]
    if typing.is_typeddict(hint):
        inner += typing.get_type_hints(hint).values()
    if typing.get_origin(hint) not in (None, type, types.UnionType, typing.Union):
        inner.append(typing.get_origin(hint))
    for one in inner:
        yield from parts(one, seen)


def hints(function: Any) -> dict[str, Any]:
    """Return the hints of a function."""
    return typing.get_type_hints(function, localns=LATE)


def with_any(function: Any) -> bool:
    """Return whether a hint of a function, or of one of its overloads, is or holds Any."""
    return any(
        part is Any
        for one in (function, *typing.get_overloads(function))
        for hint in hints(one).values()
        for part in parts(hint, set())
    )


def test_no_public_function_method_or_property_has_any() -> None:
    """Type checkers can check every argument and every return value."""
    assert [name for name, function in callables() if with_any(function)] == []


def test_every_public_function_method_and_property_is_annotated() -> None:
    """Each parameter and each return value has a type."""
    missing = [
        name
        for name, function in callables()
        if set(inspect.signature(function).parameters) - {"self", "cls"} - set(hints(function))
    ]
    assert missing == []


def test_every_field_of_a_public_class_is_typed() -> None:
    """No field is Any, and annotations can be evaluated at run time."""
    found = {
        f"{name}.{field}"
        for name, value in public().items()
        if inspect.isclass(value) and value.__module__.startswith(PACKAGE)
        for field, hint in typing.get_type_hints(value).items()
        if any(part is Any for part in parts(hint, set()))
    }
    assert found == set()


def test_every_name_of_the_emulator_is_there() -> None:
    """The names are imported lazily, so a wrong one would go unnoticed."""
    assert all(hasattr(emulator, name) for name in emulator.__all__)


def test_the_mixins_of_a_client_are_alike() -> None:
    """Each has the common base only, and none inherits from another."""
    for client in (customvision_async.ProjectClient, Operations):
        mixins = {base.__bases__ for base in client.__bases__}
        assert len(mixins) == 1
        assert len(mixins.pop()) == 1
