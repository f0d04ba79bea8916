"""``customvision upload``: images from folders and files into a project."""

from __future__ import annotations

import os
import shlex
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from .. import ItemResult, NotFoundError, ProjectClient, TrainingClient
from ..models import ImageFile, ImageUrl, SkippedItem
from ..sources import images_from_manifest, images_in
from ._batch_runner import BatchRunner, RunOutcome
from ._exit import CommandError, ExitCode
from ._failed_items import FailedItems
from ._item_counter import ItemCounter
from ._options import CommonOptions, ProjectOption, find_project, training_client
from ._output import Output
from ._signals import Interrupt
from ._stoppable_source import StoppableSource
from ._text import plural

__all__ = ["describe_item", "upload"]


async def upload(
    *paths: Annotated[
        Path,
        Parameter(name="PATH", help="Folders and files. Folders are searched through and through."),
    ],
    project: ProjectOption,
    tag: Annotated[tuple[str, ...], Parameter(help="Tag for every image; may be repeated.")] = (),
    tags_from_folders: Annotated[
        bool, Parameter(help="The first folder below PATH is a tag: photos/apple/1.jpg.")
    ] = False,
    create_project: Annotated[
        bool, Parameter(help="Make the project if there is none of that name.")
    ] = False,
    domain: Annotated[
        str,
        Parameter(
            help=(
                "Domain of a project that is made, such as ObjectDetection/General; General if "
                "left out."
            )
        ),
    ] = "General",
    create_tags: Annotated[
        bool,
        Parameter(
            negative="--no-create-tags",
            help="Whether to make tags that the project lacks; yes if left out.",
        ),
    ] = True,
    from_failed: Annotated[
        Path | None, Parameter(help="Send again what is in a failed-items file; needs no PATH.")
    ] = None,
    failed_file: Annotated[
        Path | None,
        Parameter(
            help="Where to list what did not land. A file of its own for each run if left out."
        ),
    ] = None,
    common: CommonOptions = CommonOptions(),  # noqa: B008  # frozen
    output: Annotated[Output, Parameter(parse=False)],
    interrupt: Annotated[Interrupt, Parameter(parse=False)],
) -> int:
    """Upload images to a project.

    Takes JPEG, PNG, GIF and BMP files by their first bytes; everything else in a folder is left out
    and counted as skipped. An image that the project has already is no failure, so the same
    command may be run again.
    """
    if not paths and from_failed is None:
        hint = (
            f" ({common.emulator!r} was taken as the folder of --emulator)"
            if common.emulator
            else ""
        )
        raise CommandError(f"nothing to upload: give a PATH or --from-failed FILE{hint}")
    folders = _folders(paths, tag, tags_from_folders)
    _check_readable(from_failed)
    _check_writable(failed_file)
    counter = ItemCounter([os.fspath(path) for path in paths], from_failed)
    try:
        async with training_client(common, output) as client:
            target = await _target(client, project, domain, output, create=create_project)
            runner = BatchRunner(
                output, interrupt, "image", "landed", describe_item, lambda: counter.total
            )
            named = frozenset(os.path.basename(path) for path in paths if not path.is_dir())
            failed = [] if from_failed is None else [_failed_items(from_failed, target, tag)]
            return await upload_from(
                target,
                [*folders, *failed],
                runner,
                create_tags=create_tags,
                failed_file=failed_file,
                named=named,
                tags_from_folders=tags_from_folders,
                repeat_options=_repeat_options(project, common),
            )
    finally:
        counter.end()


_UNTAGGED = "{} got no tag: only those in a subfolder of PATH have one with --tags-from-folders."


async def upload_from(
    project: ProjectClient,
    sources: Sequence[Any],
    runner: BatchRunner,
    *,
    create_tags: bool = True,
    failed_file: Path | None = None,
    named: frozenset[str] = frozenset(),
    tags_from_folders: bool = False,
    repeat_options: str = "",
) -> int:
    """Upload the items of several sources, and return the exit code.

    Args:
        project: The project to upload to.
        sources: The sources, in order.
        runner: Runs the batch.
        create_tags: Whether to create missing tags.
        failed_file: The failed-items file. By default, a new file if an item fails.
        named: Names of files that were given as arguments. Skipping one is a failure.
        tags_from_folders: The images should have tags, so the summary counts those without.
        repeat_options: The options to suggest for an upload of the failed items.
    """
    code = ExitCode.OK
    refused = False
    untagged = 0
    failed = FailedItems(project, failed_file)

    def on_result(result: ItemResult[Any, Any]) -> None:
        nonlocal refused, untagged
        untagged += result.ok and not getattr(result.item, "tags", ())
        refused = refused or (result.skipped and _must_not_skip(result.item, named))
        failed.add(result)

    def on_end(outcome: RunOutcome) -> None:
        nonlocal code
        code = ExitCode.ITEMS if refused or _is_incomplete(outcome) else ExitCode.OK
        failed.finish((item for _, item in outcome.report.pending_items), outcome.not_begun)
        notes = (
            [_UNTAGGED.format(plural(untagged, "image"))] if tags_from_folders and untagged else []
        )
        _summarize(outcome, runner, failed, repeat_options, code, notes)

    outcome = await runner.run(
        lambda source: project.upload_images(source, create_missing_tags=create_tags),
        StoppableSource(sources),
        on_result=on_result,
        on_end=on_end,
    )
    if outcome.error is not None:
        raise outcome.error
    return code


def _folders(paths: Sequence[Path], tags: Sequence[str], tags_from_folders: bool) -> list[Any]:
    if tags_from_folders and paths and not tags and not any(map(_has_subfolder, paths)):
        parent = os.path.normpath(os.path.join(paths[0], ".." if paths[0].is_dir() else "../.."))
        raise CommandError(
            "no image would get a tag: --tags-from-folders tags the images in the subfolders of"
            f" PATH, and {paths[0]} has none. Did you mean PATH {parent}?"
        )
    folders: list[Any] = []
    for path in paths:
        try:
            folders.append(images_in(path, tags=tags, tags_from_folders=tags_from_folders))
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from None
    return folders


def _has_subfolder(path: Path) -> bool:
    """Return whether `path` is a folder with a folder in it, or cannot be read."""
    try:
        with os.scandir(path) as entries:
            return any(
                entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
                for entry in entries
            )
    except NotADirectoryError:
        return False
    except OSError:
        return True


def _failed_items(path: Path, project: ProjectClient, tags: Sequence[str]) -> AsyncIterator[Any]:
    """Return the items of a failed-items file of `project`, with `tags` added."""
    return _with_tags(images_from_manifest(path, project=project.id), tags)


def _check_readable(path: Path | None) -> None:
    if path is not None:
        try:
            os.stat(path)
        except OSError as error:
            raise CommandError(
                f"the --from-failed file cannot be read: {path}: {error.strerror}"
            ) from None


async def _with_tags(manifest: AsyncIterable[Any], tags: Sequence[str]) -> AsyncIterator[Any]:
    """Yield the items of a manifest with `tags` added."""
    async for item in manifest:
        yield (
            item
            if isinstance(item, SkippedItem)
            else replace(item, tags=tuple(dict.fromkeys((*item.tags, *tags))))
        )


def _check_writable(path: Path | None) -> None:
    """Raise CommandError before the upload if the failed-items file cannot be written."""
    if path is not None and (path.is_dir() or not os.access(path.parent, os.W_OK)):
        raise CommandError(f"the --failed-file cannot be written: {path}")


async def _target(
    client: TrainingClient, name: str, domain: str, output: Output, *, create: bool
) -> ProjectClient:
    if not create:
        return await find_project(client, name)
    try:
        return await client.find_project(name)
    except NotFoundError as error:
        if error.status >= 400:
            raise
        project = await client.create_project(name, domain=domain)
        output.note(f"Made project {name} ({project.id})")
        output.event("project_created", name=name, id=project.id)
        return project


def _repeat_options(project: str, common: CommonOptions) -> str:
    """Return the options that an upload of the failed items needs, quoted for a shell."""
    words = ["--project", project]
    if common.emulator is not None:
        words += ["--emulator", common.emulator]
    if common.env_file is not None:
        words += ["--env-file", str(common.env_file)]
    return shlex.join(words)


def describe_item(item: Any) -> Mapping[str, Any]:
    """Return the output fields of an item. The first field is its display name."""
    fields: dict[str, Any] = {"name": getattr(item, "name", None) or str(item)}
    if isinstance(item, ImageFile | SkippedItem) and item.path is not None:
        fields["path"] = os.fspath(item.path)
    elif isinstance(item, ImageUrl):
        fields["url"] = item.url
    return fields


def _is_incomplete(outcome: RunOutcome) -> bool:
    """Return whether an item has not succeeded, or there were no items to upload."""
    report = outcome.report
    return bool(report.failed or report.pending or outcome.not_begun or not report.succeeded)


def _must_not_skip(item: object, named: frozenset[str]) -> bool:
    """Return whether `item` is a named file or an invalid line of a manifest."""
    return getattr(item, "name", None) in named or _is_invalid_line(item)


def _is_invalid_line(item: object) -> bool:
    return isinstance(item, SkippedItem) and item.reason.startswith("not a line of a manifest")


def _summarize(
    outcome: RunOutcome,
    runner: BatchRunner,
    failed: FailedItems,
    repeat_options: str,
    code: ExitCode,
    notes: Sequence[str],
) -> None:
    """Print the summary, with the command that uploads the failed items."""
    lines = runner.lines(outcome)
    stopped = outcome.error is not None or runner.interrupt.code is not None
    if outcome.report.submitted == outcome.report.skipped and not stopped:
        lines = [
            "Nothing to upload: "
            + (
                f"{plural(outcome.report.skipped, 'file')}, none an image."
                if outcome.report.skipped
                else "no file."
            )
        ]
    lines += notes
    path, unretryable = failed.path, failed.unretryable
    not_uploaded = outcome.report.failed + outcome.report.pending + len(outcome.not_begun)
    retryable = not_uploaded - unretryable
    if path is not None and not_uploaded:
        lines.append(f"What did not land is listed in {path}{_advice(retryable, unretryable)}")
        lines.append(
            f"  customvision upload --from-failed {shlex.quote(str(path))} {repeat_options}"
        )
    if not outcome.not_begun_complete:
        lines.append(
            "There is more that was not reached in time to be listed: run the same command again."
        )
    runner.summarize(
        outcome,
        lines,
        code,
        failed_file=str(path) if path is not None else None,
        to_repeat=retryable,
        unretryable=unretryable,
    )
    if failed.trouble:
        runner.output.error(failed.trouble)


def _advice(retryable: int, unretryable: int) -> str:
    """Return the advice for failed items: the end of a sentence that precedes a command."""
    if not unretryable:
        return ". To send it again:"
    they_are, are = ("it is", "is") if unretryable == 1 else ("they are", "are")
    first = f"{unretryable:,} would fail again as {they_are} and {are} to be mended first"
    if not retryable:
        return f", with the causes: {first}. Then:"
    return f", with the causes: {retryable:,} worth another try; {first}. To send them again:"
