"""Real images for tests: small, and each different."""

from __future__ import annotations

import io
import random
from pathlib import Path

from PIL import Image


def image_bytes(seed: int, *, size: tuple[int, int] = (64, 48), format: str = "JPEG") -> bytes:
    """A small image; another seed gives another one."""
    chance = random.Random(seed)
    image = Image.frombytes("RGB", (8, 6), chance.randbytes(8 * 6 * 3)).resize(size)
    stream = io.BytesIO()
    image.save(stream, format)
    return stream.getvalue()


def fill(
    folder: Path, tags: tuple[str, ...], each: int, *, size: tuple[int, int] = (64, 48)
) -> list[Path]:
    """A folder for each tag with `each` images in it, JPEG and PNG in turn."""
    paths = []
    for place, tag in enumerate(tags):
        (folder / tag).mkdir(parents=True)
        for number in range(each):
            kind, suffix = (("JPEG", "jpg"), ("PNG", "png"))[number % 2]
            path = folder / tag / f"{number:03}.{suffix}"
            path.write_bytes(image_bytes(1000 * place + number, size=size, format=kind))
            paths.append(path)
    return paths
