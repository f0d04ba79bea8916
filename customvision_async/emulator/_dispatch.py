"""Run the handler of an operation."""

from __future__ import annotations

import asyncio
import logging

from ._api_request import HANDLERS, SLOW_HANDLERS, ApiRequest, ApiResponse
from ._service_fault import GatewayFault, ServiceFault

__all__ = ["run_handler"]

_log = logging.getLogger(__name__)


async def run_handler(request: ApiRequest) -> ApiResponse:
    """Return the response of an operation. It takes effect completely or not at all."""
    try:
        if slow := SLOW_HANDLERS.get(request.operation):
            return await slow(request)
        with request.resource.state.transaction():
            return HANDLERS[request.operation](request)
    except ServiceFault as refusal:
        return ApiResponse(refusal.status, refusal.body)
    except (GatewayFault, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 - a bug here becomes a 500, as in the service
        _log.exception("the emulator failed in %s", request.operation)
        return ApiResponse(
            500, ServiceFault("ErrorUnknown", "The emulator failed. See its log.").body
        )
