"""Run the handler of an operation."""

from __future__ import annotations

import asyncio
import logging

from ._api_request import HANDLERS, SLOW_HANDLERS, Answer, Call
from ._service_fault import GatewayFault, ServiceFault

__all__ = ["answered"]

_log = logging.getLogger(__name__)


async def answered(call: Call) -> Answer:
    """What the operation answers; its effect is whole or none."""
    try:
        if slow := SLOW_HANDLERS.get(call.operation):
            return await slow(call)
        with call.world.state.transaction():
            return HANDLERS[call.operation](call)
    except ServiceFault as refusal:
        return Answer(refusal.status, refusal.body)
    except (GatewayFault, asyncio.CancelledError):
        raise
    except Exception:  # noqa: BLE001 - a failure of the emulator looks like one of the service
        _log.exception("the emulator failed in %s", call.operation)
        return Answer(
            500, ServiceFault("ErrorUnknown", "The emulator failed; its log says where.").body
        )
