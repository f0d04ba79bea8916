"""An emulator on a real socket, called with plain aiohttp instead of a client of this package."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from customvision_async.emulator import Emulator


class Caller:
    """Send requests of one version. Paths are relative to the base path of the API."""

    def __init__(self, session: aiohttp.ClientSession, emulator: Emulator, version: str) -> None:
        self.session = session
        self.emulator = emulator
        self.version = version

    def at(self, version: str) -> Caller:
        """Return a caller of another version."""
        return Caller(self.session, self.emulator, version)

    async def raw(
        self, method: str, path: str, *, api: str = "training", **options: Any
    ) -> tuple[aiohttp.ClientResponse, bytes]:
        """Return the response and its body, whatever the status."""
        url = f"{self.emulator.endpoint}/customvision/{self.version}/{api}{path}"
        key = self.emulator.training_key if api == "training" else self.emulator.prediction_key
        headers = {f"{api.capitalize()}-Key": key} | options.pop("headers", {})
        async with self.session.request(
            method, URL(url, encoded=True), headers=headers, **options
        ) as response:
            return response, await response.read()

    async def __call__(self, method: str, path: str, expect: int = 200, **options: Any) -> Any:
        """Return the JSON of a response. Fail if it has another status than expected."""
        response, body = await self.raw(method, path, **options)
        assert response.status == expect, (method, path, response.status, body[:500])
        return json.loads(body) if body else None

    async def project(self, name: str = "Orchard", **query: str) -> str:
        """Create a project and return its path."""
        more = "".join(f"&{key}={quote(value)}" for key, value in query.items())
        return f"/projects/{(await self('POST', f'/projects?name={quote(name)}{more}'))['id']}"

    async def tag(self, project: str, name: str, **query: str) -> str:
        """Create a tag and return its id."""
        more = "".join(f"&{key}={quote(value)}" for key, value in query.items())
        return str((await self("POST", f"{project}/tags?name={quote(name)}{more}"))["id"])

    async def upload(
        self,
        project: str,
        images: dict[str, bytes],
        tags: list[str] | None = None,
        expect: int = 200,
    ) -> dict[str, Any]:
        """Upload images as one multipart body. Return the results by file name."""
        form = aiohttp.FormData()
        for name, data in images.items():
            form.add_field(
                name, io.BytesIO(data), filename=name, content_type="application/octet-stream"
            )
        summary = await self(
            "POST", f"{project}/images?tagIds={','.join(tags or [])}", expect, data=form
        )
        return {result["sourceUrl"].strip('"'): result for result in summary["images"]}

    async def refused(self, method: str, path: str, status: int = 400, **options: Any) -> str:
        """Return the error code of the response."""
        answer = await self(method, path, status, **options)
        assert answer["message"]
        return str(answer["code"])


@asynccontextmanager
async def calling(version: str = "v3.3", **options: Any) -> AsyncIterator[Caller]:
    """Yield an emulator with these options, and a caller of one version."""
    async with Emulator(**options) as emulator, aiohttp.ClientSession() as session:
        yield Caller(session, emulator, version)
