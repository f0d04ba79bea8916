"""The scenario of one seed: a project, items to upload, and the habits of the service."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, Literal

from customvision_async import ApiVersion, Concurrency, ImageFile, ImageUrl, Region, images_in
from customvision_async.models import ImageFromPrediction, SkippedItem
from tests.campaign.folder import FILES, FOLDER_ERROR, REOPEN_ERROR
from tests.support.fake_service import BASE, Box, Habits, Service
from tests.support.faults import Faults
from tests.support.rubbish import BAD_IDS, BAD_IMAGES, ERRORS

__all__ = ["ITEM_RAISES", "Given", "Scenario", "SourceError", "gif"]

ITEM_RAISES = "item_raises"
"""The kind of fault: an item that raises, or is not an image."""

FOR_EVER = (
    "unauthorized",
    "forbidden",
    "project_gone",
    "connect",
    "status",
    "throttled",
    "lost_answer",
    "html_without_effect",
)
BAD_SHARE = 0.03
"""Share of the items that raise."""
FOLDER_SHARE = 0.05
"""Share of the uploads that are of a folder."""
Mode = Literal["await", "watch", "slow", "leave", "wait_for", "timeout"]


class SourceError(Exception):
    """An error of the source."""


def gif(name: str, size: int = 0) -> bytes:
    """Return the start of a GIF file, with `size` more bytes. The content depends on the name."""
    return b"GIF89a" + struct.pack("<HH", 8, 8) + name.encode() + b"." * size


@dataclass(slots=True)
class Given:
    """One item of the upload, and the image that the project must have of it.

    `content` is None if it can never succeed.
    """

    item: Any
    content: bytes | None
    tags: frozenset[str] = frozenset()
    regions: frozenset[Box] = frozenset()
    metadata: dict[str, str] = field(default_factory=dict)
    skipped: bool = False


class Scenario:
    """All choices of a seed. They depend on the seed only."""

    def __init__(self, seed: int, *, max_items: int = 40) -> None:
        self.seed = seed
        self.folder: Path | None = None
        dice = self.dice = Random(f"scenario {seed}")
        self.faults = Faults(
            Random(f"faults {seed}"), rate=dice.choice((0.0, 0.05, 0.15, 0.15, 0.3, 0.3, 0.5))
        )
        if dice.random() < 0.12:
            self.faults.for_ever = dice.randrange(1, 30), dice.choice(FOR_EVER)
        self.version = dice.choice(
            (
                *(ApiVersion.V3_3,) * 5,
                ApiVersion.V3_4_PREVIEW,
                ApiVersion.V3_0,
                ApiVersion.V2_0,
                ApiVersion.V2_2,
            )
        )
        self.habits = Habits(
            deduplicate=dice.random() < 0.7,
            duplicate_has_image=dice.random() < 0.7,
            duplicate_merges_tags=dice.random() < 0.3,
            multi_status=dice.random() < 0.5 and self.version >= ApiVersion.V3_3,
            shuffle_results=dice.random() < 0.8,
            quoted_file_names=dice.random() < 0.7,
            spoiled_batches=dice.random() < 0.3,
            strict_ids=dice.random() < 0.3,
            calls_per_second=dice.choice((None, None, None, 2.0, 10.0)),
        )
        self.service = Service(
            Random(f"service {seed}"), habits=self.habits, faults=self.faults, version=self.version
        )
        self.concurrency = Concurrency(
            max_chunk_bytes=dice.choice((1500, 3000, 6000, 16_000_000)),
            max_requests=dice.choice((1, 3, 16, 64)),
            max_uploads=dice.choice((1, 4)),
        )
        self.mode: Mode = dice.choice(
            ("await", "watch", "watch", "slow", "leave", "wait_for", "timeout")
        )
        self.names = [f"tag{n}" for n in range(28)]
        for name in self.names:
            self.service.add_tag(name)
        self.create_missing = dice.random() < 0.2
        self.missing = ["new1", "new2"] if self.create_missing else []
        self.common = tuple(dice.sample(self.names[:6], dice.choice((0, 0, 0, 1, 2))))
        self.before = [gif(f"before {n}") for n in range(6)]
        for content in self.before:
            self.service.add_image(content, [self.id_of("tag0")], at=BASE - timedelta(hours=1))
        self.sets = [tuple(dice.sample(self.names, dice.choice((0, 1, 1, 2, 3)))) for _ in range(4)]
        self.breaks_at = dice.randrange(1, max_items) if dice.random() < 0.06 else None
        self.bad_dice = Random(f"bad items {seed}")
        self.error = self.bad_dice.choice(ERRORS)
        """The exception of the items that raise."""
        self.given = [
            self._or_bad(self._given(n))
            for n in range(dice.choice((0, 1, 5, max_items // 2, max_items, max_items)))
        ]

        self.folder_dice = Random(f"folder {seed}")
        self.uploads_folder = self.folder_dice.random() < FOLDER_SHARE

    def id_of(self, name: str) -> str:
        """Return the id of a tag, or the name of one that the run has to create."""
        return self.service.tags.get(name, name)

    # --- items

    def _or_bad(self, given: Given) -> Given:
        """Return `given`, or now and then an item that raises."""
        if self.bad_dice.random() >= BAD_SHARE:
            return given
        self.faults.hits[ITEM_RAISES] += 1
        return Given(self.bad_dice.choice(BAD_IMAGES)(), None)

    def bad_places(self, count: int) -> dict[int, Any]:
        """Return items that raise, by their places among `count` items."""
        bad = [place for place in range(count) if self.bad_dice.random() < BAD_SHARE]
        self.faults.hits[ITEM_RAISES] += len(bad)
        return {place: self.bad_dice.choice(BAD_IDS)() for place in bad}

    def _given(self, number: int) -> Given:
        dice = self.dice
        roll = dice.random()
        if roll < 0.06:
            return self._hopeless(number)
        tags = list(
            dice.choice(self.sets)
            if dice.random() < 0.7
            else dice.sample(self.names, dice.randrange(4))
        )
        if roll < 0.09:
            tags = dice.sample(self.names, 26)
        if self.missing and roll > 0.9:
            tags.append(dice.choice(self.missing))
        boxes = (
            [self._region() for _ in range(dice.choice((1, 2, 5)))] if dice.random() < 0.2 else []
        )
        metadata = (
            {"of": str(dice.randrange(2))}
            if dice.random() < 0.08 and self.version >= ApiVersion.V3_3
            else None
        )
        content = gif(f"{self.seed} {number}", dice.randrange(300))
        if roll > 0.86 and number:
            content = dice.choice(self.before)
        elif roll > 0.80 and number:
            content = gif(f"{self.seed} twin {dice.randrange(3)}")
        bad = 0.10 < roll < 0.14
        if bad:
            content = gif(f"BAD {self.seed} {number}")
        if 0.14 < roll < 0.16:
            content = gif(f"changed {self.seed} {number}")
            self.service.unreadable.add(content)
            bad = True
        item = self._item(number, content, tags, boxes, metadata)
        if bad and not isinstance(item, ImageFile):
            bad = b"BAD" in content
        return Given(
            item,
            None if bad else content,
            frozenset(
                self.id_of(tag) for tag in (*self.common, *tags, *(str(box.tag) for box in boxes))
            ),
            frozenset(
                (self.id_of(str(box.tag)), box.left, box.top, box.width, box.height)
                for box in boxes
            ),
            metadata or {},
        )

    def _item(
        self,
        number: int,
        content: bytes,
        tags: list[str],
        boxes: list[Region],
        metadata: dict[str, str] | None,
    ) -> Any:
        roll = self.dice.random()
        if roll < 0.75:
            return ImageFile(
                data=content, name=f"{number % 7}.gif", tags=tags, regions=boxes, metadata=metadata
            )
        key = f"https://images.example/{number}.gif" if roll < 0.9 else self.service.new_id()
        self.service.remote_content[key] = content
        kind = ImageUrl if roll < 0.9 else ImageFromPrediction
        return kind(key, name=f"{number % 7}", tags=tags, regions=boxes, metadata=metadata)

    def _region(self) -> Region:
        dice = self.dice
        left, top = dice.randrange(32) / 64, dice.randrange(32) / 64
        return Region(
            dice.choice(self.names),
            left,
            top,
            dice.randrange(1, 32) / 64,
            dice.randrange(1, 32) / 64,
        )

    def _hopeless(self, number: int) -> Given:
        match self.dice.randrange(7):
            case 0:
                return Given(SkippedItem(f"{number}.txt", "not an image"), None, skipped=True)
            case 1:
                return Given(b"no image at all", None)
            case 2:
                return Given(ImageFile(data=b""), None)
            case 3:
                return Given(
                    ImageFile(
                        data=gif(f"{number}"),
                        tags=["no such tag" if not self.create_missing else "\r\n"],
                    ),
                    None,
                )
            case 4:
                return Given(
                    ImageFile(data=gif(f"{number}"), regions=[Region("tag1", 0.9, 0.9, 0.5, 0.5)]),
                    None,
                )
            case 5:
                return Given(ImageUrl(f"https://images.example/missing {number}"), None)
            case _:
                return Given(object(), None)

    # --- how they are given

    def fill(self, folder: Path) -> None:
        """Write the images to `folder`, with some files that fail, and upload that."""
        dice, self.folder, self.breaks_at = self.folder_dice, folder, None
        self.folder_tags = dice.choice(self.sets)
        kinds = ("image", "image", "image", "image", "text", *FILES)
        names = [f"{dice.choice(kinds)}.{n:02}" for n in range(len(self.given))]
        self.given = [self._file(folder / name) for name in sorted(names)]

    def _file(self, path: Path) -> Given:
        """Write one file, or make a folder with another file in it, and return its outcome."""
        dice, kind = self.folder_dice, path.name.partition(".")[0]
        content = gif(f"{self.seed} {path.name}", dice.choice((0, 300, 40_000)))
        if kind in FILES:
            self.faults.hits[kind] += 1
        match kind:
            case "text":
                path.write_text("no image")
                return Given(None, None, skipped=True)
            case _ if kind == FOLDER_ERROR:
                path.mkdir()
                (path / "image").write_bytes(content)
                return Given(None, None)
            case _ if kind == REOPEN_ERROR:
                content = gif(path.name, 40_000)  # not prefetched
        path.write_bytes(content)
        tags = frozenset(self.id_of(tag) for tag in (*self.common, *self.folder_tags))
        return Given(None, content if kind == "image" else None, tags)

    def source(self) -> Any:
        """Return the items as a list, an iterator, an async iterator or a folder."""
        if self.folder is not None:
            return images_in(self.folder, tags=self.folder_tags)
        items = [given.item for given in self.given]
        kind = self.dice.randrange(4)
        if self.breaks_at is None and kind == 0:
            return items
        return (
            self._slowly(items, self.dice.choice((0.0, 0.3, 1.5)))
            if kind > 1
            else self._one_by_one(items)
        )

    def _one_by_one(self, items: list[Any]) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == self.breaks_at:
                raise SourceError
            yield item

    async def _slowly(self, items: list[Any], pause: float) -> AsyncIterator[Any]:
        for number, item in enumerate(items):
            if number == self.breaks_at:
                raise SourceError
            if pause and self.dice.random() < 0.2:
                await asyncio.sleep(pause)
            yield item
