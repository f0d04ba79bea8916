"""Reference data beside the development checkout: the service's OpenAPI documents and recordings.

The data is not part of the project. Tests that need it are skipped with a reason if it is missing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared"

needs_specs = pytest.mark.skipif(
    not (SHARED / "specs").is_dir(),
    reason="the service's OpenAPI documents (../shared/specs) are not here",
)
needs_recordings = pytest.mark.skipif(
    not (SHARED / "recordings").is_dir(),
    reason="the recorded sessions of the service (../shared/recordings) are not here",
)
