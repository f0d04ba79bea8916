"""``customvision emulator``: serve the emulator until a signal stops it."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from ._exit import ExitCode
from ._options import OutputOptions, emulator_class
from ._output import Output

__all__ = ["emulator"]


async def emulator(
    *,
    host: Annotated[
        str,
        Parameter(help="Address to listen on; one that is not loopback opens it to the network."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        Parameter(
            validator=Number(gte=0, lte=65_535), help="Port to listen on; 0 takes a free one."
        ),
    ] = 0,
    training_key: Annotated[
        str | None, Parameter(help="Training key to accept; a random one, printed, if left out.")
    ] = None,
    prediction_key: Annotated[
        str | None, Parameter(help="Prediction key to accept; the training key if left out.")
    ] = None,
    data: Annotated[
        Path | None, Parameter(help="Folder to keep everything in; in memory if left out.")
    ] = None,
    tier: Annotated[
        Literal["F0", "S0"] | None, Parameter(help="Apply the limits and quotas of a tier.")
    ] = None,
    profile: Annotated[
        Path | None,
        Parameter(help="JSON file that sets switches, as `customvision doctor --probe` writes it."),
    ] = None,
    common: OutputOptions = OutputOptions(),  # noqa: B008  # frozen
    output: Annotated[Output, Parameter(parse=False)],
) -> int:
    """Serve an emulated Custom Vision on loopback until stopped.

    Prints its endpoint on one line when ready.
    """
    del common  # `output` has its settings already
    emulator_class()  # reports a missing Pillow
    from ..emulator.server import serve

    if training_key is None:
        training_key = secrets.token_hex(16)
        output.note(f"VISION_TRAINING_KEY={training_key}")

    def ready(endpoint: str) -> None:
        output.line(endpoint)
        output.event("ready", endpoint=endpoint)
        sys.stdout.flush()

    await serve(
        host, port, training_key, prediction_key, data, tier, profile=profile, announce=ready
    )
    return ExitCode.OK
