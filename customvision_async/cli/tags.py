"""``customvision tags``: list the tags of a project, or create one."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ._exit import ExitCode
from ._options import PROJECTS, CommonOptions, ProjectOption, find_project, training_client
from ._output import Output

__all__ = ["app"]

app: App = App(name="tags", help="List the tags of a project, or create one.", group=PROJECTS)
OutputArgument = Annotated[Output, Parameter(parse=False)]


@app.default
async def list_tags(
    *,
    project: ProjectOption,
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
) -> int:
    """List the tags: id, number of images, and name."""
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        count = 0
        async for tag in target.list_tags():
            output.line(f"{tag.id}  {tag.image_count or 0:>8,}  {tag.name}")
            output.event("tag", **msgspec.to_builtins(tag))
            count += 1
        if not count:
            output.note("The project has no tag yet.")
        output.event("summary", ok=True, exit_code=0, tags=count)
    return ExitCode.OK


@app.command
async def create(
    name: str,
    *,
    project: ProjectOption,
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
) -> int:
    """Create a tag and print its id."""
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        tag = await target.create_tag(name)
        output.summary([tag.id], ok=True, exit_code=0, id=tag.id, name=name)
    return ExitCode.OK
