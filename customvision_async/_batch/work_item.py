"""Work items and their outcomes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

__all__ = ["UNANSWERED", "Done", "Failed", "Outcome", "Resend", "WorkItem"]


class WorkItem(msgspec.Struct, eq=False, gc=False):
    """One item of the input, ready to be sent.

    Untracked by the garbage collector, because there are many. Work items must therefore not be
    part of a reference cycle.

    Attributes:
        index: Position in the input.
        item: The item that the caller gave.
        payload: The data that `send` needs.
        size: Size in bytes or other units, for the size limit of a chunk.
        distinct_labels: Labels, for the label limit of a chunk, which counts each once.
        key: Value that only one work item of a chunk may have, or None.
        partition: Work items of different partitions never share a chunk.
        affinity: Work items of one affinity are cheapest in a chunk of their own.
        memory: Bytes of memory in use until the item settles.
        mixed_overhead: Additional size in a chunk of several affinities.
        attempts: Number of requests that carried the item.
        in_doubt: A request may have taken effect, but its response was lost.
        settled: The account has the outcome.
    """

    index: int
    item: Any
    payload: Any
    size: int = 0
    distinct_labels: frozenset[str] = frozenset()
    key: Hashable = None
    partition: Hashable = None
    affinity: Hashable = None
    memory: int = 0
    mixed_overhead: int = 0
    attempts: int = 0
    in_doubt: bool = False
    settled: bool = False


class Done(msgspec.Struct, frozen=True, gc=False):
    """The item succeeded. `duplicate` is true if the service had it before."""

    status: str = "OK"
    value: Any = None
    duplicate: bool = False


class Failed(msgspec.Struct, frozen=True):
    """The item failed, and another attempt would fail too.

    Attributes:
        reason: Message for the caller.
        status: Status from the service, or "".
        cause: The exception behind the failure, if there is one.
        value: A partial result, such as an image that was created without its tags, or None.
    """

    reason: str
    status: str = ""
    cause: BaseException | None = None
    value: Any = None


class Resend(msgspec.Struct, frozen=True):
    """The item has no outcome yet and is sent again.

    Attributes:
        failure: The outcome if sending the item alone gives no other.
        together: Send all such items of the chunk together again, instead of in halves.
    """

    failure: Failed
    together: bool = False


UNANSWERED = Resend(Failed("the response does not mention the item"))
"""The outcome of a work item that is missing from the response."""

Outcome = Done | Failed | Resend
