"""``customvision doctor``: diagnose the access to a resource.

With ``--probe`` it also determines undocumented behaviour of the service.
"""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..emulator._switches import SWITCHES
from ._doctor.examination import Examination, Finding, examine
from ._doctor.network import Link, in_thread
from ._doctor.network_checks import NETWORK_CHECKS
from ._doctor.probe import COST, Stages, write_profile
from ._doctor.probe import probe as make_probe
from ._doctor.resource_checks import RESOURCE_CHECKS
from ._doctor.scratch_project import Resource
from ._exit import CommandError, ExitCode
from ._options import ENDPOINT, KEY, CommonOptions, embedded, environment, parse_version
from ._output import Output

__all__ = ["doctor"]


async def doctor(
    *,
    probe: Annotated[
        Path | None,
        Parameter(
            metavar="[FILE]",
            help="Also find out, in a scratch project that is deleted at the end, what the service "
            "does where no document tells, "
            "and write it to FILE, which the emulator takes as a profile and an issue as an "
            "attachment.",
        ),
    ] = None,
    yes: Annotated[bool, Parameter(help="Probe without asking.")] = False,
    common: CommonOptions = CommonOptions(),  # noqa: B008  # frozen
    output: Annotated[Output, Parameter(parse=False)],
) -> int:
    """Check endpoint, key, network, TLS, clock and quota, and say what to do about each problem.

    Exits with 0 if there is no problem, and with 1 if there is one. Never shows the key.
    """
    if probe is not None and not probe.absolute().parent.is_dir():
        raise CommandError(f"--probe: there is no folder {probe.absolute().parent}")
    async with AsyncExitStack() as stack:
        found = dict(await environment(common))
        if common.emulator is not None:
            emulator = await stack.enter_async_context(embedded(common.emulator))
            found |= {ENDPOINT: emulator.endpoint, KEY: emulator.training_key}
        exam = Examination(
            found.get(ENDPOINT, ""),
            found.get(KEY, ""),
            found.get("VISION_PREDICTION_KEY", ""),
            parse_version(common.api_version),
        )
        findings = await examine(
            exam, (*NETWORK_CHECKS, *RESOURCE_CHECKS), lambda finding: _show(output, finding)
        )
        states = [finding.state for finding in findings]
        counts = {"problems": states.count("problem"), "warnings": states.count("warning")}
        code = ExitCode.ITEMS if counts["problems"] else ExitCode.OK
        words = ", ".join(f"{count} {name}" for name, count in counts.items())
        if probe is None or counts["problems"]:
            more = (
                ["the probe was not made: it needs a resource without a problem"] if probe else []
            )
            output.summary([words, *more], ok=code is ExitCode.OK, exit_code=int(code), **counts)
            return code
        output.line(words)
        if common.emulator is None:  # a probe of the emulator is free
            await _consent(output, probe, yes=yes)
        return await _probe(output, exam, probe, counts)


def _show(output: Output, finding: Finding) -> None:
    more = f": {finding.advice}" if finding.advice else ""
    output.line(f"{finding.state:<11} {finding.name:<10} {finding.found}{more}")
    output.event(
        "check",
        name=finding.name,
        state=finding.state,
        found=finding.found,
        advice=finding.advice or None,
    )


async def _consent(output: Output, file: Path, *, yes: bool) -> None:
    """Print the cost of the probe, and ask for consent unless `yes`.

    Raises:
        CommandError: The user declines, or cannot be asked.
    """
    output.note(f"The probe makes {COST}. It writes {file}.")
    if yes:
        return
    if output.as_json or not os.isatty(0):
        raise CommandError("--probe: give --yes where nobody can be asked")
    output.note("Go on? [y/N]")
    reply = await in_thread(lambda: os.read(0, 100), None)
    if reply.strip().lower() not in (b"y", b"yes"):
        raise CommandError("--probe: not made")


async def _probe(output: Output, exam: Examination, file: Path, counts: dict[str, int]) -> ExitCode:
    not_deleted: list[str] = []

    def on_not_deleted(name: str) -> None:
        not_deleted.append(name)
        output.error(f"the scratch project {name} could not be deleted: delete it")

    resource = Resource(Link(exam.endpoint, 20.0), exam.key)
    try:
        profile = await make_probe(resource, Stages(output.note, on_not_deleted))
    finally:
        resource.link.close()
    write_profile(file, profile, resource.version, f"{datetime.now(UTC):%Y-%m-%d}")
    for name, value in profile.switches.items():
        differs = value != SWITCHES[name].default
        output.line(f"settled     {name} is {value!r}{', unlike the default' if differs else ''}")
        output.event("switch", name=name, value=value, differs=differs)
    for name, why in profile.not_settled.items():
        output.line(f"not settled {name}: {why}")
        output.event("switch", name=name, not_settled=why)
    code = ExitCode.ITEMS if not_deleted else ExitCode.OK
    settled, unsettled = len(profile.switches), len(profile.not_settled)
    output.summary(
        [f"{settled} switches settled, {unsettled} not; written to {file}"],
        ok=not not_deleted,
        exit_code=int(code),
        **counts,
        settled=settled,
        not_settled=unsettled,
        left=not_deleted,
        file=file,
    )
    return code
