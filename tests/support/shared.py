"""Reference data that lies beside the project where it was developed: the service's OpenAPI
documents and recorded sessions.

Nothing of it is part of the project. Tests read it where it is present and skip, saying so, where
it is not.
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
