"""Find the outcome of each image of a chunk in the response."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from urllib.parse import unquote

import anyio
import msgspec

from .._batch.work_item import UNANSWERED, Done, Failed, Outcome, Resend, WorkItem
from .._content import ContentError
from .._wire.advice import VAGUE_STATUSES, status_help
from ..models import Image, ImageCreateResult, ImageFile, ImageFromPrediction

__all__ = ["join_results", "unreadable"]

_CLOCK_TOLERANCE = timedelta(seconds=2)
"""Maximum difference between the times that the service reports for one moment."""


def join_results(
    work_items: Sequence[WorkItem],
    names: Sequence[str],
    results: Sequence[ImageCreateResult],
    date: datetime | None,
) -> list[Outcome]:
    """Return the outcome of each image.

    Results are found by name alone, also if there is only one: they come in any order, and the
    response may be to another request.

    Args:
        work_items: The images of the request.
        names: Their names in the request.
        results: The results in the response.
        date: Time of the response by the clock of the service, if known.
    """
    key = _key_function(work_items)
    by_name: dict[str, ImageCreateResult | None] = {}
    for result in results:
        name = key(result.source_url or "")
        if (other := by_name.setdefault(name, result)) is not result and other != result:
            # Two different results for one image. Send it again.
            by_name[name] = None
    found = (by_name.get(key(name)) for name in names)
    return [
        _outcome(work_item, result, date)
        for work_item, result in zip(work_items, found, strict=True)
    ]


def _key_function(work_items: Sequence[WorkItem]) -> Callable[[str], str]:
    """Return a function under which a name in the request equals the same name in the response."""
    kind = work_items[0].payload.kind
    if kind is ImageFile:
        return lambda name: name.strip('"')
    if kind is ImageFromPrediction:
        return str.lower
    # The service may return a URL in another spelling, which in a request with several images could
    # be the URL of another.
    return _plain_url if len(work_items) == 1 else str


def _plain_url(url: str) -> str:
    return unquote(url.partition("#")[0]).casefold()


def _outcome(
    work_item: WorkItem, result: ImageCreateResult | None, date: datetime | None
) -> Outcome:
    if result is None:
        # The service may have stored the image all the same.
        work_item.in_doubt = True
        return UNANSWERED
    status = str(result.status)
    if status == "OKDuplicate":
        return Done(status, result.image, not _is_own_retry(work_item, result.image, date))
    if status == "OK":
        if result.image is not None:
            return Done(status, result.image)
        work_item.in_doubt = True
        return Resend(Failed("the service reports success without an image", status))
    advice = status_help(status)
    reason = f"{status}: {advice.cause}" + (f": {advice.fix}" if advice.fix else "")
    failure = Failed(reason, status)
    return Resend(failure) if status in VAGUE_STATUSES else failure


def _is_own_retry(work_item: WorkItem, image: Image | None, date: datetime | None) -> bool:
    """Return whether a duplicate was created by an earlier request of this run.

    That is possible only if the response to an earlier request was lost. Then the image is ours if
    it was created after that request, by the clock of the service.
    """
    if not work_item.in_doubt:
        return False
    sent_at: float | None = work_item.payload.sent_at
    if image is None or image.created is None or date is None or sent_at is None:
        return True
    first_sent = date - timedelta(seconds=anyio.current_time() - sent_at)
    return image.created >= first_sent - _CLOCK_TOLERANCE


def unreadable(work_item: WorkItem, error: ContentError) -> Outcome:
    """Return the outcome of an image whose request broke off because a blob could not be read.

    The request had no effect. The image with that blob fails, and the others are sent again.
    """
    if work_item.payload.source is error.blob:
        # The report keeps the error, and must not keep the bytes.
        location = msgspec.structs.replace(error.blob, data=None, file=None)
        return Failed(error.reason, cause=ContentError(location, error.reason))
    return Resend(Failed("another image of its request could not be read"), together=True)
