"""An emulator of Azure Custom Vision for tests, demonstrations and work without an account.

Needs the extra ``emulator``. Use ``from customvision_async.emulator import Emulator``, the command
``customvision emulator``, or the pytest fixtures ``emulator``, ``training`` and ``prediction``.

The emulator serves every operation of Training v1.2 to v3.4-preview and Prediction v1.1 to v3.1. It
follows recordings of the real service, its OpenAPI documents and public reports. Where these leave
a question open, a field of :class:`Switches` selects the behaviour. Known differences:

* Models are simulated. Scores, performance figures, suggestions and region proposals are invented.
  They are the same each time, and high for images that were uploaded with a tag. An exported model
  is a placeholder in a real zip file.
* No recording contains an error response of the service itself. The codes are those of its
  documents. The messages are ours, except for the few that were publicly reported: "Not enough
  images for training", the text of the 429 and the gateway's 401.
* The format of an image is read from its content and its size from its header. An image that is
  truncated after the header is accepted, unless ``check_images="decode"``. Resized copies are
  served where a side exceeds 1600 pixels. That limit is a guess.
* Only the number of requests is throttled. Only the operations with a switch for their duration
  take time. Stored predictions never expire.
* XML, form bodies and the ``Ocp-Apim-Trace`` headers are not supported. Anyone who can reach the
  port and knows the key has access.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._faults import Fault, FaultKind, Faults
    from ._request_record import RequestRecord
    from ._switches import SWITCHES, Switches
    from .server import Emulator, serve

__all__ = [
    "SWITCHES",
    "Emulator",
    "Fault",
    "FaultKind",
    "Faults",
    "RequestRecord",
    "Switches",
    "serve",
]

_MODULES = {
    "Emulator": ".server",
    "serve": ".server",
    "RequestRecord": "._request_record",
    "SWITCHES": "._switches",
    "Switches": "._switches",
}


def __getattr__(name: str) -> Any:
    """Import the module of a name on first use.

    Pytest imports this package in every run to find the plugin, so the import must not need Pillow.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "._faults"), __name__), name)
