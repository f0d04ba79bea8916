"""What ``customvision doctor`` examines, and what it finds: the frame that every check is made in."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from ... import ApiVersion
from .network import Link, Response, in_thread

__all__ = [
    "PAGE",
    "Check",
    "Examination",
    "Finding",
    "FindingError",
    "NotCheckedError",
    "ProblemError",
    "WarningError",
    "examine",
    "host_of",
]

State = Literal["ok", "warning", "problem", "not checked"]
PAGE = 'the page "Keys and Endpoint" of the training resource in the Azure portal'
_TRY_AGAIN = "try again; if it stays so, look for a firewall or an overloaded network between"


@dataclass(frozen=True)
class Finding:
    """The outcome of one check: what was found, and what to do about it."""

    name: str
    state: State
    found: str
    advice: str = ""


class NotCheckedError(Exception):
    """A check cannot be made; the message says why."""


@dataclass
class Examination:
    """What is examined, and what the checks have found so far. `key` is never shown."""

    given_endpoint: str
    given_key: str = field(repr=False)
    prediction_key: str = field(repr=False)
    api_version: ApiVersion
    endpoint: str = ""
    key: str = field(default="", repr=False)
    known: bool = False
    reachable: bool = False
    link: Link | None = None
    access: Response | None = None
    refusals: list[Response] = field(default_factory=list[Response])

    @property
    def host(self) -> str:
        """The host of the endpoint."""
        return urlsplit(self.endpoint).hostname or ""

    @property
    def port(self) -> int:
        """The port of the endpoint."""
        parts = urlsplit(self.endpoint)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def projects(self) -> list[Any] | None:
        """The projects of the resource, or None where they could not be listed."""
        found = self.access.json if self.access is not None and self.access.status == 200 else None
        return found if isinstance(found, list) else None

    def need(self, found: object, why: str) -> None:
        """Raise NotCheckedError unless an earlier check found what this one needs."""
        if not found:
            raise NotCheckedError(why)

    async def get(self, path: str, version: str | None = None) -> Response:
        """GET from the Training API with the key. A 429 is waited for once, and remembered."""
        assert self.link is not None
        number = version or self.api_version.value
        api = "training" if number >= "v3" else "Training"
        address = f"/customvision/{number}/{api}{path}"
        response = await self.link.request("GET", address, headers={"Training-Key": self.key})
        if response.status == 429:
            self.refusals.append(response)
            await in_thread(lambda: time.sleep(response.retry_after), None)
            response = await self.link.request("GET", address, headers={"Training-Key": self.key})
        return response


class FindingError(Exception):
    """A finding that ends its check."""

    state: State = "problem"

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(found)
        self.found, self.advice = found, advice


class ProblemError(FindingError):
    """Ends a check with a problem."""

    state: State = "problem"


class WarningError(FindingError):
    """Ends a check with a warning."""

    state: State = "warning"


def host_of(text: str) -> str:
    """Return the host of a URL, with or without its scheme, or an empty string."""
    text = text.strip().lower()
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Check:
    """One check: its name, the seconds that it may take, and how it is made."""

    name: str
    seconds: float
    make: Callable[[Examination], Awaitable[Finding]]


async def examine(
    exam: Examination, checks: Sequence[Check], tell: Callable[[Finding], None]
) -> list[Finding]:
    """Make every check, tell each finding as it comes, and return them all.

    Bounded by the sum of the limits.
    """
    findings: list[Finding] = []
    try:
        for check in checks:
            found = await _checked(exam, check)
            findings.append(found)
            tell(found)
    finally:
        if exam.link is not None:
            exam.link.close()
    return findings


async def _checked(exam: Examination, check: Check) -> Finding:
    try:
        async with asyncio.timeout(check.seconds):
            found = await check.make(exam)
    except FindingError as finding:
        found = Finding(check.name, finding.state, finding.found, finding.advice)
    except NotCheckedError as error:
        found = Finding(check.name, "not checked", str(error))
    except TimeoutError:
        exam.reachable = False  # the checks after this one would wait in vain
        found = Finding(check.name, "problem", "no response in time", _TRY_AGAIN)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        found = Finding(check.name, "problem", f"the exchange failed: {why}", _TRY_AGAIN)
    secret = exam.given_key.strip()
    if secret and secret in found.found + found.advice:  # a server may repeat what it was sent
        hidden = (text.replace(secret, "***") for text in (found.found, found.advice))
        found = Finding(check.name, found.state, *hidden)
    return replace(found, name=check.name)
