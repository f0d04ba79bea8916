"""What one seed stands for: a project, things to upload with all that can be the matter with them, and the habits of the service."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Literal

from customvision_async import ApiVersion, Concurrency, ImageFile, ImageUrl, Region
from customvision_async.models import ImageFromPrediction, SkippedItem
from tests.support.fake_service import BASE, Box, Habits, Service
from tests.support.faults import Faults

__all__ = ["Given", "Scenario", "SourceError", "picture"]

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
Mode = Literal["await", "watch", "slow", "leave"]


class SourceError(Exception):
    """The source's own."""


def picture(name: str, size: int = 0) -> bytes:
    """A picture as far as its first bytes tell; another name gives another content."""
    return b"GIF89a" + struct.pack("<HH", 8, 8) + name.encode() + b"." * size


@dataclass(slots=True)
class Given:
    """One item of the upload: what it is, and what the project is to have of it."""

    item: Any
    content: bytes | None
    """None: it can never land."""
    tags: frozenset[str] = frozenset()
    regions: frozenset[Box] = frozenset()
    metadata: dict[str, str] = field(default_factory=dict)
    skipped: bool = False


class Scenario:
    """Drawn from the seed, and from nothing else."""

    def __init__(self, seed: int, *, most_items: int = 40) -> None:
        self.seed = seed
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
        self.mode: Mode = dice.choice(("await", "watch", "watch", "watch", "slow", "leave"))
        self.names = [f"tag{n}" for n in range(28)]
        for name in self.names:
            self.service.add_tag(name)
        self.create_missing = dice.random() < 0.2
        self.missing = ["new1", "new2"] if self.create_missing else []
        self.common = tuple(dice.sample(self.names[:6], dice.choice((0, 0, 0, 1, 2))))
        self.before = [picture(f"before {n}") for n in range(6)]
        for content in self.before:
            self.service.add_image(content, [self.id_of("tag0")], at=BASE - timedelta(hours=1))
        self.sets = [tuple(dice.sample(self.names, dice.choice((0, 1, 1, 2, 3)))) for _ in range(4)]
        self.breaks_at = dice.randrange(1, most_items) if dice.random() < 0.06 else None
        self.given = [
            self._given(n)
            for n in range(dice.choice((0, 1, 5, most_items // 2, most_items, most_items)))
        ]

    def id_of(self, name: str) -> str:
        """The id of a tag (a promise of one, for those the run has to make)."""
        return self.service.tags.get(name, name)

    # --- items

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
        content = picture(f"{self.seed} {number}", dice.randrange(300))
        if roll > 0.86 and number:
            content = dice.choice(self.before)
        elif roll > 0.80 and number:
            content = picture(f"{self.seed} twin {dice.randrange(3)}")
        bad = 0.10 < roll < 0.14
        if bad:
            content = picture(f"BAD {self.seed} {number}")
        if 0.14 < roll < 0.16:
            content = picture(f"changed {self.seed} {number}")
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
        key = f"https://pictures.example/{number}.gif" if roll < 0.9 else self.service.new_id()
        self.service.pictures[key] = content
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
                return Given(SkippedItem(f"{number}.txt", "not a picture"), None, skipped=True)
            case 1:
                return Given(b"no picture at all", None)
            case 2:
                return Given(ImageFile(data=b""), None)
            case 3:
                return Given(
                    ImageFile(
                        data=picture(f"{number}"),
                        tags=["no such tag" if not self.create_missing else "\r\n"],
                    ),
                    None,
                )
            case 4:
                return Given(
                    ImageFile(
                        data=picture(f"{number}"), regions=[Region("tag1", 0.9, 0.9, 0.5, 0.5)]
                    ),
                    None,
                )
            case 5:
                return Given(ImageUrl(f"https://pictures.example/missing {number}"), None)
            case _:
                return Given(object(), None)

    # --- how they are given

    def source(self) -> Any:
        """The items, as one of the kinds of source there are."""
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
