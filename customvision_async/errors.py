"""The exception hierarchy::

    CustomVisionError                   base class
     +- TransportError                  no usable response
     |   +- ConnectError                nothing was sent: connection refused, unknown host, TLS
     |   +- RequestTimeout              a phase of the request timed out
     |   +- ResponseLost                sent, but no complete response arrived
     +- ServiceError                    the service returned an error status
     |   +- BadRequestError             400
     |   +- AuthenticationError         401
     |   +- PermissionDeniedError       403
     |   |   +- DownloadLinkExpired     the URL of a file is no longer valid
     |   +- NotFoundError               404
     |   +- ConflictError               409
     |   +- RateLimitError              429
     |   +- InternalServerError         5xx
     +- DecodeError                     a response that cannot be decoded
     +- LimitExceeded                   over a limit, nothing was sent (also a ValueError)
     +- UnsupportedOperation            the API version does not support it
     +- OperationFailed                 a training, export or import ended without success
     +- ItemError                       one failed item of a batch
     +- BatchError                      a batch with failed items (also an ExceptionGroup)

Errors never hold request headers, so they cannot leak the key.
"""

from __future__ import annotations

import os
from asyncio import CancelledError
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, Required, TypedDict, TypeVar, Unpack

if TYPE_CHECKING:
    from ._batch.report import BatchReport
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
    """The base class of all errors of this package.

    Errors can be copied and pickled, so they pass through a process pool unchanged.
    """

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(
    kind: type[CustomVisionError], args: tuple[Any, ...], fields: dict[str, Any]
) -> CustomVisionError:
    """Rebuild a pickled error. Skip ``__init__``, whose parameters differ from `args`."""
    error: CustomVisionError = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


class TransportError(CustomVisionError):
    """A request got no usable response. `operation` names the REST operation."""

    def __init__(self, message: str, *, operation: str = "") -> None:
        super().__init__(f"{operation}: {message}" if operation else message)
        self.operation = operation


class ConnectError(TransportError):
    """The connection failed before anything was sent. Retrying is always safe."""


class RequestTimeout(TransportError):
    """A phase of the request timed out.

    `sent` is False if the request cannot have taken effect.
    """

    def __init__(self, message: str, *, operation: str = "", sent: bool = True) -> None:
        super().__init__(message, operation=operation)
        self.sent = sent


class ResponseLost(TransportError):
    """The request was sent, at least in part, but no complete response arrived.

    The request may have taken effect.
    """


class ServiceError(CustomVisionError):
    """The service returned an error status.

    Attributes:
        status: HTTP status.
        code: Error code of the service, such as "BadRequestTagNameNotUnique". Empty if the response
            has none. The service may add codes at any time.
        message: Error text of the service.
        request_id: Id to give to Microsoft support. Empty if the response has none.
        operation: Name of the REST operation.
        advice: How to fix the problem, if known.
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
        # The gateway sends the status as the code. A success does not explain a failure.
        status = "" if self.code == str(self.status) or self.status < 400 else str(self.status)
        words = (self.operation, f"{status} {self.code}".strip(), self.message)
        text = ": ".join(word for word in words if word)
        if self.advice:
            text = f"{text.rstrip('. ')}. {self.advice}"
        return f"{text} (request id {self.request_id})" if self.request_id else text


class _ServiceErrorFields(TypedDict, total=False):
    """Keyword arguments of :class:`ServiceError`."""

    status: Required[int]
    code: str
    request_id: str
    operation: str
    advice: str


class BadRequestError(ServiceError):
    """400: the request is invalid."""


class AuthenticationError(ServiceError):
    """401: the endpoint does not accept the key or token."""


class PermissionDeniedError(ServiceError):
    """403: the key or token lacks the permission."""


class DownloadLinkExpired(PermissionDeniedError):
    """403 from the blob store: the URL of a file has expired. URLs are valid for one day."""


class NotFoundError(ServiceError):
    """No such project, tag, image or iteration, or the endpoint is not of Custom Vision.

    `status` is 404, or 200 if the service returned a list without the object.
    """


class ConflictError(ServiceError):
    """409: the request conflicts with the current state of the resource."""


class RateLimitError(ServiceError):
    """429, after all retries.

    `retry_after` is the Retry-After of the response in seconds, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        **fields: Unpack[_ServiceErrorFields],
    ) -> None:
        super().__init__(message, **fields)
        self.retry_after = retry_after


class InternalServerError(ServiceError):
    """5xx, after all retries."""


class DecodeError(CustomVisionError):
    """A response cannot be decoded: it is HTML, truncated, too large or of another shape."""


class LimitExceeded(CustomVisionError, ValueError):
    """A request would exceed a limit of the service, so it was not sent.

    `limit` is the :class:`~customvision_async.limits.Limit`. `actual` is the value that exceeds it.
    """

    def __init__(self, limit: Limit, actual: float, what: str = "") -> None:
        self.limit = limit
        self.actual = actual
        number = f"{actual:,}" if isinstance(actual, int) else f"{actual:,.1f}"
        super().__init__(
            f"{what + ': ' if what else ''}{number} is over the limit of {limit} ({limit.name})"
        )


class UnsupportedOperation(CustomVisionError):
    """The API version does not support an operation, or one of its parameters.

    `first_version` is the first version that supports it, or None.
    """

    def __init__(
        self, message: str, *, operation: str, version: str, first_version: str | None
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.version = version
        self.first_version = first_version


class OperationFailed(CustomVisionError):
    """A long-running operation ended without success.

    Attributes:
        operation: Name of the REST operation that started it.
        status: Final status as reported by the service, such as "Failed".
        state: Last state: an Iteration, Export or Project.
    """

    def __init__(self, message: str, *, operation: str, status: str, state: object = None) -> None:
        super().__init__(f"{operation}: {message}")
        self.operation = operation
        self.status = status
        self.state = state


P = ParamSpec("P")
T = TypeVar("T")


def attempt(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T | Exception:
    """Return the result of `function`, or the error that it raises.

    Use it for all work on a single item. Items hold objects of the caller, which may raise
    anything. Such an error must fail only that item.
    """
    try:
        return function(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - see above
        return error
    except CancelledError as error:
        # Nothing is awaited here, so this is not a cancellation of the current task.
        return RuntimeError(f"it raised {type(error).__name__}")


def display_name(item: object) -> str:
    """Return the path of an item, else its name, else "". This never raises."""
    name = attempt(_display_name, item)
    return name if isinstance(name, str) else ""


def _display_name(item: object) -> str:
    if isinstance(item, (str, os.PathLike)):
        return str.__str__(os.fsdecode(item))
    name, path = _name(item), getattr(item, "path", None)
    path = str.__str__(os.fsdecode(path)) if isinstance(path, (str, os.PathLike)) else ""
    # A name that is not part of the path was chosen by the caller, and preferred.
    return path if path.endswith(name) else name


def _name(item: object) -> str:
    name = attempt(getattr, item, "name", None)
    return str.__str__(name) if isinstance(name, str) else ""


def words_of(error: BaseException) -> str:
    """Return the text of an error, with its type if the text alone may be unclear.

    This never raises, although the error may come from an object of the caller.
    """
    kind = type.__getattribute__(type(error), "__name__")
    text = attempt(str, error)
    if not isinstance(text, str):
        return f"{kind}, whose text cannot be read"
    text = str.__str__(text)
    is_descriptive = isinstance(error, (CustomVisionError, ValueError, TypeError, OSError))
    return text if is_descriptive and text else f"{kind}: {text}" if text else kind


def shown(value: object) -> str:
    """Return the repr of `value` truncated to 80 characters, or its type if its repr raises."""
    text = attempt(repr, value)
    if isinstance(text, str):
        return str.__str__(text)[:80]
    return f"a {type.__getattribute__(type(value), '__name__')}"


class ItemError(CustomVisionError):
    """One failed item of a batch.

    The text starts with the path or name of the item. `__cause__` is the underlying error, if any.

    Attributes:
        index: Position of the item in the input, from 0.
        item: The item that the caller gave.
        status: Status that the service reported for the item, such as "ErrorImageFormat", or "".
    """

    def __init__(self, message: str, *, index: int, item: object, status: str = "") -> None:
        super().__init__(message)
        self.index = index
        self.item = item
        self.status = status

    def __str__(self) -> str:
        text, full_name = super().__str__(), display_name(self.item)
        # Most texts start with the name of the item. Do not repeat it.
        for name in (full_name, _name(self.item), os.path.basename(full_name)):
            if name and text.startswith(f"{name}: "):
                text = text.removeprefix(f"{name}: ")
                break
        return f"{full_name}: {text}" if full_name else text


class BatchError(CustomVisionError, ExceptionGroup[Exception]):
    """A batch in which at least one item failed.

    The text names the first few failed items with their causes.

    Attributes:
        exceptions: The first ten and the last ten item errors.
        dropped: Number of item errors left out between them.
        report: The :class:`BatchReport` with every failed item.
    """

    def __new__(cls, message: str, errors: Sequence[Exception], **_: object) -> BatchError:
        return super().__new__(cls, message, errors)

    def __init__(
        self,
        message: str,
        errors: Sequence[Exception],
        *,
        report: BatchReport,
        dropped: int = 0,
    ) -> None:
        super().__init__(message, errors)
        self.report = report
        self.dropped = dropped

    # The base class allows groups of any BaseException. This one holds item errors only.
    def derive(self, excs: Sequence[Exception], /) -> BatchError:  # type: ignore[override]
        return BatchError(self.message, excs, report=self.report, dropped=self.dropped)
