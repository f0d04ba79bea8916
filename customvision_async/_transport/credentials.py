"""Credentials:

a key that can be rotated and is never shown, or a source of tokens; endpoint checks.
"""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import ipaddress
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, Protocol, SupportsIndex, runtime_checkable
from urllib.parse import urlsplit

__all__ = [
    "KeyAuth",
    "KeyCredential",
    "TokenAuth",
    "TokenCredential",
    "authenticate",
    "check_endpoint",
    "mask_secret",
]

TOKEN_SCOPE = "https://cognitiveservices.azure.com/.default"  # noqa: S105 - a scope, no secret
"""The scope of Microsoft Entra tokens for every Azure AI service."""

REFRESH_BEFORE = 300.0
"""Seconds before a token expires at which the next one is requested, as in azure-core."""

_SALT = os.urandom(16)


class Secret(str):
    """A header value whose repr, in a traceback or a log, is stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a credential cannot be pickled or copied")


class KeyCredential:
    """A subscription key.

    It can be replaced while clients use it, and cannot be printed, pickled or copied. A training
    key and a prediction key differ, and so may their endpoints. Both are on the page "Keys and
    Endpoint" of the resource in the Azure portal.

    Raises:
        TypeError: The key is not a string.
        ValueError: The key is empty, or has a character that a header cannot carry.
    """

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        problem = _problem(key)
        if problem is None:
            self._key = Secret(key)
        del key  # no traceback with locals may show it
        if problem is not None:
            raise problem

    def update(self, key: str) -> None:
        """Use `key` from the next request on, to rotate keys without stopping."""
        problem = _problem(key)
        if problem is None:
            self._key = Secret(key)
        del key
        if problem is not None:
            raise problem

    def __repr__(self) -> str:
        return "KeyCredential(***)"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a KeyCredential cannot be pickled or copied: make one where it is used, from the"
            " environment or a vault"
        )


def _problem(key: object) -> Exception | None:
    if not isinstance(key, str):
        return TypeError(f"a key is a string, not {type(key).__name__}")
    if not key:
        return ValueError(
            "the key is empty: is the environment variable or file it is read from there?"
        )
    if key != key.strip():
        return ValueError(
            "the key begins or ends with a blank or a newline: strip what was read from the file"
            " or variable"
        )
    if not all("!" <= character <= "~" for character in key):
        return ValueError(
            "the key has a blank, a control character or a letter outside ASCII: it was not copied"
            " whole or clean"
        )
    return None


class AccessToken(Protocol):
    """A token: `token`, and `expires_on` in seconds since 1970, as in azure-core."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int | float: ...


@runtime_checkable
class TokenCredential(Protocol):
    """A class with the asynchronous `get_token` of azure-identity, such as
    `azure.identity.aio.DefaultAzureCredential`."""

    def get_token(self, *scopes: str) -> Awaitable[AccessToken]:
        """Return a token for `scopes`."""
        ...


class KeyAuth:
    """The header of a key: `Training-Key` or `Prediction-Key`."""

    def __init__(self, credential: KeyCredential, header: str) -> None:
        self._credential = credential
        self._header = header
        self.fingerprint = hashlib.blake2b(
            _key_of(credential).encode(), key=_SALT, digest_size=16
        ).hexdigest()
        """Distinguish keys within this process. The salt differs in each process."""

    async def headers(self) -> Mapping[str, str]:
        """Return the header."""
        return {self._header: _key_of(self._credential)}

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Return whether the key has been rotated since the request with `refused`."""
        return refused.get(self._header) != _key_of(self._credential)


def _key_of(credential: KeyCredential) -> Secret:
    return credential._key  # pyright: ignore[reportPrivateUsage]  # the only place that reads it


class TokenAuth:
    """The `Authorization` header. One token is shared, and one task at a time renews it."""

    def __init__(
        self,
        credential: TokenCredential,
        *,
        scope: str = TOKEN_SCOPE,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._value = Secret()
        self._expires = 0.0
        self._lock = asyncio.Lock()
        self.fingerprint = "token"
        """Tokens work only on the host name of the resource, which identifies the resource."""

    async def headers(self) -> Mapping[str, str]:
        """Return the header.

        Raise errors of the credential, unless the last token is still valid.
        """
        if self._clock() >= self._expires - REFRESH_BEFORE:
            async with self._lock:
                if self._clock() >= self._expires - REFRESH_BEFORE:
                    await self._refresh()
        return {"Authorization": self._value}

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Request a new token after a 401 for `refused`. Return whether it differs."""
        async with self._lock:
            if self._value == refused.get("Authorization"):
                self._expires = 0.0
                await self._refresh()
        return self._value != refused.get("Authorization")

    async def _refresh(self) -> None:
        try:
            answer = self._credential.get_token(self._scope)
            if not inspect.isawaitable(answer):
                raise TypeError(
                    "the credential's get_token is not asynchronous: take the one of"
                    " azure.identity.aio"
                )
            token = await answer
            self._value, self._expires = Secret(f"Bearer {token.token}"), float(token.expires_on)
        except Exception:
            if self._clock() >= self._expires:
                raise


def mask_secret(
    credential: str | KeyCredential | TokenCredential,
) -> str | KeyCredential | TokenCredential:
    """Return the credential with a string key masked, so that no traceback with locals shows it."""
    return Secret(credential) if isinstance(credential, str) else credential


def authenticate(
    credential: str | KeyCredential | TokenCredential, header: str
) -> KeyAuth | TokenAuth:
    """Return the authentication for `credential`: a key in `header`, or a token.

    Raises:
        TypeError: `credential` is not a credential.
        ValueError: The key has a character that no header can carry.
    """
    if isinstance(credential, str):
        problem = _problem(credential)
        if problem is not None:
            del credential  # no traceback with locals may show it
            raise problem
        credential = KeyCredential(credential)
    if isinstance(credential, KeyCredential):
        return KeyAuth(credential, header)
    if callable(getattr(credential, "get_token", None)):
        return TokenAuth(credential)
    raise TypeError(
        "a credential is a key (str or KeyCredential) or has an asynchronous get_token"
        " (azure.identity.aio), "
        f"not {type(credential).__name__}"
    )


_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ADVICE = (
    "it reads like https://<resource>.cognitiveservices.azure.com"
    " (the Azure portal, Keys and Endpoint)"
)


def check_endpoint(endpoint: str) -> str:
    """Return `endpoint` in plain form: scheme, host in lower case, port unless default, no slash.

    A key must not be sent in the clear or to a host in disguise. The scheme must be https, or http
    for a literal loopback address. There must be no user name, query or fragment, and no host in
    another alphabet or written as a number. A path from ``/customvision`` on, as in the
    documentation, is removed. Any other path is kept, for API gateways.

    Raises:
        TypeError: `endpoint` is not a string.
        ValueError: The URL is not allowed. The message says why.
    """
    if not isinstance(endpoint, str):  # pyright: ignore[reportUnnecessaryIsInstance] - what a person gave
        raise TypeError(f"an endpoint is a string, not {type(endpoint).__name__}")
    if not endpoint:
        raise ValueError(f"the endpoint is empty: {_ADVICE}")
    if not all("!" <= character <= "~" for character in endpoint) or "\\" in endpoint:
        raise ValueError(
            "the endpoint has a blank, a control character, a backslash or a letter outside"
            f" ASCII: {_ADVICE}"
        )
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise ValueError(f"the endpoint is not a URL: {_ADVICE}") from None
    if "@" in parts.netloc:
        raise ValueError("the endpoint has a user name or password before the host: leave them out")
    if "?" in endpoint or "#" in endpoint:
        raise ValueError("the endpoint has a query or a fragment: leave it out")
    if not parts.hostname:
        raise ValueError(f"the endpoint {endpoint!r} names no host: {_ADVICE}")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"the endpoint has no valid port: {_ADVICE}")
    host, loopback = _host(parts.hostname)
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError(
            f"the endpoint begins with {parts.scheme}://, which would show the key to the network:"
            " https only "
            "(http is for 127.0.0.1 and [::1], where an emulator may be)"
        )
    usual = {"https": 443, "http": 80}[parts.scheme]
    return (
        f"{parts.scheme}://{host}{'' if port in (None, usual) else f':{port}'}{_path(parts.path)}"
    )


def _host(name: str) -> tuple[str, bool]:
    """Return the host as written in a URL, and whether it is a literal loopback address."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        labels = name.removesuffix(".").lower().split(".")
        if ":" in name or not all(_LABEL.fullmatch(label) for label in labels):
            raise ValueError(
                f"the endpoint's host {name!r} is not a host name: {_ADVICE}"
            ) from None
        if labels[-1].isdigit() or re.fullmatch(r"0x[0-9a-f]*", labels[-1]):
            raise ValueError(
                f"the endpoint's host {name!r} is a number in disguise: write an IP address in its"
                " usual form"
            ) from None
        return ".".join(labels), False
    if (
        address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or getattr(address, "scope_id", None)
    ):
        raise ValueError(
            f"the endpoint's host {name} is a link-local, unspecified or multicast address, where"
            " no resource can be"
        )
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            raise ValueError(
                f"the endpoint's host {name} is an IPv4 address in disguise: write"
                f" {address.ipv4_mapped}"
            )
        return f"[{address.compressed}]", address.is_loopback
    return str(address), address.is_loopback


def _path(path: str) -> str:
    kept = re.split(r"/customvision(?:/|$)", path, maxsplit=1, flags=re.IGNORECASE)[0].rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", kept) or any(
        part in {".", ".."} for part in kept.split("/")
    ):
        raise ValueError(f"the endpoint has an odd path: {_ADVICE}")
    return kept
