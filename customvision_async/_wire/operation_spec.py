"""The description of one operation of the REST API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .._versions import ApiVersion, PredictionVersion
from ..errors import UnsupportedOperation
from ..limits import Limit

__all__ = ["BodyKind", "Kind", "OperationSpec", "Param", "Version", "require"]

Version: TypeAlias = ApiVersion | PredictionVersion
Kind: TypeAlias = Literal["id", "ids", "text", "texts", "int", "float", "bool"]
BodyKind: TypeAlias = Literal["json", "image", "images"]


def require(version: Version, first: Version, feature: str, operation: str = "") -> None:
    """Raise UnsupportedOperation if `version` is before `first`, which introduced `feature`."""
    if version < first:
        raise UnsupportedOperation(
            f"{feature} is not supported in {version}; the first version that has it is {first}",
            operation=operation,
            version=version.value,
            first_version=first.value,
        )


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. A list is sent as one value with commas, in every version.

    Attributes:
        name: Name on the wire.
        kind: Type of the value.
        required: Whether every version requires it.
        limit: Maximum number of items of a list, or maximum value of a number.
        since: First version that has it. None if all have it.
        required_until: Last version that requires it.
    """

    name: str
    kind: Kind
    required: bool = False
    limit: Limit | None = None
    since: Version | None = None
    required_until: Version | None = None

    def is_required(self, version: Version) -> bool:
        """Return whether the version requires the parameter."""
        return self.required or (self.required_until is not None and version <= self.required_until)


@dataclass(frozen=True, slots=True)
class OperationSpec:
    """One operation.

    Attributes:
        id: The operationId of the reference.
        method: HTTP method.
        path: Path below the base path of the API. Placeholders are ids, except `{publishedName}`.
        response: Type of the decoded body of a success. None for an empty body, bytes for a file.
        first, last: First and last version with the operation.
        query: Query parameters.
        body: "json", "image" (one image), "images" (up to 64 images), or None.
        body_schema: Name of the body's schema in the reference.
        body_since: First version in which the operation has a body. None if it always has.
        body_required: Whether a request must have a body.
        statuses: Success statuses, each with the first version that documents it.
        repeatable: Whether to send it again after a response was lost. It is true if a second
            request has no further effect, or if its response reports the effect.
        old_path: Last version with another path, and that path.
        old_response: Last version with another response, and its type.
    """

    id: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    response: Any
    first: Version
    last: Version
    query: tuple[Param, ...] = ()
    body: BodyKind | None = None
    body_schema: str = ""
    body_since: Version | None = None
    body_required: bool = True
    statuses: tuple[tuple[int, Version | None], ...] = ((200, None),)
    repeatable: bool = True
    old_path: tuple[Version, str] | None = None
    old_response: tuple[Version, Any] | None = None

    @property
    def api(self) -> Literal["Training", "Prediction"]:
        """The API of the operation."""
        return "Training" if isinstance(self.first, ApiVersion) else "Prediction"

    def in_version(self, version: Version) -> bool:
        """Return whether the version has the operation."""
        return type(version) is type(self.first) and self.first <= version <= self.last

    def check(self, version: Version) -> None:
        """Raise UnsupportedOperation unless the version has the operation."""
        if self.in_version(version):
            return
        if type(version) is not type(self.first):
            reason = f"it belongs to the {self.api} API"
        elif version < self.first:
            reason = (
                f"the first version that has it is {self.first};"
                f" create the client with api_version={self.first.value!r} or later"
            )
        else:
            reason = f"the last version that has it is {self.last}"
        raise UnsupportedOperation(
            f"{self.id} is not supported in {version}: {reason}",
            operation=self.id,
            version=version.value,
            first_version=self.first.value,
        )

    def path_in(self, version: Version) -> str:
        """Return the path template in the version."""
        return (
            self.old_path[1]
            if self.old_path is not None and version <= self.old_path[0]
            else self.path
        )

    def response_in(self, version: Version) -> Any:
        """Return the type of the response in the version."""
        return (
            self.old_response[1]
            if self.old_response is not None and version <= self.old_response[0]
            else self.response
        )

    def statuses_in(self, version: Version) -> frozenset[int]:
        """Return the success statuses that the version documents."""
        return frozenset(
            status for status, since in self.statuses if since is None or version >= since
        )

    def has_body(self, version: Version) -> bool:
        """Return whether a request in the version may have a body."""
        return self.body is not None and (self.body_since is None or version >= self.body_since)
