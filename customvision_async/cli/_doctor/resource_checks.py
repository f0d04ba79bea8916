"""The checks of ``customvision doctor`` for the service: access, versions, domains, quota."""

from __future__ import annotations

from ... import ApiVersion
from .._text import plural
from .examination import PAGE, Check, Examination, Finding, ProblemError, WarningError, host_of

__all__ = ["RESOURCE_CHECKS"]

_NO_PROJECT = "00000000-0000-0000-0000-000000000000"
"""A project id that does not exist."""


async def _access(exam: Examination) -> Finding:
    exam.need(exam.reachable, "there is no trusted connection")
    exam.need(exam.key, "there is no usable key")
    response = exam.access = await exam.get("/projects")
    if exam.projects is not None:
        count = plural(len(exam.projects), "project")
        return Finding("", "ok", f"{exam.api_version} answers: {count}")
    if response.status in (401, 404) and await _is_prediction_key(exam):
        raise ProblemError(
            (
                f"{response.status}, and the Prediction API takes the key: it is of a prediction "
                "resource"
            ),
            f"take endpoint and key from {PAGE}",
        )
    if response.status == 401:
        label = exam.host.partition(".")[0]
        regional = exam.host.endswith(".api.cognitive.microsoft.com")
        region = f"the resource may be in another region than {label}, or " if regional else ""
        raise ProblemError(
            "401: the endpoint does not accept the key",
            f"{region}the key is of another resource, or was regenerated: take both from {PAGE}",
        )
    if response.status == 403:
        raise ProblemError(
            f"403: {response.message or 'forbidden'}",
            (
                "the key is known but not allowed from here: look at the network rules of the "
                "resource, and whether keys are disabled"
            ),
        )
    if response.status == 429:
        raise ProblemError(
            "429 twice: the quota is used up", "stop other programs that use the key"
        )
    if not response.of_service:
        where = response.headers.get("location", "")
        text = f"{response.status}: another web site answers"
        raise ProblemError(
            text + (f", and redirects to {host_of(where)}" if where else ""),
            f"take the endpoint from {PAGE}; behind a sign-in page of a network, sign in first",
        )
    if response.status == 404:
        raise ProblemError(
            f"404: no Training API {exam.api_version} there",
            "the resource is of another kind (or has another version: see below)",
        )
    raise ProblemError(
        f"{response.status}: {response.message or response.reason}",
        "try again later; the state of the service is on https://status.azure.com",
    )


async def _is_prediction_key(exam: Examination) -> bool:
    """Return whether the Prediction API accepts the key, and rejects the project only."""
    assert exam.link is not None
    response = await exam.link.request(
        "POST",
        f"/customvision/v3.0/Prediction/{_NO_PROJECT}/classify/iterations/none/url/nostore",
        headers={"Prediction-Key": exam.key, "Content-Type": "application/json"},
        body=b'{"url":"https://example.com/none.jpg"}',
    )
    return response.status in (400, 404) and response.code.startswith(("BadRequest", "NotFound"))


async def _versions(exam: Examination) -> Finding:
    status = exam.access.status if exam.access is not None else 0
    exam.need(status in (200, 404), "there is no access")
    statuses: dict[ApiVersion, int] = {}
    for version in ApiVersion:
        statuses[version] = (await exam.get("/domains", version.value)).status
    there = [version for version, status in statuses.items() if status == 200]
    if not there:
        raise ProblemError("none gives its domains", "see what the access check says")
    missing = [f"{version} ({status})" for version, status in statuses.items() if status != 200]
    found = ", ".join(there) + (f"; not {', '.join(missing)}" if missing else "")
    if exam.api_version not in there:
        raise ProblemError(found, f"use --api-version {there[-1]}")
    return Finding("", "ok", found)


async def _domains(exam: Examination) -> Finding:
    exam.need(exam.projects is not None, "there is no access")
    response = await exam.get("/domains")
    if response.status != 200 or not isinstance(response.json, list):
        raise ProblemError(
            f"{response.status}: {response.message}", "see what the access check says"
        )
    kinds = [str(_member(domain, "type") or "Classification") for domain in response.json]
    text = f"{kinds.count('Classification')} for classification"
    return Finding("", "ok", f"{text}, {kinds.count('ObjectDetection')} for object detection")


def _member(value: object, name: str) -> object:
    """Return a member of a JSON object. In v1.2, names begin with a capital letter."""
    if not isinstance(value, dict):
        return None
    return value.get(name, value.get(name.capitalize()))


async def _quota(exam: Examination) -> Finding:
    exam.need(exam.projects is not None, "there is no access")
    assert exam.access is not None
    count = len(exam.projects or ())
    public_status = [
        f"{name}: {value}"
        for response in (exam.access, *exam.refusals)
        for name, value in response.headers.items()
        if "ratelimit" in name or name == "retry-after"
    ]
    found = f"{plural(count, 'project')} of 2 (F0) or 100 (S0)"
    found += f"; {'; '.join(dict.fromkeys(public_status))}" if public_status else ""
    if exam.refusals:
        words = exam.refusals[0].message
        tier = next((f" (tier {tier})" for tier in ("F0", "S0") if f" {tier} " in words), "")
        text = f"{found}; {plural(len(exam.refusals), 'request')} refused with 429{tier}"
        raise WarningError(
            text, "the quota of requests is small or in use: uploads slow down to it"
        )
    if count >= 100:
        raise WarningError(found, "no project can be made before one is deleted")
    return Finding("", "ok", found)


RESOURCE_CHECKS = (
    Check("access", 15.0, _access),
    Check("versions", 20.0, _versions),
    Check("domains", 10.0, _domains),
    Check("quota", 1.0, _quota),
)
