"""Laws of the joiner: whatever order, quotes, gaps, strangers and repeats an answer has, each
image gets its own outcome.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from customvision_async import ImageFile, ImageUrl, Region, TrainingClient
from customvision_async._content import Blob
from customvision_async._transport.base import Request, Response

HEAD = b"\xff\xd8\xff"
PROJECT = str(UUID(int=1))


class Muddled:
    """A service that knows its images by content, and answers as the dice want for a while, then
    well (but never in order).
    """

    def __init__(self, seed: int, muddled: int, bad: set[int]) -> None:
        self.dice = random.Random(seed)
        self.muddled = muddled
        self.bad = bad
        self.stored: set[int] = set()
        self.requests = 0

    def names(self, request: Request) -> list[tuple[str, int]]:
        """The names sent, with the number of the image behind each."""
        assert request.content is not None
        found: list[tuple[str, int]] = []
        name = ""
        for piece in request.content.pieces:
            if isinstance(piece, Blob):
                assert isinstance(piece.data, bytes)
                found.append((name, int(piece.data[len(HEAD) :])))
            elif match := re.search(rb'filename="([^"]*)"|"name":"([^"]*)"', piece):
                name = (match[1] or match[2]).decode()
        if not found:
            urls = [
                entry["url"] for entry in json.loads(b"".join(request.content.pieces))["images"]
            ]
            found = [(url, int(url.rpartition("/")[2])) for url in urls]
        return found

    def result(self, name: str, number: int, quote: str) -> dict[str, Any]:
        """What became of one image."""
        if number in self.bad:
            return {
                "sourceUrl": f"{quote}{name}{quote}",
                "status": "ErrorImageFormat",
                "image": None,
            }
        status = "OKDuplicate" if number in self.stored else "OK"
        self.stored.add(number)
        return {
            "sourceUrl": f"{quote}{name}{quote}",
            "status": status,
            "image": {"id": str(UUID(int=1000 + number)), "created": "2026-01-01T00:00:00"},
        }

    async def send(
        self,
        request: Request,
        headers: Mapping[str, str],
        *,
        on_sent: Callable[[], None] | None = None,
    ) -> Response:
        """Answer."""
        del headers
        self.requests += 1
        if on_sent:
            on_sent()
        quote = '"' if "/images?" in request.url or request.url.endswith("/images") else ""
        if not request.operation.startswith("CreateImagesFrom"):
            return self.follow_up(request)
        results = [self.result(name, number, quote) for name, number in self.names(request)]
        if self.muddled > 0 and len(results) > 1:  # of an image alone there is nothing to mix up
            self.muddled -= 1
            results = self.muddle(results)
        self.dice.shuffle(results)
        return Response(
            207,
            {"content-type": "application/json"},
            json.dumps({"isBatchSuccessful": False, "images": results}).encode(),
        )

    def follow_up(self, request: Request) -> Response:
        """Tags and regions on images: all are there."""
        if request.method == "GET":
            return Response(200, {}, b"[]")
        assert request.content is not None
        body = json.loads(
            b"".join(piece for piece in request.content.pieces if isinstance(piece, bytes))
        )
        return Response(
            200,
            {},
            json.dumps(
                {"created": body.get("tags") or body["regions"], "duplicated": [], "exceeded": []}
            ).encode(),
        )

    def muddle(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave some out, say some twice (the same, or something else), and put in strangers."""
        kept = [result for result in results if self.dice.random() < 0.8]
        for result in results:
            if self.dice.random() < 0.2:
                lie = {**result, "status": "ErrorImageSize", "image": None}
                kept += [dict(result), result if self.dice.random() < 0.3 else lie]
        for _ in range(self.dice.randrange(3)):
            stranger = {"id": str(UUID(int=7)), "created": "2026-01-01T00:00:00"}
            kept.append(
                {
                    "sourceUrl": self.dice.choice([None, "", '"', "stranger", '"999"']),
                    "status": "OK",
                    "image": stranger,
                }
            )
        return kept

    async def aclose(self) -> None:
        """Nothing is open."""


@settings(max_examples=120, deadline=None)
@given(
    count=st.integers(2, 70),
    form=st.sampled_from(["data", "files", "urls"]),
    muddled=st.integers(0, 4),
    seed=st.integers(0, 2**32),
    bad=st.sets(st.integers(0, 69), max_size=5),
)
def test_each_image_gets_its_own_outcome(
    count: int, form: str, muddled: int, seed: int, bad: set[int]
) -> None:
    """Every result is of its own image, every good one is a success, every bad one fails;
    requests have a bound.
    """
    service = Muddled(seed, muddled, bad)
    box = Region(UUID(int=5), 0, 0, 1, 1)

    def item(number: int) -> Any:
        if form == "urls":
            return ImageUrl(f"http://127.0.0.1/{number}")
        return ImageFile(
            data=HEAD + b"%d" % number, name="same", regions=[box] if form == "files" else []
        )

    async def main() -> None:
        client = TrainingClient("http://127.0.0.1:9", "0" * 32, transport=service)
        async with (
            client,
            client.get_project_client(PROJECT).upload_images(map(item, range(count))) as upload,
        ):
            results = {result.index: result async for result in upload}
        assert sorted(results) == list(range(count))
        for number, result in results.items():
            assert result.ok == (number not in bad), result
            if result.ok:
                assert result.image is not None
                assert result.image.id == str(UUID(int=1000 + number))
            else:
                assert result.status == "ErrorImageFormat"

    asyncio.run(main())
    assert service.requests <= 2 + 2 * 70 * muddled + 20
