"""Read the issuer, subject and validity of an untrusted certificate.

Python decodes verified certificates only, so this module decodes these three fields itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

__all__ = ["Certificate", "read_certificate"]

_SEQUENCE, _SET, _OID, _UTC_TIME, _VERSION = 0x30, 0x31, 0x06, 0x17, 0xA0
_COMMON_NAME, _ORGANIZATION = b"\x55\x04\x03", b"\x55\x04\x0a"


@dataclass(frozen=True)
class Certificate:
    """The fields of a certificate that explain why it is not trusted."""

    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime


def read_certificate(der: bytes) -> Certificate:
    """Return the names and times of an X.509 certificate.

    Raises:
        ValueError: `der` is not a certificate.
    """
    try:
        (_, whole), *_ = _values(der)
        (_, signed), *_ = _values(whole)
        fields = [value for value in _values(signed) if value[0] != _VERSION]
        _, _, (_, issuer), (_, validity), (_, subject), *_ = fields
        not_before, not_after = (_time(tag, text) for tag, text in _values(validity))
        return Certificate(_name(subject), _name(issuer), not_before, not_after)
    except (IndexError, TypeError) as error:
        raise ValueError("not a certificate") from error


def _values(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the tag and the content of each DER value in `data`."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            digits = length & 0x7F
            length = int.from_bytes(data[at : at + digits], "big")
            at += digits
        if at + length > len(data):
            raise ValueError("a value of the certificate is cut off")
        yield tag, data[at : at + length]
        at += length


def _name(data: bytes) -> str:
    """Return the common name and the organization of a distinguished name."""
    parts: dict[bytes, str] = {}
    for _, group in _values(data):
        for _, pair in _values(group):
            (_, kind), (_, text) = _values(pair)
            parts.setdefault(kind, text.decode("utf-8", "replace"))
    named = [parts[kind] for kind in (_COMMON_NAME, _ORGANIZATION) if kind in parts]
    return ", ".join(dict.fromkeys(named)) or "(no name)"


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii").removesuffix("Z")
    if tag == _UTC_TIME:  # two-digit years from 50 to 99 are in the 20th century
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
