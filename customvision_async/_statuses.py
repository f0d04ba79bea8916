"""The meaning of each HTTP status of the service: the error, whether to retry, and advice.

Other modules do not decide by the number of a status, with three exceptions. The meaning of a 404
depends on the code in the body, a 401 refreshes a token, and a 429 slows requests down.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from .errors import (
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServiceError,
)

__all__ = ["BatchAction", "StatusMeaning", "meaning_of"]

BatchAction = Literal["divide", "down", "too_large", "final", "refused", "fatal"]
"""Names of :class:`~customvision_async._batch.settler.FailureAction`, in lower case."""


class StatusMeaning(NamedTuple):
    """The meaning of one HTTP status.

    Attributes:
        error: Class of the error.
        advice: Remedy for the user. Placeholders: `kind` is TRAINING or PREDICTION, `api` is the
            same in lower case, and `other` is the other of the two.
        batch: How a batch continues.
        retried: Another attempt may succeed.
        may_have_effect: The service may have carried out the request.
        overload: The service or the network is too slow for the current concurrency.
    """

    error: type[ServiceError]
    advice: str
    batch: BatchAction
    retried: bool = False
    may_have_effect: bool = False
    overload: bool = False


_TOO_LARGE = "The body is too large for the service. Send fewer or smaller images in a request."
_LONG_URL = "The URL is too long for the service. Give fewer ids in a request."
_OUTAGE = "The service failed. Try again later; its state is on https://status.azure.com."

_MEANINGS = {
    400: StatusMeaning(BadRequestError, "", "divide"),
    401: StatusMeaning(
        AuthenticationError,
        "Check the key and the endpoint (VISION_{kind}_KEY and VISION_{kind}_ENDPOINT). Both are on"
        ' the page "Keys and Endpoint" of the {api} resource in the Azure portal. The key of a'
        " {other} resource is not accepted. A resource that has reached its limit of projects is"
        " said to respond in this way too.",
        "fatal",
    ),
    403: StatusMeaning(
        PermissionDeniedError,
        "The key or identity is known but not allowed to do this. Check its role, and the network"
        " rules of the resource.",
        "fatal",
    ),
    404: StatusMeaning(
        NotFoundError,
        "Check the ids. The object may have been deleted, or belong to another resource.",
        "divide",
    ),
    408: StatusMeaning(
        ServiceError, _TOO_LARGE, "too_large", retried=True, may_have_effect=True, overload=True
    ),
    409: StatusMeaning(ConflictError, "", "divide"),
    413: StatusMeaning(ServiceError, _TOO_LARGE, "too_large"),
    414: StatusMeaning(ServiceError, _LONG_URL, "too_large"),
    429: StatusMeaning(
        RateLimitError,
        "The requests per second of the tier are used up. Wait, or move to a larger tier (F0 allows"
        " 2 to 10, S0 10).",
        "refused",
        retried=True,
    ),
    431: StatusMeaning(ServiceError, _LONG_URL, "too_large"),
    # The service may fail on a single image with a 500.
    500: StatusMeaning(InternalServerError, _OUTAGE, "down", retried=True, may_have_effect=True),
    **dict.fromkeys(
        (502, 503, 504),
        StatusMeaning(
            InternalServerError,
            _OUTAGE,
            "final",
            retried=True,
            may_have_effect=True,
            overload=True,
        ),
    ),
}
_OTHER = StatusMeaning(ServiceError, "", "divide")
_OTHER_5XX = StatusMeaning(InternalServerError, _OUTAGE, "final", may_have_effect=True)


def meaning_of(status: int) -> StatusMeaning:
    """Return the meaning of a status, including statuses that the service does not document."""
    return _MEANINGS.get(status) or (_OTHER_5XX if status >= 500 else _OTHER)
