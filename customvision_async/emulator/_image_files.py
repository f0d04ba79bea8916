"""Inspect, shrink and re-encode image files. This is the only module that needs Pillow."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

from .. import limits

try:
    from PIL import Image as PillowImage
    from PIL import ImageOps
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.GifImagePlugin import GifImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
except ImportError as _missing:  # pragma: no cover - the tests have Pillow
    raise ImportError(
        "the emulator needs Pillow, which the extra 'emulator' of customvision_async installs: "
        "pip install pillow"
    ) from _missing

__all__ = [
    "InspectedImage",
    "InvalidImage",
    "content_type",
    "digest",
    "inspect",
    "reencode",
    "shrink",
    "signature",
]

Buffer = bytes | bytearray | memoryview

# Image.open would warn about large images that the service accepts (10,240 x 10,240).
_KINDS: tuple[tuple[bytes, Any, str], ...] = (
    (b"\xff\xd8\xff", JpegImageFile, "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", PngImageFile, "image/png"),
    (b"GIF8", GifImageFile, "image/gif"),
    (b"BM", BmpImageFile, "image/bmp"),
)


_ORIENTATION = 0x0112
_ROTATED = (5, 6, 7, 8)


class InvalidImage(Exception):
    """An image that the service rejects. `status` is a value of ImageCreateStatus."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class InspectedImage:
    """A valid image: its size in pixels and the digest of its bytes."""

    width: int
    height: int
    digest: bytes
    data: Buffer


def digest(data: Buffer) -> bytes:
    """Return a digest of 16 bytes that identifies a content."""
    return hashlib.blake2b(data, digest_size=16).digest()


def _kind(data: Buffer) -> tuple[Any, str] | None:
    head = bytes(data[:8])
    return next(((opener, mime) for magic, opener, mime in _KINDS if head.startswith(magic)), None)


def content_type(data: Buffer) -> str:
    """Return the media type of an image, read from its first bytes."""
    kind = _kind(data)
    return kind[1] if kind else "application/octet-stream"


def inspect(
    data: Buffer,
    *,
    check: str = "header",
    max_bytes: int = limits.IMAGE_BYTES.value,
    apply_orientation: bool = False,
) -> InspectedImage:
    """Inspect an image as the service does: format, number of bytes, sides and aspect ratio.

    Args:
        data: The image.
        check: "header" reads the sizes from the header, "decode" reads every pixel, "none" accepts
            everything.
        max_bytes: Maximum number of bytes.
        apply_orientation: Return the size after the EXIF orientation is applied, not as stored.

    Raises:
        InvalidImage: The image is rejected, with the status that the service gives.
    """
    if check == "none":
        return InspectedImage(1, 1, digest(data), data)
    if len(data) > max_bytes:
        raise InvalidImage("ErrorImageSize")
    kind = _kind(data)
    if kind is None:
        raise InvalidImage("ErrorImageFormat")
    try:
        image = kind[0](io.BytesIO(data))
        width, height = image.size
        if apply_orientation and image.getexif().get(_ORIENTATION, 1) in _ROTATED:
            width, height = height, width
        if check == "decode":
            image.load()
    except Exception:  # noqa: BLE001 - a parser may raise anything
        raise InvalidImage("ErrorImageFormat") from None
    longer, shorter = max(width, height), min(width, height)
    if shorter < 1:
        raise InvalidImage("ErrorImageFormat")
    if longer > limits.IMAGE_SIDE.value or longer > shorter * limits.IMAGE_ASPECT_RATIO.value:
        raise InvalidImage("ErrorImageDimensions")
    return InspectedImage(width, height, digest(data), data)


def _open(data: Buffer) -> Any:
    kind = _kind(data)
    if kind is None:
        raise InvalidImage("ErrorImageFormat")
    return kind[0](io.BytesIO(data))


def shrink(data: Buffer, side: int) -> bytes:
    """Return a JPEG of the image with no side longer than `side`. Slow: run it in a thread."""
    image = _open(data)
    if image.format == "JPEG":
        image.draft("RGB", (side, side))
    small = ImageOps.exif_transpose(image).convert("RGB")
    small.thumbnail((side, side), PillowImage.Resampling.BILINEAR)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80)
    return out.getvalue()


def reencode(data: Buffer) -> bytes:
    """Return the image encoded again: visually the same, with other bytes. Slow: run it in a
    thread.
    """
    out = io.BytesIO()
    _open(data).convert("RGB").save(out, "JPEG", quality=95)
    return out.getvalue()


def signature(data: Buffer) -> tuple[float, ...]:
    """Return a coarse description of the image: 4 x 4 colours, each component 0 to 1.

    The simulated models compare images by it. Slow: run it in a thread.
    """
    try:
        image = _open(data)
        if image.format == "JPEG":
            image.draft("RGB", (32, 32))
        small = image.convert("RGB").resize((4, 4), PillowImage.Resampling.BOX)
    except Exception:  # noqa: BLE001 - as above
        return tuple(byte / 255 for byte in digest(data) * 3)
    return tuple(byte / 255 for byte in small.tobytes())
