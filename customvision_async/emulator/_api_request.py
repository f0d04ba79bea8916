"""Requests and responses as the handlers of operations see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl

from .. import limits
from .._versions import ApiVersion
from ..limits import Limit
from ._bodies import match_any_case
from ._ids import guid_key
from ._image_files import Buffer
from ._json import read_json
from ._routes import Match
from ._service_fault import ServiceFault

if TYPE_CHECKING:
    from ._resource import Resource

__all__ = [
    "HANDLERS",
    "SLOW_HANDLERS",
    "ApiRequest",
    "ApiResponse",
    "handles",
    "handles_slowly",
    "unsupported",
]


@dataclass(slots=True)
class ApiResponse:
    """The response of a handler: `value` as JSON in the dialect of the version, `raw` bytes, or
    nothing.
    """

    status: int = 200
    value: Any = None
    raw: Buffer | None = None
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class ApiRequest:
    """A request to an operation."""

    resource: Resource
    match: Match
    raw_query: str
    content_type: str
    body: Buffer
    request_id: str

    @property
    def operation(self) -> str:
        """The operationId."""
        return self.match.route.operation

    @property
    def version(self) -> ApiVersion:
        """The version of the training API, or the one of the same age as that of the prediction
        API.
        """
        version = self.match.version
        return version if isinstance(version, ApiVersion) else _PREDICTION_AGE[version.value]

    @cached_property
    def query(self) -> dict[str, list[str]]:
        """The values of the query parameters by lower-case name, decoded and in their order."""
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(self.raw_query, keep_blank_values=True):
            values.setdefault(name.lower(), []).append(value)
        return values

    @cached_property
    def json(self) -> Any:
        """The body as JSON. A body of another media type is rejected with the service's message."""
        kind = self.content_type.partition(";")[0].strip().lower()
        if self.body and kind and kind.rpartition("/")[2].rpartition("+")[2] != "json":
            raise unsupported(kind)
        return read_json(self.body, self.resource.switches.json_reader)

    def text(self, name: str) -> str | None:
        """Return a query parameter, or None if it is absent. The switch `repeated_query` picks one
        of many.
        """
        values = self.query.get(name.lower())
        if not values:
            return None
        return values[0] if self.resource.switches.repeated_query == "all" else values[-1]

    def texts(self, name: str) -> list[str]:
        """Return a query parameter that is a list: comma-separated, repeated, or both."""
        values = self.query.get(name.lower(), [])
        if self.resource.switches.repeated_query == "last":
            values = values[-1:]
        return [part for value in values for part in value.split(",") if part.strip()]

    def choice(self, name: str, names: tuple[str, ...]) -> str:
        """Return a query parameter that is one of the names in any case. The default is the first
        name.
        """
        given = self.text(name) or names[0]
        found = match_any_case(given, names)
        if found is None:
            listed = f"{', '.join(names[:-1])} or {names[-1]}"
            raise ServiceFault(
                "BadRequest", f"The value '{given}' is not valid for {name}: {listed}."
            )
        return found

    def required(self, name: str) -> str:
        """Return a query parameter that must be present."""
        value = self.text(name)
        if not value:
            raise ServiceFault(
                "BadRequestRequiredParamIsNull", f"The parameter '{name}' is required."
            )
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a query parameter that is true or false."""
        value = self.text(name)
        if value is None or value == "":
            return default
        if value.lower() not in ("true", "false"):
            raise ServiceFault("BadRequest", f"The value '{value}' is not valid for {name}.")
        return value.lower() == "true"

    def integer(self, name: str, default: int, *, limit: Limit | None = None) -> int:
        """Return a query parameter that is an integer from 0 to a limit."""
        text = self.text(name)
        if text is None or text == "":
            return default
        try:
            value = int(text)
        except ValueError:
            raise ServiceFault(
                "BadRequest", f"The value '{text}' is not valid for {name}."
            ) from None
        highest = limit.value if limit else _INT_MAX
        if not 0 <= value <= highest:
            raise ServiceFault(
                "BadRequest", f"{name} must be between 0 and {highest}, not {text[:40]}."
            )
        return value

    def number(self, name: str) -> float | None:
        """Return a query parameter that is a decimal number, or None if it is absent."""
        text = self.text(name)
        try:
            return None if not text else float(text)
        except ValueError:
            raise ServiceFault(
                "BadRequest", f"The value '{text}' is not valid for {name}."
            ) from None

    def key(self, name: str) -> bytes:
        """Return an id in the path as a key."""
        return _key(self.match.path[name], name)

    def optional_key(self, name: str) -> bytes | None:
        """Return an id in the query as a key, or None if it is absent."""
        text = self.text(name)
        return _key(text, name) if text else None

    def keys(self, name: str, limit: Limit | None = None) -> list[bytes]:
        """Return the ids in a query parameter as keys."""
        found = [_key(part, name) for part in self.texts(name)]
        if limit is not None and len(found) > limit.value:
            raise ServiceFault(
                "BadRequestExceededBatchSize",
                f"{name}: {len(found)} ids; at most {limit.value} are allowed ({limit.name}).",
            )
        return found

    @property
    def take(self) -> int:
        """The number of images of a page."""
        return self.integer("take", 50, limit=limits.MAX_PAGE_SIZE)

    @property
    def skip(self) -> int:
        """The number of images before the page."""
        return self.integer("skip", 0)


_INT_MAX = 2**31 - 1

_PREDICTION_AGE = {
    "v1.1": ApiVersion.V1_2,
    "v2.0": ApiVersion.V2_0,
    "v3.0": ApiVersion.V3_0,
    "v3.1": ApiVersion.V3_3,
}


def unsupported(kind: str) -> ServiceFault:
    """Return the error for a body of an unsupported media type (azure-docs, issue 12513)."""
    kind = kind.encode("utf-8", "replace").decode()  # it may hold surrogates
    return ServiceFault(
        "ErrorUnknown",
        f"The request entity's media type '{kind}' is not supported for this resource.",
        status=415,
    )


def _key(text: str, name: str) -> bytes:
    try:
        return guid_key(text)
    except ValueError:
        raise ServiceFault(
            "BadRequestInvalidIds",
            f"The value '{text[:80]}' is not valid for {name}: it is not a GUID.",
        ) from None


Handler = Callable[[ApiRequest], ApiResponse]
SlowHandler = Callable[[ApiRequest], Awaitable[ApiResponse]]
H = TypeVar("H", bound=Handler)
S = TypeVar("S", bound=SlowHandler)
HANDLERS: dict[str, Handler] = {}
"""Handlers by operation. Each runs in a transaction."""
SLOW_HANDLERS: dict[str, SlowHandler] = {}
"""Handlers of operations that wait for something. They open transactions themselves."""


def handles(*operations: str) -> Callable[[H], H]:
    """Register a function as the handler of operations."""

    def register(handler: H) -> H:
        HANDLERS.update(dict.fromkeys(operations, handler))
        return handler

    return register


def handles_slowly(*operations: str) -> Callable[[S], S]:
    """Register a coroutine function as the handler of operations."""

    def register(handler: S) -> S:
        SLOW_HANDLERS.update(dict.fromkeys(operations, handler))
        return handler

    return register
