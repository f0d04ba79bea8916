"""``customvision doctor --probe``: determine undocumented behaviour of the service.

The probes run in a scratch project. Each emulator switch about the service has a probe in
:data:`PROBES` or a reason in :data:`LEFT_OPEN`. A failed probe leaves its switch unsettled and does
not affect the others. The profile contains no key, id or address of the account.
"""

from __future__ import annotations

import http.client
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from ...emulator._switches import SWITCHES, profile_text
from . import project_probes as project
from . import request_probes as requests
from . import upload_probes as uploads
from .network import Response
from .scratch_project import Resource, Scratch, UnsettledError, scratch_project

__all__ = ["COST", "LEFT_OPEN", "PROBES", "Profile", "Stages", "probe", "write_profile"]

Kind = Literal["classification", "detection"]
_GENERAL_DETECTION = "da2e3a8a-40a5-4171-82f4-58522f70fbc1"
_SETTINGS: dict[Kind, dict[str, str]] = {
    "classification": {"classificationType": "Multilabel"},
    "detection": {"domainId": _GENERAL_DETECTION},
}
_EXPECTED = (OSError, http.client.HTTPException, ValueError, LookupError, TypeError, AttributeError)
"""Errors of the network, and of a response with an unexpected structure."""

COST = (
    "two scratch projects, one after the other, each deleted at its end; about 50 images of "
    "less than 1 kB; "
    "some 80 requests, and bursts of some 100 more that use up the quota of a second: half a "
    "minute (S0) to two minutes (F0); "
    "no training and no prediction"
)
"""The cost of the probe on a real resource."""

PROBES: dict[Kind, dict[str, Callable[[Scratch], Awaitable[Any]]]] = {
    "classification": {
        name: getattr(module, name)
        for module, names in (
            (uploads, uploads.__all__),
            (
                project,
                (
                    "names_ignore_case",
                    "strict_ids",
                    "strict_metadata",
                    "null_lists",
                    "vnet",
                    "address_seconds",
                    "originals_kept",
                    "workspace_listed",
                ),
            ),
            (requests, ("json_reader",)),
        )
        for name in names
    },
    "detection": {
        "shuffle_created": project.shuffle_created,
        "repeated_region_is_400": project.repeated_region_is_400,
    },
}
"""The probes, by the kind of project that they need."""

_OF_RESOURCE: dict[str, Callable[[Resource], Awaitable[Any]]] = {
    "cors": requests.cors,
    "refuse_early": requests.refuse_early,
    "newer_domains": project.newer_domains,
    "newest_iteration_first": project.newest_iteration_first,
}
_OF_QUOTA = ("retry_after", "counting", "penalty")
_EMPTY_TAG = "empty_tag_stops_training"
_FULL = "quota_is_401"

LEFT_OPEN = {
    "body_bytes": "it takes a request of more than 56 MB",
    "cross_resource_fetch": "it takes a second resource",
    "republish_is_400": "it takes a trained iteration and a prediction resource",
    _FULL: "the resource has room for another project",
}
"""Switches that the probe cannot settle, with the reason."""


@dataclass
class Profile:
    """The result of a probe: settled switches, and reasons for the others."""

    switches: dict[str, Any] = field(default_factory=dict[str, Any])
    not_settled: dict[str, str] = field(default_factory=dict[str, str])

    async def settle(self, name: str, find: Awaitable[Any]) -> None:
        """Await `find`, and store the value of the switch or the reason for having none."""
        try:
            self.keep(name, await find)
        except UnsettledError as error:
            self.not_settled[name] = str(error)
        except _EXPECTED as error:
            self.not_settled[name] = f"the probe failed: {type(error).__name__}"

    def keep(self, name: str, value: Any) -> None:
        """Store a value, or the reason for having none."""
        if isinstance(value, UnsettledError):
            self.not_settled[name] = str(value)
        else:
            self.switches[name] = value


@dataclass(frozen=True)
class Stages:
    """Callbacks of a probe.

    Attributes:
        on_stage: Called with a message for each stage.
        on_not_deleted: Called with the name of a project that could not be deleted.
    """

    on_stage: Callable[[str], None]
    on_not_deleted: Callable[[str], None]


async def probe(
    resource: Resource, stages: Stages, *, only: Iterable[str] | None = None
) -> Profile:
    """Settle switches of the emulator, and return their values.

    Args:
        resource: The resource to probe.
        stages: The callbacks.
        only: The switches to settle. By default, all that are about the service.
    """
    wanted = {name for name, switch in SWITCHES.items() if switch.open}
    wanted &= wanted if only is None else set(only)
    profile = Profile()
    for name, find in _OF_RESOURCE.items():
        if name in wanted:
            await profile.settle(name, find(resource))
    empty: dict[Kind, bool | None] = dict.fromkeys(PROBES)
    for kind, probes in PROBES.items():
        chosen = {name: find for name, find in probes.items() if name in wanted}
        if chosen or _EMPTY_TAG in wanted:
            empty[kind] = await _in_project(
                resource, kind, chosen, profile, stages, with_empty_tag=_EMPTY_TAG in wanted
            )
    if _EMPTY_TAG in wanted:
        value = project.empty_tag_stops_training(empty["classification"], empty["detection"])
        await profile.settle(_EMPTY_TAG, value)
    if wanted & set(_OF_QUOTA):
        stages.on_stage("Probing the quota of requests")
        await _probe_quota(resource, profile)
    known = {**profile.switches, **profile.not_settled}
    for name in wanted - known.keys():
        profile.not_settled[name] = LEFT_OPEN.get(name, "the probe does not know how")
    for found in (profile.switches, profile.not_settled):
        for name in found.keys() - wanted:
            del found[name]
    return profile


async def _in_project(
    resource: Resource,
    kind: Kind,
    probes: Mapping[str, Callable[[Scratch], Awaitable[Any]]],
    profile: Profile,
    stages: Stages,
    *,
    with_empty_tag: bool,
) -> bool | None:
    """Run probes in a scratch project of one kind.

    Return whether a tag without images prevents training, or None if that is unknown.
    """
    empty: bool | None = None
    name = f"customvision-doctor-probe-{secrets.token_hex(4)}"
    stages.on_stage(f"Probing in the scratch project {name}, for {kind}")

    def on_refused(response: Response) -> None:
        if response.status == 401:
            profile.switches[_FULL] = True
        elif "Exceed" in response.code:
            profile.switches[_FULL] = False

    try:
        async with scratch_project(
            resource, name, _SETTINGS[kind], on_refused, stages.on_not_deleted
        ) as scratch:
            if with_empty_tag:  # before the first upload
                with suppress(UnsettledError, *_EXPECTED):
                    empty = await project.empty_tag(scratch)
            for switch, find in probes.items():
                await profile.settle(switch, find(scratch))
    except (UnsettledError, *_EXPECTED) as error:
        why = str(error) if isinstance(error, UnsettledError) else type(error).__name__
        for switch in probes.keys() - profile.switches.keys() - profile.not_settled.keys():
            profile.not_settled[switch] = why
    return empty


async def _probe_quota(resource: Resource, profile: Profile) -> None:
    try:
        found = await requests.quota(resource)
    except (UnsettledError, *_EXPECTED, ExceptionGroup) as error:
        found = dict.fromkeys(
            _OF_QUOTA, UnsettledError(f"the probe failed: {type(error).__name__}")
        )
    for name, value in found.items():
        profile.keep(name, value)


def write_profile(path: Path, profile: Profile, api_version: str, date: str) -> None:
    """Write the profile to `path` atomically."""
    text = profile_text(
        profile.switches,
        about=(
            "What customvision doctor --probe found of the service. Switches that are not named "
            "are not settled."
        ),
        customvision_async=version("customvision_async"),
        api_version=api_version,
        date=date,
        not_settled=profile.not_settled,
    )
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
