"""What can go wrong, as a tree::

    CustomVisionError                   anything this package raises about the service
     +- TransportError                  no usable answer
     |   +- ConnectError                nothing was sent: refused, no such host, TLS
     |   +- RequestTimeout              the time of a phase ran out
     |   +- ResponseLost                sent, and the answer did not come (whole)
     +- ServiceError                    the service answered with an error status
     |   +- BadRequestError             400
     |   +- AuthenticationError         401
     |   +- PermissionDeniedError       403
     |   |   +- DownloadLinkExpired             the address of a file is no longer valid
     |   +- NotFoundError               404
     |   +- ConflictError               409
     |   +- RateLimitError              429
     |   +- InternalServerError         5xx
     +- DecodeError                     an answer that cannot be read
     +- LimitExceeded        (also a ValueError)   refused here: the service would refuse it
     +- UnsupportedOperation                       the API version lacks it
     +- OperationFailed                 what was begun (a training, an export, an import) ended without success
     +- ItemError                       one item of a batch, and why
     +- BatchError           (also an ExceptionGroup)   a batch that did not land whole

No error holds a request header: the key cannot be in one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .limits import Limit

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "BatchError",
    "ConflictError",
    "ConnectError",
    "CustomVisionError",
    "DecodeError",
    "DownloadLinkExpired",
    "InternalServerError",
    "ItemError",
    "LimitExceeded",
    "NotFoundError",
    "OperationFailed",
    "PermissionDeniedError",
    "RateLimitError",
    "RequestTimeout",
    "ResponseLost",
    "ServiceError",
    "TransportError",
    "UnsupportedOperation",
]


class CustomVisionError(Exception):
    """The base of every error of this package. It can be copied and pickled, so it comes whole out of a process pool."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _remade, (type(self), self.args, self.__dict__)


def _remade(
    kind: type[CustomVisionError], args: tuple[Any, ...], fields: dict[str, Any]
) -> CustomVisionError:
    """The error again, without its ``__init__``: that takes other arguments than an exception keeps."""
    error: CustomVisionError = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class TransportError(CustomVisionError):
    """There is no usable answer to a request. `operation` names the REST operation."""

    def __init__(self, message: str, *, operation: str = "") -> None:
        super().__init__(f"{operation}: {message}" if operation else message)
        self.operation = operation


class ConnectError(TransportError):
    """The connection could not be made, so nothing was sent: sending again is always safe."""


class RequestTimeout(TransportError):
    """The time allowed for a phase ran out. `sent` tells whether the request may have taken effect."""

    def __init__(self, message: str, *, operation: str = "", sent: bool = True) -> None:
        super().__init__(message, operation=operation)
        self.sent = sent


class ResponseLost(TransportError):
    """The request went out, in part or whole, and its answer did not come whole: it may have taken effect."""


class ServiceError(CustomVisionError):
    """The service answered with an error.

    `status` is the HTTP status, `code` the service's own code (an open string such as "BadRequestTagNameNotUnique",
    empty where the answer has none), `message` the service's words, `request_id` what Microsoft's support asks for,
    `operation` the REST operation.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str = "",
        request_id: str = "",
        operation: str = "",
        advice: str = "",
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.operation = operation
        self.advice = advice
        super().__init__(message)

    def __str__(self) -> str:
        what = (
            f"{self.status} {self.code}".rstrip() if self.code != str(self.status) else self.code
        )  # the gateway's code is the status
        text = (
            f"{self.operation}: {what}: {self.message}"
            if self.operation
            else f"{what}: {self.message}"
        )
        if self.advice:
            text = f"{text.rstrip('. ')}. {self.advice}"
        return f"{text} (request id {self.request_id})" if self.request_id else text


class BadRequestError(ServiceError):
    """400: the service will not take the request as it is."""


class AuthenticationError(ServiceError):
    """401: the key or token is not accepted for this endpoint."""


class PermissionDeniedError(ServiceError):
    """403: known, but not allowed."""


class DownloadLinkExpired(PermissionDeniedError):
    """403 from where the service keeps its files: their addresses live for a day."""


class NotFoundError(ServiceError):
    """404: no such project, tag, image or iteration, or an endpoint that is not Custom Vision."""


class ConflictError(ServiceError):
    """409: at odds with what is there."""


class RateLimitError(ServiceError):
    """429, after all retries. `retry_after` is the wait the service asked for, in seconds, or None."""

    def __init__(self, message: str, *, retry_after: float | None = None, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class InternalServerError(ServiceError):
    """5xx, after all retries."""


class DecodeError(CustomVisionError):
    """An answer with a success status that cannot be read: HTML, cut short, or of another shape."""


class LimitExceeded(CustomVisionError, ValueError):
    """A limit of the service would be exceeded, so nothing was sent. `limit` is the row of limits.py."""

    def __init__(self, limit: Limit, actual: float, what: str = "") -> None:
        self.limit = limit
        self.actual = actual
        number = f"{actual:,}" if isinstance(actual, int) else f"{actual:,.1f}"
        super().__init__(
            f"{what + ': ' if what else ''}{number} is over the limit of {limit} ({limit.name})"
        )


class UnsupportedOperation(CustomVisionError):
    """The API version lacks the operation (or a parameter of it). `first_version` is the first that has it, or None."""

    def __init__(
        self, message: str, *, operation: str, version: str, first_version: str | None
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.version = version
        self.first_version = first_version


class OperationFailed(CustomVisionError):
    """Something that takes its time was begun, and the service ended it without success.

    `operation` names the REST operation that began it, `status` is the service's word for the end ("Failed"), `state` the model it
    came with (the Iteration, Export or Project).
    """

    def __init__(self, message: str, *, operation: str, status: str, state: object = None) -> None:
        super().__init__(f"{operation}: {message}")
        self.operation = operation
        self.status = status
        self.state = state


def called(item: object) -> str:
    """What a person calls an item: the path where it is to be found, the name that it was given, or "" for what has neither."""
    if isinstance(item, (str, os.PathLike)):
        return os.fsdecode(item)
    name, path = getattr(item, "name", None), getattr(item, "path", None)
    name = name if isinstance(name, str) else ""
    path = os.fsdecode(path) if isinstance(path, (str, os.PathLike)) else ""
    return (
        path if path.endswith(name) else name
    )  # a name that is no part of the path was chosen, and so is the better known


class ItemError(CustomVisionError):
    """One item of a batch that did not land. `index` is its place in the input, `item` what was given.

    Its text begins with the path or the name of the item, where it has one. `status` is the service's status of it where there is
    one ("ErrorImageFormat"); `__cause__` the error behind it where there is one.
    """

    def __init__(self, message: str, *, index: int, item: object, status: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.item = item
        self.status = status

    def __str__(self) -> str:
        text, who = super().__str__(), called(self.item)
        for name in (who, getattr(self.item, "name", None), os.path.basename(who)):
            if (
                name and isinstance(name, str) and text.startswith(f"{name}: ")
            ):  # as most do by themselves
                text = text.removeprefix(f"{name}: ")
                break
        return f"{who}: {text}" if who else text


class BatchError(CustomVisionError, ExceptionGroup[Exception]):
    """A batch of which at least one item failed. Its text names the first few, with why; `report` has the whole account.

    The group holds the first ten and the last ten item errors; `dropped` is how many lie between.
    """

    def __new__(cls, message: str, errors: Sequence[Exception], **_: Any) -> BatchError:
        return super().__new__(cls, message, errors)

    def __init__(
        self, message: str, errors: Sequence[Exception], *, report: Any = None, dropped: int = 0
    ) -> None:
        super().__init__(message, errors)
        self.report = report
        self.dropped = dropped

    def derive(self, excs: Sequence[Exception], /) -> BatchError:  # type: ignore[override]  # a subgroup of item errors only
        return BatchError(self.message, excs, report=self.report, dropped=self.dropped)
