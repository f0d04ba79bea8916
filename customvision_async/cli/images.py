"""``customvision list``, ``tag``, ``untag`` and ``delete``: the images of a project."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import anyio
import msgspec
from cyclopts import Group, Parameter
from cyclopts.validators import Number

from .. import Image, ProjectClient
from .._blocking import in_thread
from ._batch_runner import BatchRunner, RunOutcome
from ._exit import CommandError, ExitCode
from ._options import CommonOptions, ProjectOption, find_project, training_client
from ._output import Output
from ._signals import Interrupt
from ._stoppable_source import StoppableSource
from ._text import plural, printable

__all__ = ["delete", "list_images", "tag", "untag"]

_GROUP = Group("Which images", sort_key=10)
Tags = Annotated[
    tuple[str, ...],
    Parameter(name="--tag", required=True, help="Name or id of a tag; may be repeated."),
]
Ids = Annotated[str, Parameter(name="IMAGE", group=_GROUP, help="Ids of images.")]
OutputArgument = Annotated[Output, Parameter(parse=False)]
InterruptArgument = Annotated[Interrupt, Parameter(parse=False)]


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which images to show."""

    with_tag: Annotated[
        tuple[str, ...],
        Parameter(
            name=("--with-tag", "--tag"), help="Images with this tag; repeated, with any of them."
        ),
    ] = ()
    tagged: Annotated[
        bool | None, Parameter(negative="--untagged", help="Images with any tag, or with none.")
    ] = None

    @property
    def empty(self) -> bool:
        """Whether the filter matches all images."""
        return not self.with_tag and self.tagged is None

    def check(self) -> None:
        """Raise CommandError if the filter can match no image."""
        if self.with_tag and self.tagged is False:
            raise CommandError("--untagged and a tag: no image is both")


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class Selection(Filter):
    """Which images to delete."""

    ids_from: Annotated[
        str | None,
        Parameter(
            metavar="FILE",
            allow_leading_hyphen=True,
            help="Ids from a file (- is stdin), bare or in what list or upload --json print.",
        ),
    ] = None
    all: Annotated[bool, Parameter(help="All images of the project.")] = False


@Parameter(name="*", group=_GROUP)
@dataclass(frozen=True, kw_only=True)
class TagSelection(Selection):
    """Which images to tag or untag, where --tag is the tag to give or take."""

    with_tag: Annotated[
        tuple[str, ...],
        Parameter(name="--with-tag", help="Images with this tag; repeated, with any of them."),
    ] = ()


async def list_images(
    *,
    project: ProjectOption,
    chosen: Filter = Filter(),
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=0), help="Stop after so many.")
    ] = None,
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
) -> int:
    """List images, one a line: id, size, and tags (with --json, everything there is)."""
    chosen.check()
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        count = 0
        if limit is None or limit > 0:
            async for image in target.list_images(tagged=chosen.tagged, tags=chosen.with_tag):
                _show(image, output)
                count += 1
                if count == limit:
                    break
        output.note(plural(count, "image"), style="dim")
        output.event("summary", ok=True, exit_code=0, images=count)
    return ExitCode.OK


def _show(image: Image, output: Output) -> None:
    if output.as_json:
        output.event("image", **msgspec.to_builtins(image))
    else:
        size = f"{image.width}x{image.height}"
        tags = ", ".join(tag.tag_name or tag.tag_id for tag in image.tags)
        output.line(f"{image.id}  {size:>11}  {tags}".rstrip())


async def tag(
    *images: Ids,
    project: ProjectOption,
    tags: Tags,
    chosen: TagSelection = TagSelection(),
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
    interrupt: InterruptArgument,
) -> int:
    """Give tags to images."""
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        await _check_tags(target, tags)
        ids = await _selected(target, images, chosen)
        runner = _runner(output, interrupt, "tagged", len(ids))
        return await _change(runner, lambda source: target.tag_images(source, tags), ids)


async def untag(
    *images: Ids,
    project: ProjectOption,
    tags: Tags,
    chosen: TagSelection = TagSelection(),
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
    interrupt: InterruptArgument,
) -> int:
    """Take tags from images."""
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        await _check_tags(target, tags)
        ids = await _selected(target, images, chosen)
        runner = _runner(output, interrupt, "untagged", len(ids))
        return await _change(runner, lambda source: target.untag_images(source, tags), ids)


async def delete(
    *images: Ids,
    project: ProjectOption,
    chosen: Selection = Selection(),
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), help="Do not ask.")] = False,
    dry_run: Annotated[bool, Parameter(help="Only show what would be deleted.")] = False,
    common: CommonOptions = CommonOptions(),  # noqa: B008 - frozen
    output: OutputArgument,
    interrupt: InterruptArgument,
) -> int:
    """Delete images, for good. Asks first."""
    async with training_client(common, output) as client:
        target = await find_project(client, project)
        ids = await _selected(target, images, chosen)
        if dry_run:
            for image in ids:
                output.line(f"would delete {image}")
                output.event("would_delete", id=image)
            output.summary(
                [f"DRY RUN: {plural(len(ids), 'image')} would be deleted; nothing was."],
                ok=True,
                exit_code=0,
                dry_run=True,
                images=len(ids),
            )
            return ExitCode.OK
        if ids and not yes:
            await _ask(
                f"Delete {plural(len(ids), 'image')} of project {printable(project)} for good? "
                "[y/N] "
            )
        return await _change(
            _runner(output, interrupt, "deleted", len(ids)), target.delete_images, ids
        )


async def _check_tags(project: ProjectClient, tags: tuple[str, ...]) -> None:
    """Check that all tags exist, so that a misspelt tag is reported once and not for each image.

    Raises:
        LookupError: A tag does not exist. The message names the existing tags.
    """
    for name in tags:
        await project.get_tag(name)


async def _ask(question: str) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError(
            "will not delete without being told to: there is no terminal to ask on. Say --yes, "
            "or look first with --dry-run"
        )
    sys.stderr.write(question)
    sys.stderr.flush()
    if sys.platform != "win32":
        try:
            # Unlike readline, this wait can be cancelled by Ctrl-C.
            await anyio.wait_readable(sys.stdin)
        except anyio.get_cancelled_exc_class():
            sys.stderr.write("\n")
            raise
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("nothing was deleted", ExitCode.ITEMS)


async def _selected(
    project: ProjectClient, images: tuple[str, ...], chosen: Selection
) -> list[str]:
    """Return the ids of the images that the arguments select.

    Raises:
        CommandError: The images are selected in no way, or in several.
    """
    chosen.check()
    ways = bool(images) + (chosen.ids_from is not None) + chosen.all + (not chosen.empty)
    if ways != 1:
        raise CommandError(
            "say which images, in one way: IMAGE ids, --ids-from, --with-tag, --tagged, "
            "--untagged or --all"
        )
    if images:
        return list(dict.fromkeys(images))
    if chosen.ids_from is not None:
        return list(dict.fromkeys(await in_thread(_read_ids, chosen.ids_from)))
    found: AsyncIterator[Image] = aiter(
        project.list_images(tagged=chosen.tagged, tags=chosen.with_tag)
    )
    return [image.id async for image in found]


def _read_ids(name: str) -> list[str]:
    """Return the ids in a file.

    A line holds an id as its first word, or is a JSON event of ``list`` or ``upload``.

    Raises:
        CommandError: The file cannot be read, or a line is invalid.
    """
    try:
        # Unbuffered, because a thread that still waits in a buffered stdin aborts the interpreter
        # at its exit.
        stdin = name == "-"
        with open(0 if stdin else name, "rb", buffering=0, closefd=not stdin) as file:
            lines = file.readall().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(
            f"--ids-from {name}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}"
        ) from None
    ids: list[str] = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if line.lstrip().startswith("{"):
            try:
                event = json.loads(line)
            except ValueError:
                raise CommandError(
                    f"--ids-from {name}, line {number}: neither an id nor a JSON object"
                ) from None
            words = (
                [event["id"]]
                if event.get("event") in {"image", "item"} and isinstance(event.get("id"), str)
                else []
            )
        ids += words[:1]
    return ids


def _runner(output: Output, interrupt: Interrupt, verb: str, total: int) -> BatchRunner:
    return BatchRunner(output, interrupt, "image", verb, _describe_image, lambda: total)


def _describe_image(item: Any) -> Mapping[str, Any]:
    return {"id": getattr(item, "id", None) or str(item)}


async def _change(runner: BatchRunner, start: Any, ids: list[str]) -> int:
    """Run a change of the images `ids`, and return the exit code."""
    code = ExitCode.OK

    def on_end(outcome: RunOutcome) -> None:
        nonlocal code
        report = outcome.report
        code = (
            ExitCode.ITEMS if report.failed or report.pending or outcome.not_begun else ExitCode.OK
        )
        lines = runner.lines(outcome) if ids else [f"No image matches: nothing {runner.verb}."]
        runner.summarize(outcome, lines, code)

    outcome = await runner.run(start, StoppableSource([ids]), on_end=on_end)
    if outcome.error is not None:
        raise outcome.error
    return code
