"""Credentials: a key that can be rotated and is never shown, or a source of tokens."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import NoReturn, Protocol, SupportsIndex, runtime_checkable

__all__ = [
    "KeyAuth",
    "KeyCredential",
    "TokenAuth",
    "TokenCredential",
    "authenticate",
    "mask_secret",
]

REFRESH_BEFORE = 300.0
"""Request the next token this many seconds before the last one expires, as azure-core does."""

_SALT = os.urandom(16)


class Secret(str):
    """A header value whose repr is masked, for tracebacks and logs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError("a credential cannot be pickled or copied")


class KeyCredential:
    """A subscription key.

    It can be replaced while clients use it. It cannot be printed, pickled or copied. A training
    resource and a prediction resource have different keys, and may have different endpoints. Both
    are on the page "Keys and Endpoint" of the resource in the Azure portal.

    Args:
        key: The key.

    Raises:
        TypeError: The key is not a string.
        ValueError: The key is empty, or has a character that is not allowed in a header.
    """

    __slots__ = ("_key",)

    def __init__(self, key: str) -> None:
        problem = _problem(key)
        if problem is None:
            self._key = Secret(key)
        del key  # keep it out of tracebacks with locals
        if problem is not None:
            raise problem

    def update(self, key: str) -> None:
        """Use `key` from the next request on.

        Raises:
            TypeError, ValueError: As in the constructor. The old key stays in use.
        """
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
            "a KeyCredential cannot be pickled or copied; create it where it is used, from the"
            " environment or a vault"
        )


def _problem(key: object) -> Exception | None:
    if not isinstance(key, str):
        return TypeError(f"a key must be a string, not {type(key).__name__}")
    if not key:
        return ValueError(
            "the key is empty; check that the environment variable or file with the key exists"
        )
    if key != key.strip():
        return ValueError(
            "the key begins or ends with a space or a newline; strip the text of the file or"
            " variable"
        )
    if not all("!" <= character <= "~" for character in key):
        return ValueError(
            "the key has a space, a control character or a character outside ASCII; copy it again"
        )
    return None


class AccessToken(Protocol):
    """A token, as in azure-core. `expires_on` is in seconds since 1970."""

    @property
    def token(self) -> str: ...
    @property
    def expires_on(self) -> int | float: ...


@runtime_checkable
class TokenCredential(Protocol):
    """An object with the asynchronous `get_token` of azure-identity.

    An example is `azure.identity.aio.DefaultAzureCredential`.
    """

    def get_token(self, *scopes: str) -> Awaitable[AccessToken]:
        """Return a token for `scopes`."""
        ...


class KeyAuth:
    """Authenticate with a key, in the header `header`."""

    def __init__(self, credential: KeyCredential, header: str) -> None:
        self._credential = credential
        self._header = header
        self.fingerprint = hashlib.blake2b(
            _key_of(credential).encode(), key=_SALT, digest_size=16
        ).hexdigest()
        """Distinguishes keys within this process. The salt differs in each process."""

    async def headers(self) -> Mapping[str, str]:
        """Return the header with the key."""
        return {self._header: _key_of(self._credential)}

    async def refresh(self, refused: Mapping[str, str]) -> bool:
        """Return whether the key has been rotated since the request with `refused`."""
        return refused.get(self._header) != _key_of(self._credential)


def _key_of(credential: KeyCredential) -> Secret:
    return credential._key  # pyright: ignore[reportPrivateUsage]  # the only place that reads it


class TokenAuth:
    """Authenticate with tokens for `scope`, in the `Authorization` header.

    All requests share one token, and one task at a time renews it.
    """

    def __init__(
        self,
        credential: TokenCredential,
        *,
        scope: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credential = credential
        self._scope = scope
        self._clock = clock
        self._value = Secret()
        self._expires = 0.0
        self._lock = asyncio.Lock()
        self.fingerprint = "token"
        """Constant: a token only works on the host name of its resource, which identifies it."""

    async def headers(self) -> Mapping[str, str]:
        """Return the header with the token.

        Errors of the credential are raised, unless the last token is still valid.
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
            result = self._credential.get_token(self._scope)
            if not inspect.isawaitable(result):
                raise TypeError(
                    "the credential's get_token is not asynchronous; use a credential of"
                    " azure.identity.aio"
                )
            token = await result
            self._value, self._expires = Secret(f"Bearer {token.token}"), float(token.expires_on)
        except Exception:
            if self._clock() >= self._expires:
                raise


def mask_secret(
    credential: str | KeyCredential | TokenCredential,
) -> str | KeyCredential | TokenCredential:
    """Return `credential`. A string is masked, so that tracebacks with locals do not show it."""
    return Secret(credential) if isinstance(credential, str) else credential


def authenticate(
    credential: str | KeyCredential | TokenCredential, header: str, *, scope: str = ""
) -> KeyAuth | TokenAuth:
    """Return the authentication for `credential`.

    Args:
        credential: A key or a source of tokens.
        header: Name of the header that carries a key.
        scope: Scope of tokens.

    Raises:
        TypeError: `credential` is not a credential.
        ValueError: The key is empty, or has a character that is not allowed in a header.
    """
    if isinstance(credential, str):
        problem = _problem(credential)
        if problem is not None:
            del credential  # keep it out of tracebacks with locals
            raise problem
        credential = KeyCredential(credential)
    if isinstance(credential, KeyCredential):
        return KeyAuth(credential, header)
    if callable(getattr(credential, "get_token", None)):
        return TokenAuth(credential, scope=scope)
    raise TypeError(
        "a credential must be a key (str or KeyCredential) or have an asynchronous get_token"
        f" (azure.identity.aio), not {type(credential).__name__}"
    )
