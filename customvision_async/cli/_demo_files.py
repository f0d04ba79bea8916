"""The files of the demo: distinct JPEG and PNG images of fruit, and some that are not images."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from ..limits import IMAGE_BYTES
from ..models import Region

__all__ = ["FRUITS", "DemoFiles", "draw_folder", "draw_scenes"]

FRUITS = {
    "apple": "#c62828",
    "banana": "#fdd835",
    "lime": "#7cb342",
    "orange": "#fb8c00",
    "plum": "#6a1b9a",
}
_SIZE = (480, 360)
_Box = tuple[int, int, int, int]


@dataclass
class DemoFiles:
    """The contents of the demo folder.

    Attributes:
        images: Number of distinct images.
        copies: Number of files with the content of another image.
        others: Number of files that are not images.
        bad: Paths of invalid images, with the reason.
    """

    images: int = 0
    copies: int = 0
    others: int = 0
    bad: dict[str, str] = field(default_factory=dict)


def draw_folder(folder: Path, count: int, seed: int = 1) -> DemoFiles:
    """Draw `count` images into one subfolder per fruit, and add invalid files."""
    chance = random.Random(seed)  # noqa: S311  # images, not secrets
    files = DemoFiles()
    for fruit in FRUITS:
        (folder / fruit).mkdir(parents=True)
    for number in range(count):
        fruit = list(FRUITS)[number % len(FRUITS)]
        canvas, _ = _scene([fruit], chance)
        _save(canvas, folder / fruit / f"{number:04}", png=number % 4 == 0)
        files.images += 1
    _add_invalid_files(folder, files)
    return files


def draw_scenes(folder: Path, count: int, seed: int = 2) -> list[tuple[Path, list[Region]]]:
    """Draw `count` images with two or three fruits each, and return their paths and regions."""
    chance = random.Random(seed)  # noqa: S311  # images, not secrets
    folder.mkdir(parents=True)
    scenes: list[tuple[Path, list[Region]]] = []
    width, height = _SIZE
    for number in range(count):
        canvas, boxes = _scene(chance.sample(list(FRUITS), chance.choice((2, 3))), chance)
        regions = [
            Region(
                fruit, left / width, top / height, (right - left) / width, (bottom - top) / height
            )
            for fruit, (left, top, right, bottom) in boxes
        ]
        scenes.append((_save(canvas, folder / f"scene-{number:03}", png=number % 2 == 0), regions))
    return scenes


def _scene(fruits: list[str], chance: random.Random) -> tuple[Image.Image, list[tuple[str, _Box]]]:
    width, height = _SIZE
    ground = tuple(chance.randrange(170, 240) for _ in range(3))
    canvas = Image.effect_noise((width // 8, height // 8), 40).resize(_SIZE).convert("RGB")
    canvas = Image.blend(canvas, Image.new("RGB", _SIZE, ground), 0.8)
    pen = ImageDraw.Draw(canvas)
    boxes: list[tuple[str, _Box]] = []
    lane = width // len(fruits)
    for place, fruit in enumerate(fruits):
        across = chance.randrange(lane // 3, min(int(lane * 0.8), height - 20))
        down = across if fruit != "banana" else across // 2
        left, top = place * lane + chance.randrange(lane - across), chance.randrange(height - down)
        box = (left, top, left + across, top + down)
        pen.ellipse(box, fill=FRUITS[fruit], outline="#3e2723", width=3)
        pen.ellipse(
            (left + across // 4, top + down // 5, left + across // 2, top + down // 3),
            fill="#ffffff",
        )
        boxes.append((fruit, box))
    return canvas, boxes


def _save(canvas: Image.Image, stem: Path, *, png: bool) -> Path:
    path = stem.with_suffix(".png" if png else ".jpg")
    canvas.save(path, compress_level=1, quality=88)  # for PNG and for JPEG
    return path


def _add_invalid_files(folder: Path, files: DemoFiles) -> None:
    """Add a copy, invalid images and other files, as real folders have them."""
    whole = (folder / "banana" / "0001.jpg").read_bytes()
    (folder / "apple" / "copy of a banana.jpg").write_bytes(whole)
    (folder / "apple" / "cut short.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "lime" / "too large.jpg").write_bytes(
        whole + b"\0" * (IMAGE_BYTES.value + 1 - len(whole))
    )
    (folder / "plum" / "empty.png").write_bytes(b"")
    (folder / "plum" / "not an image.jpg").write_text("I am a text file.\n", encoding="utf-8")
    (folder / "notes.txt").write_text("Bought on Tuesday.\n", encoding="utf-8")
    files.copies = 1
    files.others = 3
    files.bad = {"apple/cut short.jpg": "ends early", "lime/too large.jpg": "over 6 MB"}
