"""What is said of one operation of the REST API: a row of the table, and the questions asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .._versions import ApiVersion, PredictionVersion
from ..errors import UnsupportedOperation
from ..limits import Limit

__all__ = ["BodyKind", "Kind", "Operation", "Param", "Version"]

Version: TypeAlias = ApiVersion | PredictionVersion
Kind: TypeAlias = Literal["id", "ids", "text", "texts", "int", "float", "bool"]
BodyKind: TypeAlias = Literal["json", "image", "images"]


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter. Lists travel as one value with commas, in every version.

    `required_until` is the last version that requires it; `since` the first that has it. `limit` counts the items of
    a list, or bounds the number.
    """

    name: str
    kind: Kind
    required: bool = False
    limit: Limit | None = None
    since: Version | None = None
    required_until: Version | None = None

    def is_required(self, version: Version) -> bool:
        """Whether a call in this version must have it."""
        return self.required or (self.required_until is not None and version <= self.required_until)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` is relative to the base path of the API; its placeholders name ids, but `{publishedName}`.

    `answer` is the type the body of a success decodes to: None for an empty one, bytes for a file as it is. `body` is
    "json", "image" (one picture) or "images" (up to 64); `body_schema` its name in the reference, `body_since` the first
    version that has one. `repeatable`: it may be sent again after an answer was lost, since its effect is the same, or
    told apart, the second time.
    """

    id: str
    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    answer: Any
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
    """The last version of another path, and that path."""
    old_answer: tuple[Version, Any] | None = None
    """The last version of another answer, and its type."""

    @property
    def api(self) -> Literal["Training", "Prediction"]:
        """The API that has it."""
        return "Training" if isinstance(self.first, ApiVersion) else "Prediction"

    def in_version(self, version: Version) -> bool:
        """Whether the version has the operation."""
        return type(version) is type(self.first) and self.first <= version <= self.last

    def check(self, version: Version) -> None:
        """Raise UnsupportedOperation unless the version has the operation."""
        if self.in_version(version):
            return
        if type(version) is not type(self.first):
            why = f"it is of the {self.api} API"
        elif version < self.first:
            why = f"the first version that has it is {self.first}; make the client with api_version={self.first.value!r} or later"
        else:
            why = f"the last version that has it is {self.last}"
        raise UnsupportedOperation(
            f"{self.id} is not in {version}: {why}",
            operation=self.id,
            version=version.value,
            first_version=self.first.value,
        )

    def path_in(self, version: Version) -> str:
        """The path template of the version."""
        return (
            self.old_path[1]
            if self.old_path is not None and version <= self.old_path[0]
            else self.path
        )

    def answer_in(self, version: Version) -> Any:
        """The type of the answer in the version."""
        return (
            self.old_answer[1]
            if self.old_answer is not None and version <= self.old_answer[0]
            else self.answer
        )

    def statuses_in(self, version: Version) -> frozenset[int]:
        """The success statuses that the version documents."""
        return frozenset(
            status for status, since in self.statuses if since is None or version >= since
        )

    def has_body(self, version: Version) -> bool:
        """Whether a request in the version may have a body."""
        return self.body is not None and (self.body_since is None or version >= self.body_since)
