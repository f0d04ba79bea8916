"""From a row and what the caller gives to a method and a URL. What cannot be right is refused here, before it is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from .._versions import ApiVersion, PredictionVersion
from ..errors import LimitExceeded, UnsupportedOperation
from .operation_spec import Operation, Param, Version

__all__ = [
    "ValidatedIds",
    "all_canonical_ids",
    "base_path",
    "build",
    "id_of",
    "ids_of",
    "plain_text",
]

_CANONICAL = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_UNSAFE = re.compile("[\r\n\0]").search
_CAPITAL = frozenset(
    {
        ApiVersion.V1_2,
        ApiVersion.V2_0,
        ApiVersion.V2_1,
        ApiVersion.V2_2,
        PredictionVersion.V1_1,
        PredictionVersion.V2_0,
    }
)


_LENGTH = 36
_IN_IDS = b"0123456789abcdef-,"


def all_canonical_ids(values: Sequence[object]) -> bool:
    """Whether all of `values` are ids written as :func:`id_of` writes them: many looked at in one go."""
    try:
        text = ",".join(cast("Sequence[str]", values)).encode()
    except (
        TypeError,
        UnicodeEncodeError,
    ):  # something else than text is among them, or text that is no Unicode
        return False
    count, step = len(values), _LENGTH + 1
    return (
        len(text) == max(0, count * step - 1)
        and not text.translate(None, _IN_IDS)
        and text.count(b",") == max(0, count - 1) == text[_LENGTH::step].count(b",")
        and text.count(b"-")
        == 4 * count
        == sum([text[place::step].count(b"-") for place in (8, 13, 18, 23)])
    )


class ValidatedIds(list[str]):
    """Ids that have been looked at, as :func:`id_of` gives them: they are not looked at again."""


def id_of(value: object, what: str = "id") -> str:
    """The id that `value` is (text, uuid.UUID) or has (a model), in lower case with dashes.

    Raises:
        ValueError: it does not read as a UUID. `what` names it in the message.
        TypeError: it is neither text nor a UUID nor has an `id`.
    """
    if type(value) is str and _CANONICAL(value):
        return value
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str):
        inner = getattr(value, "id", None)
        if inner is None:
            raise TypeError(
                f"{what} must be a string, a uuid.UUID or a model with an id, not {type(value).__name__}"
            )
        return id_of(inner, what)
    try:
        return str(UUID(value))
    except ValueError:
        raise ValueError(
            f"{what} must be an id such as 12345678-1234-1234-1234-123456789abc, not {value[:80]!r}"
        ) from None


def ids_of(values: Iterable[object], what: str = "id") -> list[str]:
    """The ids of several; see :func:`id_of`."""
    if isinstance(values, (str, UUID)):
        raise TypeError(f"{what} must be a sequence of ids, not one: put it in a list")
    if isinstance(values, list) and (isinstance(values, ValidatedIds) or all_canonical_ids(values)):
        return cast("list[str]", values)
    return [
        value if type(value) is str and _CANONICAL(value) else id_of(value, what)
        for value in values
    ]


def plain_text(value: object, what: str) -> str:
    """`value` as text for a URL. Line breaks and NUL are refused: nothing the service names has them, and injections do.

    Raises:
        ValueError: it has one, or cannot be written as UTF-8.
        TypeError: it is not a string.
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {type(value).__name__}")
    if _UNSAFE(value):
        raise ValueError(f"{what} must not have a line break or NUL in it: {value[:80]!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} cannot be written as UTF-8: {value[:80]!r}") from None
    return str(value)


def base_path(version: Version) -> str:
    """The path before every operation's: ``/customvision/v3.3/training``. Before v3.0 the API's name has a capital."""
    api = "Training" if isinstance(version, ApiVersion) else "Prediction"
    return f"/customvision/{version.value}/{api if version in _CAPITAL else api.lower()}"


def build(
    row: Operation,
    version: Version,
    endpoint: str,
    path: Mapping[str, Any],
    query: Mapping[str, Any],
) -> tuple[str, str, dict[str, str]]:
    """The method, the URL (whole, percent-encoded) and the headers of a request, without the credential's.

    `path` and `query` are by their names on the wire; a query value of None is left out.

    Raises:
        UnsupportedOperation: the version lacks the operation, or a parameter that was given.
        LimitExceeded: a list or number is over its limit.
        ValueError: an id is none, a text has a line break, or a required parameter is missing.
    """
    row.check(version)
    pairs = []
    unknown = query.keys() - {param.name for param in row.query}
    if unknown:
        raise TypeError(f"{row.id} has no parameter {sorted(unknown)[0]!r}")
    for param in row.query:
        value = query.get(param.name)
        if value is None:
            if param.is_required(version):
                raise ValueError(f"{row.id} needs {param.name}")
            continue
        if param.since is not None and version < param.since:
            raise _lacks(row, param, version)
        pairs.append(f"{param.name}={_encoded(row, param, value)}")
    url = endpoint.rstrip("/") + base_path(version) + _path(row, version, path)
    headers = {"Accept": "application/octet-stream" if row.answer is bytes else "application/json"}
    return row.method, f"{url}?{'&'.join(pairs)}" if pairs else url, headers


def _lacks(row: Operation, param: Param, version: Version) -> UnsupportedOperation:
    first = param.since.value if param.since is not None else None
    return UnsupportedOperation(
        f"{row.id} has no {param.name} in {version}: the first version that has it is {first}",
        operation=row.id, version=version.value, first_version=first,
    )  # fmt: skip


def _path(row: Operation, version: Version, given: Mapping[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name not in given:
            raise TypeError(f"{row.id} needs {name}")
        if name != "publishedName":
            return id_of(given[name], name)
        text = plain_text(given[name], name)
        if text.strip(".") == "":  # "", "." and "..": a path would lose or climb a step
            raise ValueError(f"{name} must be the name of a published iteration, not {text!r}")
        return quote(text, safe="")

    return re.sub(r"\{(\w+)\}", fill, row.path_in(version))


def _encoded(row: Operation, param: Param, value: Any) -> str:
    what = f"{row.id}: {param.name}"
    match param.kind:
        case "ids":
            ids = ids_of(value, what)
            if not ids and param.required:
                raise ValueError(f"{what} is empty")
            _within(param, len(ids), what)
            return ",".join(ids)
        case "texts":
            if isinstance(value, str):
                raise TypeError(f"{what} must be a sequence of strings, not one: put it in a list")
            return ",".join(quote(plain_text(item, what), safe="") for item in value)
        case "id":
            return id_of(value, what)
        case "bool":
            return "true" if value else "false"
        case "int":
            _within(param, int(value), what)
            return str(int(value))
        case "float":
            return repr(float(value))
        case "text":
            return quote(plain_text(value, what), safe="")


def _within(param: Param, actual: int, what: str) -> None:
    if param.limit is not None and actual > param.limit.value:
        raise LimitExceeded(param.limit, actual, what)
