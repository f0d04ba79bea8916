"""The checks of ``customvision doctor`` for settings, network, TLS and clock."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from ... import KeyCredential, TrainingClient
from .._options import ENDPOINT, KEY
from .._text import plural
from .certificate import read_certificate
from .examination import (
    PAGE,
    Check,
    Examination,
    Finding,
    FindingError,
    NotCheckedError,
    ProblemError,
    WarningError,
    host_of,
)
from .network import Link, connect, resolve, server_certificate

__all__ = ["NETWORK_CHECKS"]

_SKEW = (30.0, 300.0)
"""Clock differences in seconds: from the first a warning, from the second a problem."""
_EXPIRY_DAYS = 14
RESPONSE_SECONDS = 7.0
"""Timeout of one request in seconds."""
_PORTALS = ("portal.azure.com", "customvision.ai", "ai.azure.com", "learn.microsoft.com")
_KEY_LENGTHS = (32, 84)


async def _endpoint(exam: Examination) -> Finding:
    given = exam.given_endpoint
    if not given.strip():
        raise ProblemError("not set", f"set {ENDPOINT} to the endpoint on {PAGE}")
    host = host_of(given)
    if any(host == portal or host.endswith(f".{portal}") for portal in _PORTALS):
        raise ProblemError(f"{host} is a web page for people", f"take the endpoint from {PAGE}")
    try:
        client = TrainingClient(given.strip(), "k")
    except ValueError as error:
        raise ProblemError(str(error), f"take the endpoint from {PAGE}") from None
    path = urlsplit(given.strip()).path.lower()
    if "/prediction/" in path:
        raise ProblemError(
            "this is the prediction URL of a published iteration",
            f"take the endpoint of the training resource from {PAGE}",
        )
    exam.endpoint = client.endpoint
    exam.link = Link(exam.endpoint, RESPONSE_SECONDS)
    if given != given.strip():
        return Finding(
            "",
            "warning",
            f"{exam.endpoint}, with blanks or a newline around it",
            "they are ignored here; other programs may fail: remove them",
        )
    if "-prediction" in exam.host:
        return Finding(
            "",
            "warning",
            f"{exam.endpoint}, the name of a prediction resource by the portal's custom",
            "the training resource has a name, an endpoint and a key of its own",
        )
    return Finding("", "ok", exam.endpoint)


async def _key(exam: Examination) -> Finding:
    given, key = exam.given_key, exam.given_key.strip()
    if not key:
        raise ProblemError("not set", f"set {KEY} to one of the two keys on {PAGE}")
    try:
        KeyCredential(key)
    except ValueError as error:
        raise ProblemError(str(error), f"copy it again from {PAGE}") from None
    if key[0] in "'\"" or key[-1] in "'\"":
        raise ProblemError("it is in quotes, which are sent too", f"set {KEY} without quotes")
    exam.key = key
    shown = plural(len(key), "character")
    if key == exam.prediction_key.strip():
        return Finding(
            "",
            "warning",
            f"{shown}, the same as VISION_PREDICTION_KEY",
            "the two resources have different keys unless one resource serves both",
        )
    if given != key:
        return Finding(
            "",
            "warning",
            f"{shown}, with blanks or a newline around it",
            "they are ignored here; other programs may fail: remove them",
        )
    if len(key) not in _KEY_LENGTHS and urlsplit(exam.endpoint).scheme == "https":
        return Finding(
            "",
            "warning",
            f"{shown}; keys of Azure have {' or '.join(map(str, _KEY_LENGTHS))}",
            f"compare it with {PAGE}",
        )
    return Finding("", "ok", f"{shown}, none of which is shown")


async def _name(exam: Examination) -> Finding:
    exam.need(exam.endpoint, "there is no usable endpoint")
    try:
        found = await resolve(exam.host, exam.port, 5.0)
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise ProblemError(
            f"{exam.host} is not a known host ({error.strerror or type(error).__name__})",
            (
                f"compare the name with {PAGE}; if other names fail too, the network or its DNS is "
                "down"
            ),
        ) from None
    exam.known = True
    if found == [exam.host]:
        return Finding("", "ok", f"{exam.host} is an address, nothing to resolve")
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return Finding("", "ok", f"{exam.host} is {found[0]}{more}")


async def _connection(exam: Examination) -> Finding:
    exam.need(
        exam.known, "the host is not known" if exam.endpoint else "there is no usable endpoint"
    )
    try:
        address = await connect(exam.host, exam.port, 5.0)
    except OSError as error:
        why = "no response in 5 s" if isinstance(error, TimeoutError) else error.strerror or error
        raise ProblemError(
            f"no connection to {exam.host} port {exam.port}: {why}",
            "check the network, a firewall, and the network rules of the resource",
        ) from None
    exam.reachable = True
    return Finding("", "ok", f"{address} port {exam.port} answers")


async def _proxy(exam: Examination) -> Finding:
    proxies = {
        name: url
        for name, url in getproxies_environment().items()
        if name in ("https", "http", "all")
    }
    if not proxies:
        return Finding("", "ok", "no proxy variable is set, and connections are direct")
    name, url = next(iter(proxies.items()))
    parts = urlsplit(url if "//" in url else f"//{url}")
    try:
        host, port = parts.hostname or "", parts.port or 80
        await connect(host, port, 3.0)
    except (OSError, ValueError) as error:
        raise WarningError(
            f"{name.upper()}_PROXY names {host_of(url) or 'no host'}, which does not answer "
            f"({getattr(error, 'strerror', None) or 'no response in 3 s'})",
            "customvision connects without it; unset it for the programs that do not",
        ) from None
    found = f"{name.upper()}_PROXY names {host} port {port}, which answers"
    if exam.endpoint and not exam.reachable:
        raise ProblemError(
            f"{found}, but customvision connects directly, which fails",
            "it cannot use a proxy: let the endpoint through, or run it where the network is open",
        )
    return Finding("", "ok", f"{found}; customvision connects directly")


async def _tls(exam: Examination) -> Finding:
    exam.need(exam.reachable, "there is no connection")
    assert exam.link is not None
    if exam.endpoint.startswith("http:"):
        return Finding("", "ok", "none: the endpoint is on this machine")
    try:
        certificate, version = await exam.link.certificate()
    except ssl.SSLCertVerificationError as error:
        exam.reachable = False
        raise await _untrusted(exam, error.verify_message) from None
    except (ssl.SSLError, ConnectionError) as error:
        exam.reachable = False
        raise ProblemError(
            f"no TLS 1.2 or newer: {getattr(error, 'reason', None) or 'the connection ended'}",
            "what answers there is not Azure, or a device between breaks TLS: check host and port",
        ) from None
    issuer = dict(part[0] for part in certificate.get("issuer", ()))
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    name = issuer.get("commonName") or issuer.get("organizationName") or "an unnamed authority"
    found = f"{version}, certificate by {name}, valid until {ends:%Y-%m-%d}"
    if (ends - datetime.now(UTC)).days < _EXPIRY_DAYS:
        raise WarningError(
            found, "it ends soon; Azure renews its own, a proxy's administrator may not"
        )
    return Finding("", "ok", found)


async def _untrusted(exam: Examination, why: str) -> FindingError:
    """Return a problem that explains an untrusted certificate, with its issuer if readable."""
    try:
        seen = read_certificate(await server_certificate(exam.host, exam.port, 5.0))
    except (OSError, ValueError):
        return ProblemError(f"the certificate is not trusted: {why}", "the key is not sent")
    by = f"the certificate of {seen.subject}, issued by {seen.issuer}"
    now = datetime.now(UTC)
    if now > seen.not_after:
        text = f"{by}, ended on {seen.not_after:%Y-%m-%d}"
        return ProblemError(text, "check the clock of this machine; else its owner has to renew it")
    if now < seen.not_before:
        text = f"{by}, begins on {seen.not_before:%Y-%m-%d}"
        return ProblemError(text, "check the clock of this machine")
    if "ostname" in why or "IP address" in why:
        return ProblemError(f"{by}, is for another host: {why}", f"compare the host with {PAGE}")
    return ProblemError(
        f"{by}, is not trusted: {why}",
        "if the issuer is your company or a security product, it reads the traffic: name the "
        "file with its root "
        "certificate in SSL_CERT_FILE. If you do not know it, do not go on",
    )


async def _clock(exam: Examination) -> Finding:
    exam.need(exam.reachable, "there is no trusted connection")
    assert exam.link is not None
    before = time.time()
    response = await exam.link.request("GET", "/")  # without the key
    after = time.time()
    try:
        there = parsedate_to_datetime(response.headers.get("date", "")).timestamp()
    except (TypeError, ValueError):
        raise NotCheckedError("the response has no date") from None
    skew = max(before - there - 1, there - after, 0.0)  # the date has whole seconds
    if skew < _SKEW[0]:
        return Finding("", "ok", "agrees with the date of the response")
    side = "ahead of" if before > there else "behind"
    text = f"this machine is {skew:,.0f} s {side} the service"
    if skew < _SKEW[1]:
        raise WarningError(text, "set the clock: signatures of image addresses depend on it")
    raise ProblemError(text, "set the clock: tokens, certificates and image addresses depend on it")


NETWORK_CHECKS = (
    Check("endpoint", 2.0, _endpoint),
    Check("key", 2.0, _key),
    Check("name", 6.0, _name),
    Check("connection", 7.0, _connection),
    Check("proxy", 5.0, _proxy),
    Check("tls", 10.0, _tls),
    Check("clock", 8.0, _clock),
)
"""The checks in order. Later checks depend on earlier ones."""
