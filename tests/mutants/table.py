"""The mutants, each with one plausible mistake, and the tests that must detect it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["MUTANTS", "QUICK", "Mutant"]

CAMPAIGN = (
    "-m",
    "tests.campaign",
    "--seeds",
    "400",
    "--items",
    "24",
    "--jobs",
    "1",
    "--out",
    "mutant.md",
    "--stop",
)
"""A part of the fault campaign. It ends at the first problem."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A replacement of `old` by `new` in `file`, where `old` occurs exactly once.

    `killers` are arguments of Python. One of them must fail.
    """

    name: str
    file: str
    old: str
    new: str
    killers: tuple[tuple[str, ...], ...] = (CAMPAIGN,)


def _tests(*names: str) -> tuple[tuple[str, ...], ...]:
    return (
        (
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            *(f"tests/{name}.py" for name in names),
        ),
    )


MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "a batch that is never awaited says nothing",
        "_batch/run.py",
        "        if not self._started:\n            warnings",
        "        if False:\n            warnings",
        _tests("test_never_awaited"),
    ),
    Mutant(
        "a result that is missing is taken as success",
        "_project/upload_results.py",
        "        work_item.in_doubt = True\n        return UNANSWERED",
        '        return Done("OK")',
    ),
    Mutant(
        "results are joined by their order",
        "_project/upload_results.py",
        "    found = (by_name.get(key(name)) for name in names)",
        "    found = [*results, *([None] * len(work_items))][: len(list(names))]",
    ),
    Mutant(
        "only the first of the refused items goes again",
        "_batch/settler.py",
        "[item for item, _ in smaller], tries",
        "[item for item, _ in smaller[:1]], tries",
    ),
    Mutant(
        "a success is told before its tags are added",
        "_project/uploads.py",
        "        await apply_followups(self._context, work_items, outcomes)",
        "        pass",
    ),
    Mutant(
        "tags of an image that was there before are taken for granted",
        "_project/upload_followups.py",
        '        if outcome.status != "OK":',
        "        if False:",
    ),
    Mutant(
        "what was sent again after a lost answer is not said to be in doubt",
        "_batching.py",
        "            if creates and meter.in_doubt:",
        "            if False:",
    ),
    Mutant(
        "a duplicate of our own making is called a duplicate",
        "_project/upload_results.py",
        "not _is_own_retry(work_item, result.image, date)",
        "True",
    ),
    Mutant(
        "the tags beyond twenty are forgotten",
        "_project/upload_followups.py",
        "tags, regions, metadata = labels.later_tags, labels.later_regions, False",
        "tags, regions, metadata = (), labels.later_regions, False",
    ),
    Mutant(
        "chunks take any number of tags",
        "_batch/chunker.py",
        "len(base.labels) + new <= limits.labels",
        "True",
    ),
    Mutant(
        "the content-length of base64 is an estimate",
        "_content.py",
        "(piece.size + 2) // 3 * 4",
        "piece.size * 4 // 3",
    ),
    Mutant(
        "pages do not overlap",
        "_paging.py",
        "            self._next += self._size - 1",
        "            self._next += self._size",
        _tests("test_paging"),
    ),
    Mutant(
        "drift of a list is not looked for",
        "_paging.py",
        "        if self._seen and not self._is_adjacent(page):",
        "        if False:",
    ),
    Mutant(
        "a list ends with its first short page",
        "_paging.py",
        "            await self._end_or_continue(skip + len(page), bool(fresh))",
        "            self._done = True",
        _tests("test_paging_changes"),
    ),
    Mutant(
        "a list under a fast upload does not turn around",
        "_paging.py",
        "        if self._backwards is None or",
        "        if True or",
        _tests("test_paging_changes"),
    ),
    Mutant(
        "the tagged and the untagged are walked once",
        "_project/image_list.py",
        "[walk_of(first), walk_of(not first)], 3,",
        "[walk_of(first), walk_of(not first)], 2,",
        _tests("project/test_image_list"),
    ),
    Mutant(
        "a cancelled anext forgets the page under way",
        "_paged_iterator.py",
        "        await asyncio.wait((task,))\n        if task is not",
        "        await task\n        if task is not",
        _tests("test_paging_changes"),
    ),
    Mutant(
        "one unknown id of many makes them all deleted",
        "_operations/_call.py",
        "            _deletes_one(spec)\n            and",
        '            spec.method == "DELETE"\n            and',
    ),
    Mutant(
        "items in flight are not in the account",
        "_batch/account.py",
        "for chunk in (*self._in_flight.values(), self._waiting())",
        "for chunk in (self._waiting(),)",
    ),
    Mutant(
        "what has landed is still named as unsettled",
        "_batch/account.py",
        "            work_item.settled = True",
        "            pass",
        _tests("batch/test_run"),
    ),
    Mutant(
        "a run that was left goes on if the cancellation is swallowed",
        "_batch/run.py",
        "        self._feeder.settler.cancelled = True",
        "        pass",
        _tests("batch/test_leaving"),
    ),
    Mutant(
        "a result leaves the outbox before it is in the hands of the caller",
        "_batch/outbox.py",
        "                return result\n",
        "                await asyncio.sleep(0)\n                return result\n",
        _tests("batch/test_timeouts"),
    ),
    Mutant(
        "a report keeps the content of the items that failed",
        "_batch/kept.py",
        "    error, item = result.error, reference_of(result.item)",
        "    error, item = result.error, result.item",
        _tests("batch/test_kept"),
    ),
    Mutant(
        "a report keeps every result",
        "_batch/kept.py",
        "deque(maxlen=KEPT)",
        "deque()",
        _tests("batch/test_kept"),
    ),
    Mutant(
        "a source that raises StopAsyncIteration has come to its end",
        "_batch/cancellation.py",
        '        raise RuntimeError(f"{origin} raised StopAsyncIteration") from error',
        "        raise",
        _tests("batch/test_source"),
    ),
    Mutant(
        "retries know no budget",
        "_transport/pipeline.py",
        "        return delay if self._budget.retry() else None",
        "        return delay",
        _tests("transport/test_pipeline"),
    ),
    Mutant(
        "a Retry-After is obeyed however long",
        "_transport/retry.py",
        "min(asked, self._options.max_retry_after)",
        "asked",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "there is no jitter",
        "_transport/retry.py",
        "        return self._random.uniform(\n",
        "        return max(\n",
        _tests("transport/test_retry"),
    ),
    Mutant(
        "what may not be repeated is repeated",
        "_transport/retry.py",
        "may_have_effect_of(outcome) and not request.repeatable",
        "False",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "503 is the last word",
        "_statuses.py",
        "        (502, 503, 504),",
        "        (502, 504),",
        _tests("transport/test_retry", "transport/test_pipeline"),
    ),
    Mutant(
        "refusals for rate count as attempts",
        "_transport/pipeline.py",
        "            state.refusals += 1",
        "            state.refusals += 0",
        _tests("transport/test_pipeline"),
    ),
    Mutant(
        "a cancelled call keeps its place in the limiter",
        "_transport/pipeline.py",
        (
            "            self._report(request, state, type(error).__name__, now() - began, "
            "permit)\n            permit.abandoned()"
        ),
        "            self._report(request, state, type(error).__name__, now() - began, permit)",
        _tests("test_cancellation"),
    ),
    Mutant(
        "redirects are followed, with the key",
        "_transport/aiohttp.py",
        "allow_redirects=False",
        "allow_redirects=True",
        _tests("test_security_transport"),
    ),
    Mutant(
        "images have the same names in every request",
        "_project/upload_requests.py",
        "        nonce = secrets.token_hex(8)",
        '        nonce = ""',
        (CAMPAIGN, *_tests("project/test_uploads_foreign")),
    ),
    Mutant(
        "the result of a request with one image is joined whatever its name",
        "_project/upload_results.py",
        "    found = (by_name.get(key(name)) for name in names)",
        (
            "    found = results if len(work_items) == len(results) == 1 else "
            "(by_name.get(key(name)) for name in names)"
        ),
        _tests("project/test_uploads_foreign"),
    ),
    Mutant(
        "a connection with bytes waiting is used again",
        "_transport/aiohttp.py",
        "            if protocol is None or _is_quiet(protocol):",
        "            if True:",
        _tests("transport/test_foreign"),
    ),
    Mutant(
        "a success that comes before the body is out is taken",
        "_transport/aiohttp.py",
        "            if response.status // 100 == 2 and not timer.body_is_out:",
        "            if False:",
        _tests("transport/test_foreign"),
    ),
    Mutant(
        "a file that is written to while it is sent is sent as a mixture",
        "_transport/body.py",
        "        if not self.left and self._descriptor >= 0:",
        "        if False:",
        _tests("project/test_uploads_swapped"),
    ),
    Mutant(
        "one file that changed fails its whole batch",
        "_project/upload_results.py",
        "    if work_item.payload.source is error.blob:",
        "    if True:",
    ),
    Mutant(
        "the doctor waits for a peer that has not answered, again in each check",
        "cli/_doctor/examination.py",
        "        exam.reachable = False  # the remaining checks would time out too\n",
        "",
        _tests("cli/test_doctor"),
    ),
    Mutant(
        "the doctor shows a key that a server repeats",
        "cli/_doctor/examination.py",
        "if secret and secret in found.found + found.advice:",
        "if secret and not found.found:",
        _tests("cli/test_doctor"),
    ),
    Mutant(
        "a scratch project whose id was lost stays",
        "cli/_doctor/scratch_project.py",
        "        if project is None:\n            listed = ",
        "        if project is None:\n            return True\n            listed = ",
        _tests("cli/test_probe"),
    ),
    Mutant(
        "an item that raises anything but a ValueError or a TypeError ends the run",
        "errors.py",
        "    except Exception as error:  # noqa: BLE001 - see above\n        return error",
        "    except (ValueError, TypeError) as error:\n        return error",
        _tests("test_items_that_raise"),
    ),
    Mutant(
        "a group whose preparation raises fails whole",
        "_batch/feeder.py",
        "            if len(items) == 1:\n",
        "            if items:\n",
        _tests("batch/test_settler_outage"),
    ),
    Mutant(
        "the position of an open file is not put back",
        "_content.py",
        "                if start is not None:",
        "                if start is not None and start < 0:",
        _tests("test_one_open_file"),
    ),
    Mutant(
        "several threads move the position of an open file at once",
        "_content.py",
        "        with lock:\n",
        "        with threading.Lock():\n",
        _tests("test_one_open_file"),
    ),
    Mutant(
        "of a list in the query that is given twice, the first is lost",
        "emulator/_api_request.py",
        'if self.resource.switches.repeated_query == "last":',
        "if True:",
        _tests("emulator/test_evidence"),
    ),
    Mutant(
        "a region given twice is not refused",
        "emulator/_handlers/regions.py",
        "if resource.switches.repeated_region_is_400 and len(set(checked)) < len(checked):",
        "if False:",
        _tests("emulator/test_evidence"),
    ),
    Mutant(
        "the client sends regions that are one in single precision in one request",
        "_project/regions.py",
        "key=region_key(image, placed)",
        "key=(image, placed)",
        _tests("test_switches"),
    ),
    Mutant(
        "the newest iteration comes last",
        "emulator/_handlers/iterations.py",
        '"DESC" if request.resource.switches.newest_iteration_first',
        '"ASC" if request.resource.switches.newest_iteration_first',
        _tests("emulator/test_evidence"),
    ),
    Mutant(
        "a subfolder that cannot be listed is left out",
        "sources.py",
        "                yield _unread_image(error, folder, prefix, tags)",
        "                pass",
    ),
    Mutant(
        "a folder ends with the first timeout",
        "sources.py",
        "        return items_of(self._groups(0))",
        "        return (item async for group in self._groups(0) for item in group)",
        _tests("test_sources_timeouts"),
    ),
    Mutant(
        "a file that cannot be read is skipped",
        "sources.py",
        "            return _unread_image(error, path, name, tags)",
        "            return SkippedItem(name, str(error), path)",
        _tests("cli/test_unreadable"),
    ),
    Mutant(
        "closed descriptors stay closed",
        "cli/__init__.py",
        "    open_missing_streams()\n",
        "",
        _tests("cli/test_opening"),
    ),
    Mutant(
        "opening a pipe waits for its reader",
        "cli/_opening.py",
        "os.O_WRONLY | os.O_APPEND | _NO_WAIT",
        "os.O_WRONLY | os.O_APPEND",
        _tests("cli/test_opening"),
    ),
    Mutant(
        "the private folder may be anything",
        "cli/_opening.py",
        "        if not private or facts.st_uid != os.getuid():",
        "        if False:",
        _tests("cli/test_opening"),
    ),
    Mutant(
        "the emulator unpacks bodies that are compressed",
        "emulator/server.py",
        "            auto_decompress=False,",
        "            auto_decompress=True,",
        _tests("emulator/test_attacks"),
    ),
    Mutant(
        "the emulator serves a name that a web page can point at it",
        "emulator/server.py",
        "wrong_name = self._ssl is None and misdirected(host, self._address[0])",
        "wrong_name = False",
        _tests("emulator/test_attacks"),
    ),
    Mutant(
        "the emulator waits without end for a body that drips",
        "emulator/_in_flight.py",
        "due = min(loop.time(), started + size / _MIN_BYTES_PER_SECOND) + _STALL_SECONDS",
        "due = loop.time() + _STALL_SECONDS",
        _tests("emulator/test_slow_peers"),
    ),
    Mutant(
        "the emulator waits without end for a body that stalls",
        "emulator/_in_flight.py",
        "async with asyncio.timeout_at(due):",
        "async with asyncio.timeout_at(None):",
        _tests("emulator/test_slow_peers"),
    ),
    Mutant(
        "idle connections to the emulator have no bound",
        "emulator/_connections.py",
        "if len(connections) >= self._max_connections:",
        "if False:",
        _tests("emulator/test_slow_peers"),
    ),
    Mutant(
        "the emulator closes a connection in use where there are too many",
        "emulator/_connections.py",
        "(each for each in connections if each not in serving)",
        "iter(connections)",
        _tests("emulator/test_slow_peers"),
    ),
    Mutant(
        "two runs of one second write one list",
        "cli/_failed_items.py",
        "return path, open_new(path)",
        "return path, os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)",
        _tests("cli/test_failed_items"),
    ),
    Mutant(
        "the failed items of one project are sent to another",
        "cli/upload.py",
        "images_from_manifest(path, project=project.id)",
        "images_from_manifest(path)",
        _tests("cli/test_failed_items"),
    ),
    Mutant(
        "failed items are listed without looking at each result",
        "cli/upload.py",
        "        failed.add(result)\n",
        "",
        _tests("cli/test_failed_items"),
    ),
    Mutant(
        "public names say where they are written",
        "__init__.py",
        "        value.__module__ = __name__",
        "        pass",
        _tests("test_public_names"),
    ),
    Mutant(
        "fields are read by the names of the wrong module",
        "__init__.py",
        'if isinstance(value, type) and "__annotations__" in vars(value):',
        "if False:",
        _tests("test_public_names"),
    ),
    Mutant(
        "any success has its value",
        "_batch/report.py",
        "    return result.ok and result.value is not None",
        "    return result.ok",
        _tests("batch/test_report"),
    ),
)

QUICK = (
    "only the first of the refused items goes again",
    "retries know no budget",
    "results are joined by their order",
)
"""The mutants that every run of the tests tries."""
