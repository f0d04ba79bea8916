"""The versions of the training and prediction APIs, oldest first."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

__all__ = ["ApiVersion", "PredictionVersion"]


class _Ordered(StrEnum):
    """An enum whose members compare in the order of their definition."""

    _age: int

    def __new__(cls, value: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member._age = len(cls.__members__)
        return member

    def __lt__(self, other: object) -> bool:
        return self._age < other._age if isinstance(other, type(self)) else NotImplemented

    def __le__(self, other: object) -> bool:
        return self._age <= other._age if isinstance(other, type(self)) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return self._age > other._age if isinstance(other, type(self)) else NotImplemented

    def __ge__(self, other: object) -> bool:
        return self._age >= other._age if isinstance(other, type(self)) else NotImplemented


class ApiVersion(_Ordered):
    """A version of the training API. The value is its name in URLs.

    Versions compare by age: ``ApiVersion.V2_0 < ApiVersion.V3_3``.
    """

    V1_2 = "v1.2"
    V2_0 = "v2.0"
    V2_1 = "v2.1"
    V2_2 = "v2.2"
    V3_0 = "v3.0"
    V3_1 = "v3.1"
    V3_2 = "v3.2"
    V3_3 = "v3.3"
    V3_4_PREVIEW = "v3.4-preview"


class PredictionVersion(_Ordered):
    """A version of the prediction API. The value is its name in URLs. Versions compare by age."""

    V1_1 = "v1.1"
    V2_0 = "v2.0"
    V3_0 = "v3.0"
    V3_1 = "v3.1"
