"""Work items, which are items ready to be sent, and their outcomes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import msgspec

__all__ = ["UNANSWERED", "Done", "Failed", "Outcome", "Resend", "WorkItem"]


class WorkItem(msgspec.Struct, eq=False, gc=False):
    """One item of the input, ready to be sent.

    The garbage collector does not track work items, because there are many. They must therefore
    not be part of a reference cycle.

    Attributes:
        index: Position in the input.
        item: The item that the caller gave.
        payload: The data that `send` needs.
        size: Bytes, or other units, that count towards the size limit of a chunk.
        distinct_labels: Labels that count towards the label limit of a chunk, once each.
        key: A value that only one work item of a chunk may have, or None.
        partition: Work items of different partitions never share a chunk.
        affinity: Work items of one affinity are cheapest in a chunk of their own.
        memory: Bytes of memory that are in use until the item settles.
        mixed_overhead: Additional size in a chunk of several affinities.
        attempts: Number of requests that carried the item.
        in_doubt: A request may have taken effect without a response.
        settled: The outcome is in the account.
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
        value: The result as far as there is one, such as an image that was created without tags.
    """

    reason: str
    status: str = ""
    cause: BaseException | None = None
    value: Any = None


class Resend(msgspec.Struct, frozen=True):
    """The item has no outcome of its own yet, and is sent again.

    Attributes:
        failure: The outcome if the item was sent alone and the response is no better.
        together: Send all such items of the chunk together again. Otherwise send half of them.
    """

    failure: Failed
    together: bool = False


UNANSWERED = Resend(Failed("the response does not mention the item"))
"""The outcome of a work item that is missing from the response."""

Outcome = Done | Failed | Resend
