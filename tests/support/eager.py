"""A pytest plugin that starts tasks eagerly: ``pytest -p tests.support.eager`` (Python 3.12)."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

if sys.version_info >= (3, 12):
    _plain = asyncio.BaseEventLoop.__init__

    def _eager(loop: asyncio.BaseEventLoop, *args: Any, **options: Any) -> None:
        _plain(loop, *args, **options)
        loop.set_task_factory(asyncio.eager_task_factory)

    asyncio.BaseEventLoop.__init__ = _eager
else:
    raise RuntimeError("the eager task factory comes with Python 3.12")
