"""How many items folders and a manifest will give, counted beside the upload so that the bar knows
its end. Opens no image.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

__all__ = ["ItemCounter"]

_HEADER = b'{"failed_items_of"'
"""How the line of a failed-items file begins that names the project."""


class ItemCounter:
    """Counts in a thread of its own; `total` is None until it is through, and stays None if
    something cannot be read.
    """

    def __init__(
        self, paths: Iterable[str], manifest: str | os.PathLike[str] | None = None
    ) -> None:
        self.total: int | None = None
        self._paths = list(paths)
        self._manifest = manifest
        self._ended = False
        threading.Thread(target=self._count, name="customvision census", daemon=True).start()

    def end(self) -> None:
        """Stop counting: nobody looks any more."""
        self._ended = True

    def _count(self) -> None:
        total = 0
        if self._manifest is not None and not os.path.isfile(
            self._manifest
        ):  # a pipe can be read but once
            return
        waiting = [path for path in self._paths if os.path.isdir(path)]
        total += len(self._paths) - len(waiting)
        try:
            while waiting:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        if self._ended:
                            return
                        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                            waiting.append(entry.path)
                        else:
                            total += 1
            if self._manifest is not None:
                with open(self._manifest, "rb") as lines:
                    total += sum(
                        bool(line.strip()) and not line.startswith(_HEADER) for line in lines
                    )
        except OSError:
            return
        self.total = total
