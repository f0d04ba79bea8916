"""The options that all commands share, and the client that they configure.

The endpoint and the key come from the environment or from a file. A command-line argument is
visible to every user of the machine, and stays in the history of the shell.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
from cyclopts import Group, Parameter

from .. import ApiVersion, Event, NotFoundError, ProjectClient, RetryScheduled, TrainingClient
from .._blocking import in_thread
from ._exit import CommandError, ExitCode
from ._output import Output
from ._text import names

if TYPE_CHECKING:
    from ..emulator import Emulator

__all__ = [
    "DEFAULT_EMULATOR",
    "DEFAULT_PROFILE",
    "ENDPOINT",
    "KEY",
    "PROJECTS",
    "CommonOptions",
    "OutputOptions",
    "ProjectOption",
    "embedded",
    "emulator_class",
    "environment",
    "find_project",
    "parse_version",
    "read_env_file",
    "training_client",
]

DEFAULT_EMULATOR = ".customvision-emulator"
DEFAULT_PROFILE = "customvision-profile.json"
ENDPOINT, KEY = "VISION_TRAINING_ENDPOINT", "VISION_TRAINING_KEY"
_CLOSE_SECONDS = 3.0
"""Seconds for connections and the embedded emulator to close."""
_MIN_NOTICE_DELAY = 0.5
"""Seconds of delay from which a retry is reported."""
_NOTICE_SECONDS = 4.0
"""Minimum seconds between two notices."""
_GROUP = Group("Connection and output", sort_key=90)
PROJECTS = Group("Projects", sort_key=2)
"""Help group of the commands for projects and tags."""

ProjectOption = Annotated[
    str, Parameter(name="--project", metavar="NAME_OR_ID", help="Name or id of the project.")
]


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Output."""

    json: Annotated[
        bool, Parameter(help="One JSON object a line on stdout: events, then a summary.")
    ] = False
    debug: Annotated[bool, Parameter(help="Log every request to stderr, and show tracebacks.")] = (
        False
    )


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class CommonOptions(OutputOptions):
    """Connection and output."""

    env_file: Annotated[
        Path | None,
        Parameter(
            help=f"File with {ENDPOINT}=... and {KEY}=... lines; goes before the environment."
        ),
    ] = None
    emulator: Annotated[
        str | None,
        Parameter(
            metavar="[DIR]",
            help=(
                f"Use an embedded emulator kept in DIR ({DEFAULT_EMULATOR} if left out) in place "
                "of the service."
            ),
        ),
    ] = None
    api_version: Annotated[
        str, Parameter(metavar="VERSION", help="Version of the Training API; v3.3 if left out.")
    ] = ApiVersion.V3_3.value


_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$")


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a file with NAME=VALUE lines.

    A line may begin with ``export``, and a value may have quotes. Blank lines and lines that begin
    with # are ignored.

    Raises:
        CommandError: The file cannot be read, or a line has another form.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandError(
            f"the --env-file cannot be read: {path}: {error.strerror}", ExitCode.USAGE
        ) from None
    except UnicodeDecodeError:
        raise CommandError(f"the --env-file is not UTF-8 text: {path}", ExitCode.USAGE) from None
    values: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.match(line)
        if match is None:  # do not show the line, which may contain the key
            raise CommandError(f"{path}, line {number}: not of the form NAME=VALUE", ExitCode.USAGE)
        name, value = match.groups()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        values[name] = value
    return values


async def environment(common: CommonOptions) -> Mapping[str, str]:
    """Return the environment variables, overridden by those of ``--env-file``."""
    if common.env_file is None:
        return os.environ
    # Read in a thread, because the file may be a pipe that nobody writes to.
    return {**os.environ, **await in_thread(read_env_file, common.env_file)}


async def _credentials(common: CommonOptions) -> tuple[str, str]:
    found = await environment(common)
    missing = [name for name in (ENDPOINT, KEY) if not found.get(name, "").strip()]
    if missing:
        raise CommandError(
            f"{' and '.join(missing)} not set. Take the endpoint and the key from the training "
            "resource's page in the Azure portal,\n"
            "set them in the environment or in a file given with --env-file; or try without a "
            "service: --emulator",
            ExitCode.SERVICE,
        )
    return found[ENDPOINT].strip(), found[KEY].strip()


def emulator_class() -> type[Emulator]:
    """Return the emulator class.

    Raises:
        CommandError: Pillow is not installed.
    """
    try:
        from ..emulator import Emulator
    except ImportError:  # raised by the emulator if Pillow is missing
        raise CommandError(
            "the emulator needs Pillow, which is not installed. In the clone it was installed "
            "from: pip install '.[cli,emulator]'"
        ) from None
    return Emulator


def parse_version(text: str) -> ApiVersion:
    """Return the API version of that name.

    Raises:
        CommandError: There is no such version.
    """
    for version in ApiVersion:
        if text.lower().removeprefix("v") == version.value.removeprefix("v"):
            return version
    known = names(version.value for version in ApiVersion)
    raise CommandError(f"there is no API version {text}; there are {known}")


class RetryNotice:
    """An observer that reports retries with a long delay, at most one every few seconds."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._last_notice = -_NOTICE_SECONDS

    def __call__(self, event: Event) -> None:
        if (
            not isinstance(event, RetryScheduled)
            or event.delay < _MIN_NOTICE_DELAY
            or (now := time.monotonic()) - self._last_notice < _NOTICE_SECONDS
        ):
            return
        if "429" in event.reason and event.delay < _NOTICE_SECONDS:
            return  # expected while the rate limit is being discovered
        self._last_notice = now
        self._output.note(
            f"{event.reason.removeprefix(f'{event.operation}: ')}; again in {event.delay:.0f} s",
            style="dim",
        )
        self._output.event(
            "retry", operation=event.operation, reason=event.reason, delay=round(event.delay, 3)
        )


@asynccontextmanager
async def embedded(folder: str) -> AsyncIterator[Emulator]:
    """Run an emulator with its data in `folder`."""
    emulator = emulator_class()(data=folder)
    try:
        await emulator.start()
    except OSError as error:
        why = getattr(error, "strerror", None)
        raise CommandError(
            f"no emulator can be kept in {folder}: {why}" if why else str(error)
        ) from None
    try:
        yield emulator
    finally:
        await emulator.stop()


@asynccontextmanager
async def training_client(common: CommonOptions, output: Output) -> AsyncIterator[TrainingClient]:
    """Yield a client for the options.

    Closing is shielded from cancellation and limited in time.
    """
    version = parse_version(common.api_version)
    stack = AsyncExitStack()
    try:
        if common.emulator is None:
            endpoint, key = await _credentials(common)
        else:
            emulator = await stack.enter_async_context(embedded(common.emulator))
            endpoint, key = emulator.endpoint, emulator.training_key
            output.note(f"Emulator kept in {common.emulator}", style="dim")
        try:
            client = TrainingClient(
                endpoint, key, api_version=version, observers=[RetryNotice(output)]
            )
        except ValueError as error:
            raise CommandError(str(error), ExitCode.SERVICE) from None
        yield await stack.enter_async_context(client)
    finally:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await stack.aclose()


async def find_project(client: TrainingClient, name_or_id: str) -> ProjectClient:
    """Return the project with a name or id.

    Raises:
        CommandError: There is no such project.
    """
    try:
        return await client.find_project(name_or_id)
    except NotFoundError as error:
        if error.status >= 400:  # an HTTP error, such as a wrong endpoint
            raise
        raise CommandError(
            f"{error.message}. Make it with --create-project or 'customvision projects create'."
        ) from None
