"""Check keys and tokens, and show the account of v1.2."""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Any

from ._quota import Quota
from ._service_fault import ACCESS_DENIED, GatewayFault
from ._state import State

__all__ = ["Access"]


class Access:
    """The keys and tokens that a resource accepts."""

    def __init__(
        self, training_key: str | None, prediction_key: str | None, tokens: tuple[str, ...]
    ) -> None:
        self.training_key: str = training_key or secrets.token_hex(16)
        self.prediction_key: str = prediction_key or self.training_key
        self.tokens = tokens

    def check(self, headers: Mapping[str, str], api: str) -> None:
        """Raise the gateway's 401 if a request has neither a valid key nor a valid token."""
        if not self.is_authorized(headers, api):
            raise GatewayFault(401, ACCESS_DENIED, reason="Access Denied")

    def is_authorized(self, headers: Mapping[str, str], api: str) -> bool:
        """Return whether a request has the key of the API, or a valid token."""
        wanted = self.training_key if api == "Training" else self.prediction_key
        given = headers.get(f"{api}-Key") or headers.get("Ocp-Apim-Subscription-Key") or ""
        # aiohttp decodes bytes of a header that are not UTF-8 to surrogates.
        if hmac.compare_digest(given.encode("utf-8", "surrogateescape"), wanted.encode()):
            return True
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and token in self.tokens

    def account(self, quota: Quota, state: State) -> dict[str, Any]:
        """Return the Account of v1.2."""

        def used(total: int, count: int) -> dict[str, Any]:
            return {"total": min(total, 2**31 - 1), "used": count, "timeUntilReset": None}

        projects = state.rows("SELECT id FROM projects ORDER BY id")
        stored = state.scalar("SELECT count(*) FROM predictions")
        # The real service shows the keys here. An emulator need not.
        pair = {"primaryKey": None, "secondaryKey": None}
        return {
            "userName": "emulator",
            "email": None,
            "keys": {"trainingKeys": pair, "predictionKeys": pair},
            "quotas": {
                "tier": quota.tier,
                "projects": used(quota.projects, len(projects)),
                "predictions": used(1 << 62, stored),
                "perProject": [
                    self._per_project(quota, state, row["id"], used) for row in projects
                ],
            },
        }

    @staticmethod
    def _per_project(quota: Quota, state: State, key: bytes, used: Any) -> dict[str, Any]:
        from ._ids import guid_text

        counts = {
            table: state.scalar(f"SELECT count(*) FROM {table} WHERE project = ?", key)
            for table in ("iterations", "images", "tags")
        }
        shown = {table: used(getattr(quota, table), count) for table, count in counts.items()}
        return {"projectId": guid_text(key), **shown}
