"""The emulated resource that all handlers share.

It holds the state, the switches and the quota, and signs the addresses of blobs.
"""

# ruff: noqa: S608 - only names of this package and placeholders go into SQL; values are bound.

from __future__ import annotations

import hashlib
import hmac
import random
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote

from .. import limits
from . import _image_files
from ._domains import Domain, find_domain
from ._ids import guid_text, instant
from ._quota import Quota
from ._service_fault import ServiceFault
from ._state import State
from ._switches import Switches

__all__ = ["Resource"]

_BLOB = re.compile(
    r"https?://[^/?#]+/(?:i-[0-9a-f]{32}|predictionimages/[0-9a-f-]{36})/[^?#]+\?.*sig="
)
"""Matches the address of an image of this resource or another."""


class Resource:
    """One emulated resource."""

    def __init__(self, state: State, switches: Switches, quota: Quota, seed: str | None) -> None:
        self.state = state
        self.switches = switches
        self.quota = quota
        self.random = random.Random(seed)  # noqa: S311 - shuffling
        self.endpoint = ""
        self.fetch: Callable[[str, int], Awaitable[bytes]]
        self.call_later: Callable[[float, Callable[[], None]], None]
        self.start_task: Callable[[Coroutine[Any, Any, None]], None]
        self.models: dict[bytes, Any] = {}
        self.account: Callable[[], dict[str, Any]]
        self._signed: dict[str, tuple[str, str]] = {}

    # Lookups. They raise ServiceFault if the row does not exist.

    def project(self, key: bytes) -> Any:
        """Return the row of a project."""
        return self._row("projects", key, "NotFoundProject", "Project")

    def tag(self, project: bytes, key: bytes) -> Any:
        """Return the row of a tag of a project."""
        return self._row("tags", key, "NotFoundTag", "Tag", project)

    def iteration(self, project: bytes, key: bytes) -> Any:
        """Return the row of an iteration of a project that is trained or in training."""
        return self._row("iterations", key, "NotFoundIteration", "Iteration", project)

    def image(self, project: bytes, key: bytes) -> Any:
        """Return the row of an image of a project."""
        return self._row("images", key, "NotFoundImage", "Image", project)

    def _row(
        self, table: str, key: bytes, code: str, noun: str, project: bytes | None = None
    ) -> Any:
        row = self.state.row(f"SELECT * FROM {table} WHERE id = ?", key)
        if row is None or (project is not None and row["project"] != project):
            raise ServiceFault(code, f"{noun} {guid_text(key)} was not found.")
        return row

    def domain(self, id: str) -> Domain:
        """Return the domain with an id."""
        domain = find_domain(id)
        if domain is None or (domain.newer and not self.switches.newer_domains):
            raise ServiceFault("NotFoundDomain", f"Domain {id} was not found.")
        return domain

    # Images.

    def inspect(
        self, data: _image_files.Buffer, *, max_bytes: int = limits.IMAGE_BYTES.value
    ) -> _image_files.InspectedImage:
        """Inspect an image as thoroughly as the switches say.

        Raises:
            InvalidImage: The service would reject the image.
        """
        return _image_files.inspect(
            data,
            check=self.switches.check_images,
            max_bytes=max_bytes,
            apply_orientation=self.switches.turned_size,
        )

    async def fetch_image(self, url: str, max_bytes: int) -> bytes:
        """Fetch an image from a URL that the caller gave.

        Raises:
            InvalidImage: The URL yields no image.
        """
        foreign = _BLOB.match(url) and not url.startswith(f"{self.endpoint}/")
        if foreign and not self.switches.cross_resource_fetch:
            raise _image_files.InvalidImage("ErrorSource")
        return await self.fetch(url, max_bytes)

    def keep(self, image: _image_files.InspectedImage) -> None:
        """Store the bytes of an image once."""
        if self.switches.keep_images:
            self.state.db.execute(
                "INSERT OR IGNORE INTO contents VALUES (?, ?)", (image.digest, image.data)
            )

    def image_content(self, digest: bytes) -> bytes | None:
        """Return the bytes of an image, or None if they are not stored."""
        data: bytes | None = self.state.scalar("SELECT data FROM contents WHERE digest = ?", digest)
        return data

    def delete_orphans(self, digests: set[bytes]) -> None:
        """Delete the contents that no image and no prediction refers to."""
        self.state.db.executemany(
            "DELETE FROM contents WHERE digest = ?1 AND NOT EXISTS (SELECT 1 FROM images WHERE "
            "digest = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM predictions WHERE digest = ?1)",
            [(digest,) for digest in digests],
        )

    # Addresses. As in blob storage they have a container, a blob and a signature that expires.

    def address(self, container: str, blob: str) -> str:
        """Return the address of a blob.

        It is absolute and signed, or with the switch `vnet` a relative path.
        """
        before, after = self.frame(container)
        return f"{before}{blob}{after}"

    def frame(self, container: str) -> tuple[str, str]:
        """Return the parts of a blob's address before and after the name of the blob."""
        if self.switches.vnet:
            return f"{container}/", ""
        return f"{self.endpoint}/{container}/", f"?{self._token(container)}"

    def _token(self, container: str) -> str:
        lifetime = int(self.switches.address_seconds * 1e7)
        until = instant(self.state.clock.now() + lifetime, digits=0)
        known = self._signed.get(container)
        if known is None or known[0] != until:
            if len(self._signed) > 1000:
                self._signed.clear()
            sig = quote(self.sign(container, until), safe="")
            known = until, f"sv=2017-04-17&sr=b&sig={sig}&se={quote(until, safe='')}&sp=r"
            self._signed[container] = known
        return known[1]

    def sign(self, container: str, until: str) -> str:
        """Return the signature of a container that is valid until `until`."""
        return b64encode(
            hmac.digest(self.state.secret, f"{container}\n{until}".encode(), hashlib.sha256)
        ).decode()

    def may_read(self, container: str, query: dict[str, str]) -> bool:
        """Return whether the query of a URL has a valid signature that has not expired."""
        until = query.get("se", "")
        fresh = until > instant(self.state.clock.now(), digits=0)
        return fresh and hmac.compare_digest(
            query.get("sig", "").encode(), self.sign(container, until).encode()
        )
