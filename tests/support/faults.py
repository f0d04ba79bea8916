"""Faults drawn at random from a seed: the request they hit and their effect.

The faults are those of the reliability research, as far as they occur above the socket. A broken
connection is an exception, as the aiohttp transport raises it. Wrong bytes are wrong bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any

from customvision_async._transport.base import Response
from customvision_async.errors import ConnectError, DecodeError, RequestTimeout, ResponseLost

__all__ = ["AFTER_EFFECT", "KINDS", "Faults", "Strike"]

_CREATES = frozenset(
    {
        "CreateImagesFromData",
        "CreateImagesFromFiles",
        "CreateImagesFromUrls",
        "CreateImagesFromPredictions",
    }
)
_STATUSES = (408, 500, 502, 503, 504)
_RETRY_AFTER = (
    None,
    "1",
    "0",
    "2.5",
    "abc",
    "inf",
    "-5",
    "1e9",
    "5, 6",
    "",
    "\uff11\uff10",
    "99999",
    "past",
    "soon",
    "2099",
    "ms",
    "text",
)
_BODIES = (
    b"",
    b'{"code":"ErrorUnknown","message":"Something went wrong."}',
    b'{"error":{"code":"503","message":"The service is unavailable."}}',
    b"<html><head><title>Bad gateway</title></head><body>nginx</body></html>",
    b'{"code":',
    b"\xff\xfe\x00",
)

KINDS: Mapping[str, float] = {
    "throttled": 3.0,
    "status": 3.0,
    "status_after_effect": 1.5,
    "connect": 1.0,
    "reset_in_head": 1.0,
    "reset_in_body": 1.0,
    "lost_answer": 2.0,
    "timeout_unsent": 0.5,
    "timeout": 0.5,
    "timeout_after_effect": 0.5,
    "too_large": 0.3,
    "bad_request": 0.3,
    "truncated": 0.7,
    "html": 0.5,
    "garbage": 0.5,
    "wrong_shape": 0.5,
    "empty": 0.5,
    "html_without_effect": 0.3,
    "redirect": 0.3,
    "all_unknown": 0.7,
    "some_storage": 0.5,
    "some_new_status": 0.3,
    "fewer": 0.7,
    "more": 0.7,
    "twice": 0.5,
    "ok_without_image": 0.4,
    "page_before": 0.7,
    "early": 0.5,
    "repeated": 0.7,
    "repeated_after_effect": 0.5,
}
"""Each kind of fault, and how often it comes beside the others."""

AFTER_EFFECT = frozenset(
    {
        "lost_answer",
        "status_after_effect",
        "timeout_after_effect",
        "truncated",
        "html",
        "garbage",
        "wrong_shape",
        "empty",
        "redirect",
        "repeated_after_effect",
    }
)
"""The kinds whose operation takes effect although the response does not say so."""

_ONLY: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(
        ("all_unknown", "some_storage", "some_new_status", "more", "twice", "ok_without_image"),
        _CREATES,
    ),
    "fewer": _CREATES | {"CreateImageTags", "CreateImageRegions", "UpdateImageMetadata"},
    "early": _CREATES,
    # The client does not choose the names of URLs and predictions: two requests may share them.
    **dict.fromkeys(
        ("repeated", "repeated_after_effect"),
        frozenset({"CreateImagesFromData", "CreateImagesFromFiles"}),
    ),
    "page_before": frozenset({"GetImages", "GetTaggedImages", "GetUntaggedImages"}),
}
"""The kinds that apply to some operations only."""


@dataclass(frozen=True, slots=True)
class Strike:
    """The fault of one request. `dice` is a number for the details."""

    kind: str = ""
    dice: int = 0

    def refusal(self, now: datetime) -> Response | None:
        """Return the response of a request without effect, or None if it takes effect."""
        match self.kind:
            case "throttled":
                return _throttled(self.dice, now)
            case "status":
                return Response(
                    _STATUSES[self.dice % 5], {}, _BODIES[self.dice // 5 % len(_BODIES)]
                )
            case "unauthorized":
                return Response(
                    401,
                    {},
                    b'{"error":{"code":"401",'
                    b'"message":"Access denied due to invalid subscription key."}}',
                )
            case "forbidden":
                return Response(403, {}, b'{"code":"ForbiddenDRModeEnabled","message":"DR"}')
            case "project_gone":
                return Response(404, {}, b'{"code":"NotFoundProject","message":"no such project"}')
            case "too_large":
                return Response(413, {}, b"<html>Request Entity Too Large</html>")
            case "bad_request":
                return Response(
                    400, {}, (b"", b'{"code":"BadRequest","message":"no"}')[self.dice % 2]
                )
            case "html_without_effect":
                return Response(200, {"content-type": "text/html"}, b"<html>Please sign in</html>")
        return None

    def status_of(self, place: int) -> str:
        """Return the status that a create request reports for a good image at `place`."""
        match self.kind:
            case "all_unknown":
                return "ErrorUnknown"
            case "some_storage" if (self.dice >> place % 16) & 1:
                return "ErrorStorage"
            case "some_new_status" if (self.dice >> place % 16) & 1:
                return "ErrorOfTomorrow"
        return "OK"

    def edited(self, value: Any, operation: str) -> Any:
        """Return the changed response of an operation that took effect."""
        if self.kind not in ("fewer", "more", "twice", "ok_without_image") or not isinstance(
            value, dict
        ):
            return value
        for name, entries in value.items():
            if isinstance(entries, list) and entries:
                place = self.dice % len(entries)
                match self.kind:
                    case "fewer":
                        entries = entries[:place]
                    case "more":
                        entries = [*entries, {**entries[place], "sourceUrl": '"nobody asked"'}]
                    case "twice":
                        entries = [*entries, entries[place]]
                    case "ok_without_image":
                        entries = [
                            {**entry, "image": None} if n == place else entry
                            for n, entry in enumerate(entries)
                        ]
                value[name] = entries
        return value


def _throttled(dice: int, now: datetime) -> Response:
    form = _RETRY_AFTER[dice % len(_RETRY_AFTER)]
    body = b'{"error":{"code":"429","message":"Rate limit is exceeded."}}'
    match form:
        case None:
            return Response(429, {}, body)
        case "past":
            form = format_datetime(now - timedelta(hours=1), usegmt=True)
        case "soon":
            form = format_datetime(now + timedelta(seconds=3), usegmt=True)
        case "2099":
            form = "Fri, 01 Jan 2099 00:00:00 GMT"
        case "ms":
            return Response(429, {"x-ms-retry-after-ms": "1500"}, body)
        case "text":
            return Response(
                429,
                {},
                b'{"error":{"code":"429",'
                b'"message":"Rate limit is exceeded. Try again: retry after 2 seconds."}}',
            )
    return Response(429, {"retry-after": form}, body)


class Faults:
    """The random faults. None occur if `rate` is 0."""

    def __init__(
        self, random: Random, *, rate: float = 0.0, kinds: Mapping[str, float] | None = None
    ) -> None:
        self._random = random
        self.rate = rate
        self.kinds = dict(kinds or KINDS)
        self.for_ever: tuple[int, str] | None = None
        """From this request on, every request has this kind of fault."""
        self.script: dict[int, str] = {}
        """Numbers of requests, and the fault that each has whatever the dice say."""
        self.hits: Counter[str] = Counter()

    def strike(self, operation: str, call: int) -> Strike:
        """Draw the fault of this request."""
        chance, dice = self._random.random(), self._random.getrandbits(16)
        if self.for_ever is not None and call >= self.for_ever[0]:
            kind = self.for_ever[1]
        elif call in self.script:
            kind = self.script[call]
        elif chance < self.rate:
            kind = self._random.choices(list(self.kinds), list(self.kinds.values()))[0]
        else:
            return Strike("", dice)
        if operation not in _ONLY.get(kind, (operation,)):
            return Strike("", dice)
        self.hits[kind] += 1
        return Strike(kind, dice)

    def before_body(self, strike: Strike, operation: str) -> None:
        """Raise a fault that occurs before the body is sent."""
        match strike.kind:
            case "connect":
                raise ConnectError("connection refused", operation=operation)
            case "timeout_unsent":
                raise RequestTimeout("no connection within 15 s", operation=operation, sent=False)
            case "reset_in_head":
                raise ResponseLost("the connection was reset", operation=operation)

    def in_body(self, strike: Strike, operation: str) -> None:
        """Raise a fault that occurs in the middle of the body."""
        if strike.kind == "reset_in_body":
            raise ResponseLost("the connection was reset", operation=operation)
        if strike.kind == "timeout":
            raise RequestTimeout("the service took no byte within 60 s", operation=operation)
        if strike.kind == "early":
            raise ResponseLost("a success came before the whole request", operation=operation)

    def returned(self, strike: Strike, response: Response, operation: str) -> Response:
        """Return the response as it arrives, or raise an error in its place."""
        headers = dict(response.headers)
        match strike.kind:
            case "lost_answer":
                raise ResponseLost("the connection was reset", operation=operation)
            case "timeout_after_effect":
                raise RequestTimeout("no response within 180 s", operation=operation)
            case "redirect":
                raise DecodeError(f"{operation}: a redirect to elsewhere.example")
            case "status_after_effect":
                return Response(
                    _STATUSES[strike.dice % 5], {}, _BODIES[strike.dice // 5 % len(_BODIES)]
                )
        wrong = {
            "truncated": response.body[: len(response.body) // 2] or b"{",
            "html": b"<!doctype html><title>Proxy</title>",
            "garbage": b'{"isBatchSuccessful": tru\xff',
            "wrong_shape": json.dumps({"images": 7, "created": "x"}).encode(),
            "empty": b"",
        }.get(strike.kind)
        if wrong is None or not 200 <= response.status < 300:
            return response
        if strike.kind == "html":
            headers["content-type"] = "text/html"
        return Response(response.status, headers, wrong)
