"""Run the checks of ``customvision doctor`` and collect their findings."""

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
    """The outcome of a check, with advice for the user."""

    name: str
    state: State
    found: str
    advice: str = ""


class NotCheckedError(Exception):
    """A check cannot be performed, for the reason in the message."""


@dataclass
class Examination:
    """The state of an examination, which the checks read and update. The key is never shown.

    Attributes:
        given_endpoint: The endpoint as the user set it.
        given_key: The key as the user set it.
        prediction_key: The prediction key of the environment, or an empty string.
        api_version: The version of the Training API to check.
        endpoint: The endpoint, once it is validated.
        key: The key, once it is validated.
        known: Whether the host name was resolved.
        reachable: Whether the host accepts connections that can be trusted so far.
        link: The connection to the endpoint.
        access: The response to the access check.
        refusals: The responses with status 429.
    """

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
        """The projects of the resource, or None if they could not be listed."""
        found = self.access.json if self.access is not None and self.access.status == 200 else None
        return found if isinstance(found, list) else None

    def need(self, found: object, why: str) -> None:
        """Raise NotCheckedError unless an earlier check produced `found`."""
        if not found:
            raise NotCheckedError(why)

    async def get(self, path: str, version: str | None = None) -> Response:
        """Send a GET request to the Training API, and retry it once after a 429."""
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
    """A problem that ends its check."""

    state: State = "problem"


class WarningError(FindingError):
    """A warning that ends its check."""

    state: State = "warning"


def host_of(text: str) -> str:
    """Return the host of a URL with or without a scheme, or an empty string."""
    text = text.strip().lower()
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True)
class Check:
    """A check: its name, its time limit in seconds, and its function."""

    name: str
    seconds: float
    run: Callable[[Examination], Awaitable[Finding]]


async def examine(
    exam: Examination, checks: Sequence[Check], on_finding: Callable[[Finding], None]
) -> list[Finding]:
    """Perform all checks, and return their findings.

    The time is limited by the sum of the limits of the checks.

    Args:
        exam: The state of the examination.
        checks: The checks, in order.
        on_finding: Called with each finding as it arrives.
    """
    findings: list[Finding] = []
    try:
        for check in checks:
            found = await _perform(exam, check)
            findings.append(found)
            on_finding(found)
    finally:
        if exam.link is not None:
            exam.link.close()
    return findings


async def _perform(exam: Examination, check: Check) -> Finding:
    try:
        async with asyncio.timeout(check.seconds):
            found = await check.run(exam)
    except FindingError as finding:
        found = Finding(check.name, finding.state, finding.found, finding.advice)
    except NotCheckedError as error:
        found = Finding(check.name, "not checked", str(error))
    except TimeoutError:
        exam.reachable = False  # the remaining checks would time out too
        found = Finding(check.name, "problem", "no response in time", _TRY_AGAIN)
    except (OSError, http.client.HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        found = Finding(check.name, "problem", f"the exchange failed: {why}", _TRY_AGAIN)
    secret = exam.given_key.strip()
    # A server may repeat the key in its message.
    if secret and secret in found.found + found.advice:
        hidden = (text.replace(secret, "***") for text in (found.found, found.advice))
        found = Finding(check.name, found.state, *hidden)
    return replace(found, name=check.name)
