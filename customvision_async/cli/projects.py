"""``customvision projects``: list the projects, or create one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ._exit import CommandError, ExitCode
from ._options import PROJECTS, CommonOptions, training_client
from ._output import Output

__all__ = ["app"]

app: App = App(name="projects", help="List the projects, or create one.", group=PROJECTS)
OutputArgument = Annotated[Output, Parameter(parse=False)]


@app.default
async def list_projects(
    *,
    common: CommonOptions = CommonOptions(),  # noqa: B008  # frozen
    output: OutputArgument,
) -> int:
    """List the projects: id and name."""
    async with training_client(common, output) as client:
        count = 0
        async for project in client.list_projects():
            output.line(f"{project.id}  {project.name}")
            output.event("project", **msgspec.to_builtins(project))
            count += 1
        if not count:
            output.note("There is no project yet.")
        output.event("summary", ok=True, exit_code=0, projects=count)
    return ExitCode.OK


@app.command
async def create(
    name: str,
    *,
    domain: Annotated[
        str,
        Parameter(
            help="Name or id of the domain, such as ObjectDetection/General; General if left out."
        ),
    ] = "General",
    description: str | None = None,
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
) -> int:
    """Create a project and print its id."""
    if not name.strip():
        raise CommandError("a project needs a name")
    async with training_client(common, output) as client:
        project = await client.create_project(name, domain=domain, description=description)
        if project.name not in (None, name):
            output.note(
                f"There is a project {name} already: the service called this one {project.name}"
            )
        output.summary([project.id], ok=True, exit_code=0, id=project.id, name=project.name or name)
    return ExitCode.OK
