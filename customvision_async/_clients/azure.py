"""The names of Azure: endpoints, the scope of tokens, and the hosts of blob stores."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["BLOB_HOSTS", "TOKEN_SCOPE", "check_endpoint"]

TOKEN_SCOPE = "https://cognitiveservices.azure.com/.default"  # noqa: S105 - a scope, no secret
"""Scope of Microsoft Entra tokens for every Azure AI service."""

BLOB_HOSTS: tuple[str, ...] = (
    ".blob.core.windows.net",
    ".blob.storage.azure.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.core.cloudapi.de",
)
"""Suffixes of the host names of blob stores, in the public and the sovereign clouds."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_ADVICE = (
    "it should be like https://<resource>.cognitiveservices.azure.com"
    " (see Keys and Endpoint in the Azure portal)"
)


def check_endpoint(endpoint: str) -> str:
    """Return `endpoint` in normal form.

    The normal form has a scheme, a host in lower case and a port unless it is the default, without
    a slash at the end. A path from ``/customvision`` on, as in the documentation, is removed. Any
    other path is kept, for API gateways.

    A key must not be sent unencrypted, or to a disguised host. The scheme must be https, or http
    for a literal loopback address. User names, queries, fragments, hosts outside ASCII and hosts
    written as a number are rejected.

    Raises:
        TypeError: `endpoint` is not a string.
        ValueError: The URL is not allowed. The message says why.
    """
    if not isinstance(endpoint, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"an endpoint must be a string, not {type(endpoint).__name__}")
    if not endpoint:
        raise ValueError(f"the endpoint is empty: {_ADVICE}")
    if not all("!" <= character <= "~" for character in endpoint) or "\\" in endpoint:
        raise ValueError(
            "the endpoint has a space, a control character, a backslash or a character outside"
            f" ASCII: {_ADVICE}"
        )
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise ValueError(f"the endpoint is not a URL: {_ADVICE}") from None
    if "@" in parts.netloc:
        raise ValueError("the endpoint has a user name or password before the host; remove it")
    if "?" in endpoint or "#" in endpoint:
        raise ValueError("the endpoint has a query or a fragment; remove it")
    if not parts.hostname:
        raise ValueError(f"the endpoint {endpoint!r} has no host: {_ADVICE}")
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"the endpoint has no valid port: {_ADVICE}")
    host, loopback = _host(parts.hostname)
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
        raise ValueError(
            f"the endpoint begins with {parts.scheme}://, which would send the key unencrypted;"
            " use https (http is only for an emulator at 127.0.0.1 or [::1])"
        )
    default_port = {"https": 443, "http": 80}[parts.scheme]
    suffix = "" if port in (None, default_port) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}{_path(parts.path)}"


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
                f"the endpoint's host {name!r} is a disguised number; write an IP address in its"
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
            f"the endpoint's host {name} is a link-local, unspecified or multicast address, which"
            " no resource can have"
        )
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            raise ValueError(
                f"the endpoint's host {name} is a disguised IPv4 address; write"
                f" {address.ipv4_mapped}"
            )
        return f"[{address.compressed}]", address.is_loopback
    return str(address), address.is_loopback


def _path(path: str) -> str:
    kept = re.split(r"/customvision(?:/|$)", path, maxsplit=1, flags=re.IGNORECASE)[0].rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", kept) or any(
        part in {".", ".."} for part in kept.split("/")
    ):
        raise ValueError(f"the endpoint has an invalid path: {_ADVICE}")
    return kept
