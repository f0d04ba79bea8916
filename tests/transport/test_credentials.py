"""Keys stay hidden, tokens stay fresh, and only safe endpoints are accepted."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customvision_async._clients.azure import TOKEN_SCOPE, check_endpoint
from customvision_async._transport.credentials import (
    KeyCredential,
    TokenCredential,
    authenticate,
)

pytestmark = pytest.mark.anyio

CANARY = "canary0123456789abcdef"


class Token(NamedTuple):
    """An access token like that of azure-core."""

    token: str
    expires_on: int


class Vault:
    """A token credential that counts requests for tokens."""

    def __init__(self, *, lasts: int = 3600) -> None:
        self.now = 1_000_000.0
        self.lasts = lasts
        self.scopes: list[tuple[str, ...]] = []
        self.fails = False

    def clock(self) -> float:
        return self.now

    async def get_token(self, *scopes: str) -> Token:
        self.scopes.append(scopes)
        await asyncio.sleep(0)
        if self.fails:
            raise RuntimeError("no token today")
        return Token(f"{CANARY}-{len(self.scopes)}", int(self.now) + self.lasts)


async def test_a_key_goes_into_its_header() -> None:
    """The API names the header. Its value is the key."""
    assert await authenticate(CANARY, "Training-Key").headers() == {"Training-Key": CANARY}


async def test_a_key_can_be_rotated() -> None:
    """After update, the next request has the new key, and a 401 for the old one is retried."""
    credential = KeyCredential("old")
    auth = authenticate(credential, "Training-Key")
    before = await auth.headers()
    assert not await auth.refresh(before)
    credential.update(CANARY)
    assert await auth.headers() == {"Training-Key": CANARY}
    assert await auth.refresh(before)


@pytest.mark.parametrize("show", [repr, str, format, lambda thing: f"{thing}"])
async def test_a_key_never_shows(show: Callable[[object], str]) -> None:
    """No way to print a credential, or an object made of it, prints the key."""
    credential = KeyCredential(CANARY)
    auth = authenticate(credential, "Training-Key")
    for thing in (credential, auth, vars(auth), await auth.headers(), auth.fingerprint):
        assert CANARY not in show(thing)


@pytest.mark.parametrize(
    "take",
    [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, vars],
    ids=["pickle", "copy", "deepcopy", "json", "vars"],
)
def test_a_key_cannot_be_taken_away(take: Callable[[Any], object]) -> None:
    """A credential cannot be pickled, copied or encoded as JSON."""
    with pytest.raises(TypeError):
        take(KeyCredential(CANARY))


async def test_a_header_cannot_be_pickled() -> None:
    """The header with the key cannot be pickled either."""
    headers = await authenticate(CANARY, "Training-Key").headers()
    with pytest.raises(TypeError):
        pickle.dumps(headers)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        f"{CANARY}\n",
        f" {CANARY}",
        f"{CANARY}\r\nX: y",
        f"{CANARY}\0",
        f"{CANARY} x",
        f"{CANARY}é",
    ],
)
def test_a_key_that_no_header_can_carry_is_refused_unseen(bad: str) -> None:
    """The message tells the reason. Neither it nor the locals of frames have the key."""
    for make in (KeyCredential, lambda key: authenticate(key, "Training-Key")):
        with pytest.raises(ValueError, match="key") as caught:
            make(bad)
        frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        assert CANARY not in "".join(
            line
            for frame in frames.stack
            if frame.filename.endswith("customvision_async/_transport/credentials.py")
            for line in (frame.locals or {}).values()
        )
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 5, b"key", object()])
def test_what_is_no_credential_is_refused(wrong: Any) -> None:
    """A TypeError lists the accepted types."""
    with pytest.raises(TypeError, match="get_token"):
        authenticate(wrong, "Training-Key")


async def test_fingerprints_tell_keys_apart() -> None:
    """Clients with the same key share a fingerprint. Another key has another."""
    one, two, other = (
        authenticate(key, "Training-Key").fingerprint for key in (CANARY, CANARY, "other")
    )
    assert one == two != other


def token_auth(vault: Vault) -> Any:
    """Return the auth of `vault`, on its clock."""
    auth = authenticate(vault, "Training-Key", scope=TOKEN_SCOPE)
    auth._clock = vault.clock
    return auth


async def test_a_token_is_kept_until_shortly_before_its_end() -> None:
    """One token serves many requests, and is renewed five minutes before it expires."""
    vault = Vault()
    auth = token_auth(vault)
    assert await auth.headers() == {"Authorization": f"Bearer {CANARY}-1"}
    vault.now += 3299
    await auth.headers()
    assert vault.scopes == [("https://cognitiveservices.azure.com/.default",)]
    vault.now += 2
    assert await auth.headers() == {"Authorization": f"Bearer {CANARY}-2"}


async def test_one_task_asks_for_a_token_and_all_get_it() -> None:
    """Fifty concurrent requests need one token."""
    vault = Vault()
    auth = token_auth(vault)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(auth.headers()) for _ in range(50)]
    assert len(vault.scopes) == 1
    assert {task.result()["Authorization"] for task in tasks} == {f"Bearer {CANARY}-1"}


async def test_a_refresh_that_fails_is_forgiven_while_the_token_holds() -> None:
    """The old token is used until it expires. Then the credential's error is raised."""
    vault = Vault()
    auth = token_auth(vault)
    await auth.headers()
    vault.fails = True
    vault.now += 3400
    assert await auth.headers() == {"Authorization": f"Bearer {CANARY}-1"}
    vault.now += 201
    with pytest.raises(RuntimeError, match="no token today"):
        await auth.headers()


async def test_after_a_401_a_token_is_asked_for_again() -> None:
    """A token that was revoked early is replaced."""
    vault = Vault()
    auth = token_auth(vault)
    assert await auth.refresh(await auth.headers())
    assert await auth.headers() == {"Authorization": f"Bearer {CANARY}-2"}


async def test_a_synchronous_credential_is_told_from_an_asynchronous_one() -> None:
    """The message names the module to use."""

    class Sync:
        def get_token(self, *scopes: str) -> Token:
            return Token(CANARY, 0)

    with pytest.raises(TypeError, match=r"azure\.identity\.aio"):
        await authenticate(Sync(), "Training-Key").headers()


def test_azure_credentials_are_of_the_protocol() -> None:
    """Any object with an asynchronous get_token is a TokenCredential."""
    assert isinstance(Vault(), TokenCredential)


GOOD = {
    "https://x.cognitiveservices.azure.com": "https://x.cognitiveservices.azure.com",
    "https://x.cognitiveservices.azure.com/": "https://x.cognitiveservices.azure.com",
    "HTTPS://X.CognitiveServices.Azure.Com": "https://x.cognitiveservices.azure.com",
    "https://x.cognitiveservices.azure.com.": "https://x.cognitiveservices.azure.com",
    "https://x.cognitiveservices.azure.com:443": "https://x.cognitiveservices.azure.com",
    "https://x.cognitiveservices.azure.com:8443/": "https://x.cognitiveservices.azure.com:8443",
    "https://southcentralus.api.cognitive.microsoft.com/customvision/v3.3/Training": "https://southcentralus.api.cognitive.microsoft.com",
    "https://x.azure.com/customvision/v3.0/Prediction/id/classify": "https://x.azure.com",
    "https://gateway.example/vision": "https://gateway.example/vision",
    "https://gateway.example/vision/CustomVision/v3.3": "https://gateway.example/vision",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
    "https://10.1.2.3": "https://10.1.2.3",
    "https://[2001:db8::1]:444": "https://[2001:db8::1]:444",
    "http://127.0.0.1:5000": "http://127.0.0.1:5000",
    "http://127.8.9.1:80/": "http://127.8.9.1",
    "http://[::1]:5000": "http://[::1]:5000",
}
BAD = [
    "",
    "x.cognitiveservices.azure.com",
    "//x.cognitiveservices.azure.com",
    "http://x.cognitiveservices.azure.com",
    "ftp://x.cognitiveservices.azure.com",
    "file:///etc/passwd",
    "data:text/plain,x",
    "https://",
    "https:///path",
    "https://:443",
    "https://x.example:0",
    "https://x.example:",
    "https://x.example:99999",
    "https://x.example:port",
    "https://key@x.example",
    "https://user:password@x.example",
    "http://127.0.0.1@evil.example",
    "http://127.0.0.1:80@evil.example",
    "http://localhost:5000",
    "http://localhost.evil.example",
    "http://127.0.0.1.evil.example",
    "http://2130706433",
    "https://2130706433",
    "http://0x7f000001",
    "http://0x7f.1",
    "http://127.1",
    "http://0177.0.0.1",
    "http://10.0.0.1",
    "http://169.254.169.254",
    "https://169.254.169.254/metadata",
    "https://0.0.0.0",
    "http://[::ffff:127.0.0.1]",
    "https://[fe80::1%25eth0]",
    "https://[::]",
    "https://[not-an-address]",
    "https://x.example?key=1",
    "https://x.example/#part",
    "https://x.example/a b",
    "https://x.example\r\nX: y",
    "https://x.example\\@evil.example",
    "https://bücher.example",
    "https://x..example",
    "https://-x.example",
    "https://x.example/../y",
    "https://x.example/%2e%2e",
    " https://x.example",
]


@pytest.mark.parametrize(("given_", "plain"), GOOD.items())
def test_an_endpoint_is_put_in_its_plain_form(given_: str, plain: str) -> None:
    """URLs from the portal and the documentation are normalized alike."""
    assert check_endpoint(given_) == plain
    assert check_endpoint(plain) == plain


@pytest.mark.parametrize("endpoint", BAD)
def test_an_endpoint_that_could_give_the_key_away_is_refused(endpoint: str) -> None:
    """http to anything but literal loopback, disguised hosts and extra parts are refused with a
    reason.
    """
    with pytest.raises(ValueError, match="endpoint"):
        check_endpoint(endpoint)


def test_an_endpoint_is_a_string() -> None:
    """None, as an unset variable gives, raises TypeError."""
    with pytest.raises(TypeError, match="endpoint"):
        check_endpoint(None)


@given(st.text(max_size=40))
def test_whatever_is_accepted_is_safe(text: str) -> None:
    """Any string raises ValueError, or is normalized to https, or to http on loopback."""
    for endpoint in (text, f"http://{text}", f"https://{text}"):
        try:
            plain = check_endpoint(endpoint)
        except ValueError:
            continue
        assert plain.startswith(("https://", "http://127.", "http://[::1]"))
        assert check_endpoint(plain) == plain
        assert "@" not in plain
        assert plain.isascii()
