"""Azure Custom Vision in a process: for tests, demonstrations and work without an account.

Needs the extra: ``pip install 'customvision_async[emulator]'``. ``from customvision_async.emulator import Emulator``, the
command ``customvision emulator``, or the pytest fixtures ``emulator`` and ``training``.
"""

from __future__ import annotations

from ._faults import Fault, FaultKind, Faults
from ._seen import SeenRequest
from ._switches import Switches
from .server import Emulator, serve

__all__ = ["Emulator", "Fault", "FaultKind", "Faults", "SeenRequest", "Switches", "serve"]
