"""The operations, by noun. Importing this package registers all of them."""

from __future__ import annotations

from . import images, projects, regions, tags, uploads

__all__ = ["images", "projects", "regions", "tags", "uploads"]
