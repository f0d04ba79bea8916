"""What the engine works on: a unit is one item, ready to be sent; an outcome is what became of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

__all__ = ["AGAIN", "Again", "Done", "Failed", "Outcome", "Unit"]


class Unit(msgspec.Struct, eq=False, gc=False):
    """One item of the input, ready to be sent.

    `index` is its place in the input and `item` what was given; `load` is what `send` needs of it.
    Limits: `weight` counts towards the chunk's weight (with `extra` more in a chunk of several kinds), `labels` are its distinct
    labels, `key` must be unique in a chunk.
    Company: units of different `lane` never share a chunk; units of one `kind` are cheapest together.
    `held` is the memory it occupies until it settles. `attempts` counts the requests it was in; `in_doubt` says
    that one of these may have taken effect without our hearing of it.

    The collector does not look at units (there are many): nothing that a unit holds may lead back to it.
    """

    index: int
    item: Any
    load: Any
    weight: int = 0
    labels: frozenset[str] = frozenset()
    key: Hashable = None
    lane: Hashable = None
    kind: Hashable = None
    held: int = 0
    extra: int = 0
    attempts: int = 0
    in_doubt: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """It landed. `duplicate`: it had been there before."""

    status: str = "OK"
    value: Any = None
    duplicate: bool = False


class Failed(msgspec.Struct, frozen=True):
    """It did not land, and sending it again would not help. `reason` is for people; `cause` the error behind it."""

    reason: str
    status: str = ""
    cause: BaseException | None = None
    value: Any = None
    """What there is of it all the same: the image that landed without its tags."""


class Again(msgspec.Struct, frozen=True):
    """It has no outcome of its own yet. With `together` it goes again in the same company, else in one half as large.

    When it has stood alone and still gets no better answer, `failure` is its outcome.
    """

    failure: Failed
    together: bool = False


AGAIN = Again(Failed("the service's answer does not mention it"))
"""The answer was shorter than the question."""

Outcome = Done | Failed | Again
