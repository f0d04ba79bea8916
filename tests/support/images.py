"""Small, distinct images for tests."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image


def image_bytes(seed: int, *, size: tuple[int, int] = (64, 48), format: str = "JPEG") -> bytes:
    """Return a small image. Different seeds give different images."""
    chance = random.Random(seed)
    image = Image.frombytes("RGB", (8, 6), chance.randbytes(8 * 6 * 3)).resize(size)
    stream = io.BytesIO()
    image.save(stream, format)
    return stream.getvalue()


def fill(
    folder: Path, tags: tuple[str, ...], each: int, *, size: tuple[int, int] = (64, 48)
) -> list[Path]:
    """Create a folder per tag with `each` images, alternating JPEG and PNG."""
    paths = []
    for place, tag in enumerate(tags):
        (folder / tag).mkdir(parents=True)
        for number in range(each):
            kind, suffix = (("JPEG", "jpg"), ("PNG", "png"))[number % 2]
            path = folder / tag / f"{number:03}.{suffix}"
            path.write_bytes(image_bytes(1000 * place + number, size=size, format=kind))
            paths.append(path)
    return paths
