"""Things that go wrong on request: which call they meet, and what they do to it."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict, Unpack, get_args

__all__ = ["Fault", "FaultKind", "Faults"]

FaultKind = Literal[
    "status",
    "reset",
    "reset_in_body",
    "lost_answer",
    "truncated_answer",
    "wrong_length",
    "slow_answer",
    "drip",
    "hang",
    "html",
    "garbage",
    "wrong_shape",
    "empty",
    "redirect",
    "gzip_bomb",
    "header_flood",
    "edit",
]
_AFTER_EFFECT = frozenset(
    (
        "lost_answer",
        "truncated_answer",
        "wrong_length",
        "slow_answer",
        "drip",
        "header_flood",
        "edit",
    )
)


@dataclass(eq=False)
class Fault:
    """One thing that goes wrong. `hits` counts how often it did.

    ``kind`` is what happens:

    * ``"status"``: an error answer of `status`, with `body` (a default in the service's shape),
        `headers`, `retry_after`;
    * ``"reset"``: the connection is reset when the head of the request is there;
        ``"reset_in_body"``: half-way through its body;
    * ``"lost_answer"``: the operation takes effect, then the connection is reset;
    * ``"truncated_answer"``: half an answer, then the connection ends; ``"wrong_length"``: an
        answer whose Content-Length is half of it;
    * ``"slow_answer"``: the answer waits for `seconds`; ``"drip"``: its body comes a byte each
        `seconds`; ``"hang"``: there is none;
    * ``"html"``, ``"garbage"``, ``"wrong_shape"``, ``"empty"``: 200 with a page, with JSON cut off,
        with other JSON, with nothing;
    * ``"redirect"``: 307 (or `status`) to `location`;
    * ``"gzip_bomb"``: a small body that unpacks to `size` bytes; ``"header_flood"``: `size` headers
        more;
    * ``"edit"``: `edit` is given the answer's JSON (camelCase) and returns what is sent instead.

    The operation takes effect where `effect` says so; by default for those that concern the way of
    the answer.
    """

    kind: FaultKind
    operation: frozenset[str] | None = None
    after: int = 0
    times: int | None = 1
    probability: float = 1.0
    status: int = 503
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    retry_after: str | float | None = None
    seconds: float = 0.05
    location: str = ""
    size: int = 0
    edit: Callable[[Any], Any] | None = None
    effect: bool | None = None
    hits: int = 0

    @property
    def has_effect(self) -> bool:
        """Whether the operation is done before things go wrong."""
        return self.kind in _AFTER_EFFECT if self.effect is None else self.effect

    def meets(self, operation: str, dice: random.Random) -> bool:
        """Whether this call is one it strikes; counts down what comes before."""
        if self.operation is not None and operation not in self.operation:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        return self.probability >= 1.0 or dice.random() < self.probability


class FaultDetails(TypedDict, total=False):
    """The fields of a :class:`Fault` that only some kinds look at."""

    status: int
    body: bytes | None
    headers: dict[str, str]
    retry_after: str | float | None
    seconds: float
    location: str
    size: int
    edit: Callable[[Any], Any] | None
    effect: bool | None


class Faults:
    """The faults of an emulator, in the order in which they were added; a call meets at most one."""

    def __init__(self, seed: str | None) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - dice
        self._faults: list[Fault] = []

    def add(
        self,
        kind: FaultKind,
        *,
        operation: str | Collection[str] | None = None,
        after: int = 0,
        times: int | None = 1,
        probability: float = 1.0,
        **details: Unpack[FaultDetails],
    ) -> Fault:
        """Let something go wrong with the next calls.

        Args: kind: what happens; see :class:`Fault`, whose other fields are the `details`.
            operation: the operationId ("CreateImagesFromData"), "Blob" (images and exports), or
            several; None for any call. after: so many calls (of these operations) go well first.
            times: how often it strikes; None for ever. probability: the share of calls that it
            strikes, drawn from the emulator's seed.

        Returns:
            The fault, whose `hits` tells how often it struck.
        """
        if kind not in get_args(FaultKind):
            raise ValueError(
                f"there is no fault of the kind {kind!r}; there are {', '.join(get_args(FaultKind))}"
            )
        names = (
            None
            if operation is None
            else frozenset((operation,) if isinstance(operation, str) else operation)
        )
        fault = Fault(kind, names, after, times, probability, **details)
        self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take one fault away; it may have gone already."""
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Let all go well again."""
        self._faults.clear()

    def strike(self, operation: str) -> Fault | None:
        """The fault that a call meets, or None."""
        for fault in self._faults:
            if fault.meets(operation, self._dice):
                fault.hits += 1
                return fault
        return None
