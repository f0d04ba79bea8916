"""Faults that a test injects: the requests they affect, and their effect."""

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
    """One injected fault. `hits` counts the requests it has affected.

    ``kind`` is one of:

    * ``"status"``: an error response with `status`, `body` (by default in the service's shape),
      `headers` and `retry_after`.
    * ``"reset"``: the connection is reset after the head of the request; ``"reset_in_body"``:
      half-way through its body.
    * ``"lost_answer"``: the operation takes effect, then the connection is reset.
    * ``"truncated_answer"``: the connection ends after half of the response; ``"wrong_length"``:
      Content-Length is half of the real length.
    * ``"slow_answer"``: the response is delayed by `seconds`; ``"drip"``: its body is sent one byte
      every `seconds`; ``"hang"``: there is no response.
    * ``"html"``, ``"garbage"``, ``"wrong_shape"``, ``"empty"``: 200 with an HTML page, with
      truncated JSON, with other JSON, or with nothing.
    * ``"redirect"``: 307 (or `status`, if it is a 3xx) to `location`.
    * ``"gzip_bomb"``: a small body that unpacks to `size` bytes; ``"header_flood"``: `size`
      additional headers.
    * ``"edit"``: `edit` receives the JSON of the response (camelCase) and returns the JSON to send.

    `effect` says whether the operation takes effect. By default it does for the kinds that only
    change how the response is delivered.
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
        """Whether the operation takes effect before the fault strikes."""
        return self.kind in _AFTER_EFFECT if self.effect is None else self.effect

    def meets(self, operation: str, dice: random.Random) -> bool:
        """Return whether the fault affects this request, and count down `after`."""
        if self.operation is not None and operation not in self.operation:
            return False
        if self.times is not None and self.hits >= self.times:
            return False
        if self.after > 0:
            self.after -= 1
            return False
        return self.probability >= 1.0 or dice.random() < self.probability


class FaultDetails(TypedDict, total=False):
    """The fields of a :class:`Fault` that only some kinds use."""

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
    """The faults of an emulator in the order in which they were added.

    At most one of them affects a request.
    """

    def __init__(self, seed: str | None) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - not a secret
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
        """Inject a fault into the next requests.

        Args:
            kind: The effect; see :class:`Fault`, whose other fields are the `details`.
            operation: The operationId ("CreateImagesFromData"), "Blob" (images and exports) or
                several of them. None affects any request.
            after: The number of matching requests to leave alone first.
            times: The maximum number of requests to affect. None has no limit.
            probability: The share of requests to affect, drawn from the emulator's seed.

        Returns:
            The fault. Its `hits` counts the requests it has affected.

        Raises:
            ValueError: There is no such kind.
        """
        if kind not in get_args(FaultKind):
            raise ValueError(
                f"there is no fault of the kind {kind!r}; use one of "
                f"{', '.join(get_args(FaultKind))}"
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
        """Remove one fault. A fault that is not there is ignored."""
        if fault in self._faults:
            self._faults.remove(fault)

    def clear(self) -> None:
        """Remove all faults."""
        self._faults.clear()

    def strike(self, operation: str) -> Fault | None:
        """Return the fault that affects a request and count it, or return None."""
        for fault in self._faults:
            if fault.meets(operation, self._dice):
                fault.hits += 1
                return fault
        return None
