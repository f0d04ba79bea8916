"""Azure Custom Vision in a process: for tests, demonstrations and work without an account.

Needs the extra ``emulator``. Used as ``from customvision_async.emulator import Emulator``, the
command ``customvision emulator``, or the pytest fixtures ``emulator``, ``training`` and
``prediction``.

It serves every operation of Training v1.2 to v3.4-preview and Prediction v1.1 to v3.1, as
recordings of the real service, its OpenAPI documents and public reports show it; :class:`Switches`
has what none of these settles. Known to differ:

* Models are simulated: scores, performance figures, suggestions and region proposals are made up
  (but the same each time, and high for images that were uploaded with a tag), and an exported
  model is a placeholder in a real zip.
* No recording holds an error answer of the service itself. Codes are those of its documents,
  messages are ours, but for the few that were publicly reported ("Not enough images for training",
  the 429's text, the gateway's 401).
* Image formats are told by content and sizes by the header; an image that is cut off further on
  is taken (unless ``check_images="decode"``). Resized copies are served where a side is over 1600
  pixels, which is a guess.
* Nothing is throttled but the number of calls; nothing takes time but what a switch says; stored
    predictions stay for ever.
* XML, form bodies and the ``Ocp-Apim-Trace`` family are not there. Anybody who reaches the port and
    knows the key is let in.
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
    """Import what is asked for: pytest imports this package in every run to get at the plugin, with
    or without Pillow.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES.get(name, "._faults"), __name__), name)
