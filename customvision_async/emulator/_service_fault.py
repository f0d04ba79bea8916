"""The errors of the service and of the gateway in front of it.

The service's body is ``{code, message}`` and the gateway's is ``{error: {code, message}}``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["ACCESS_DENIED", "NOT_FOUND", "TOO_LARGE", "GatewayFault", "ServiceFault"]

ACCESS_DENIED = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide "
    "a valid key for an active "
    "subscription and use a correct regional API endpoint for your resource."
)
NOT_FOUND = "Resource not found"
TOO_LARGE = "Operation timed out: the request body could not be read in time."

_STATUS = {
    "BadRequest": 400,
    "Forbidden": 403,
    "NotFound": 404,
    "Conflict": 409,
    "Error": 500,
}


class ServiceFault(Exception):
    """An error of the service. `code` is one of CustomVisionErrorCodes.

    The prefix of the code determines the status, unless one is given.
    """

    def __init__(self, code: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or next(
            (status for prefix, status in _STATUS.items() if code.startswith(prefix)), 400
        )

    @property
    def body(self) -> dict[str, Any]:
        """The body of the response."""
        return {"code": self.code, "message": self.message}


class GatewayFault(Exception):
    """An error of the gateway: wrong key, exceeded rate or unknown path."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        reason: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.reason = reason
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"code": str(self.status), "message": self.message}}
