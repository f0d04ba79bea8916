"""Count the items of an upload in the background, as the total of the progress bar."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable

__all__ = ["ItemCounter"]

_HEADER = b'{"failed_items_of"'
"""Start of the first line of a failed-items file, which names the project."""


class ItemCounter:
    """Count the files of folders and the lines of a manifest in a thread.

    Images are not opened.

    Attributes:
        total: The number of items. None until the count is complete, or if a folder or the manifest
            cannot be read.
    """

    def __init__(
        self, paths: Iterable[str], manifest: str | os.PathLike[str] | None = None
    ) -> None:
        self.total: int | None = None
        self._paths = list(paths)
        self._manifest = manifest
        self._ended = False
        threading.Thread(target=self._count, name="customvision item counter", daemon=True).start()

    def end(self) -> None:
        """Stop the count."""
        self._ended = True

    def _count(self) -> None:
        total = 0
        if self._manifest is not None and not os.path.isfile(self._manifest):
            return  # a pipe can be read only once
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
