"""The handlers of the operations by noun. Importing this package registers all of them."""

from __future__ import annotations

from . import (
    exports,
    images,
    iterations,
    performance,
    predictions,
    projects,
    regions,
    suggestions,
    tags,
    uploads,
)
from . import project_transfer as transfer

__all__ = [
    "exports",
    "images",
    "iterations",
    "performance",
    "predictions",
    "projects",
    "regions",
    "suggestions",
    "tags",
    "transfer",
    "uploads",
]
