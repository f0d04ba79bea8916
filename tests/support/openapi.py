"""Validate responses by the service's OpenAPI documents: the part of JSON Schema that they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z?")
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}


def faults_of(
    value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "$"
) -> Iterator[str]:
    """Return the faults of a value, each with its place. Return nothing if it is valid."""
    if reference := schema.get("$ref"):
        yield from faults_of(
            value,
            document["definitions"][reference.rpartition("/")[2]] | {"x-use": schema},
            document,
            at,
        )
        return
    if value is None:
        if schema.get("x-nullable") is False:
            yield f"{at}: null where null is not allowed"
        return
    if "properties" in schema or schema.get("type") == "object":
        yield from _object(value, schema, document, at)
        return
    kinds = _TYPES.get(schema.get("type", ""))
    if kinds is not None and (
        not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
    ):
        yield f"{at}: {type(value).__name__} where {schema['type']} is meant"
    elif schema.get("type") == "array":
        for number, item in enumerate(value):
            yield from faults_of(item, schema["items"], document, f"{at}[{number}]")
    elif schema.get("format") == "uuid" and not _GUID.fullmatch(value):
        yield f"{at}: {value!r} is no GUID"
    elif schema.get("format") == "date-time" and not _DATE.fullmatch(value):
        yield f"{at}: {value!r} is no date"


def _object(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at}: {type(value).__name__} where an object is meant"
        return
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: '{name}' is missing"
    for name, item in value.items():
        if name in properties:
            yield from faults_of(item, properties[name], document, f"{at}.{name}")
        elif isinstance(more := schema.get("additionalProperties"), dict):
            yield from faults_of(item, more, document, f"{at}.{name}")
        else:
            yield f"{at}.{name}: not in the document"
