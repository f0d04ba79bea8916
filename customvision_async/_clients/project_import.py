"""The import of a project, a long-running operation."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from .._operations import Operations
from .._polling import PollingMethod, PollResult, StartOnce
from .._transport.base import Meter
from ..models import Project, ProjectStatus

__all__ = ["ProjectImport"]

R = TypeVar("R")


class ProjectImport(PollingMethod[Project, R], Generic[R]):
    """Import a project by `token`, or resume an import by the id of the new `project`.

    `result` converts the imported project into the result of the poller.
    """

    operation = "ImportProject"

    def __init__(
        self,
        operations: Operations,
        result: Callable[[Project], R],
        *,
        token: str = "",
        name: str | None = None,
        project: str = "",
    ) -> None:
        self._operations = operations
        self._result = result
        self._token = token
        self._name = name
        self._project = project
        self._before: set[str] = set()
        self._start = None if project else StartOnce(self._send, self._remember, self._find)

    async def begin(self) -> PollResult[Project]:
        """Start the import, or get the project of the import to resume."""
        return (
            _poll_result(await self._start())
            if self._start is not None
            else await self._get(self._project)
        )

    async def poll(self, state: Project) -> PollResult[Project]:
        """Poll the project."""
        return await self._get(state.id)

    async def _get(self, project: str) -> PollResult[Project]:
        meter = Meter()
        state = await self._operations.get_project(project, meter=meter)
        return _poll_result(state, meter.retry_after)

    def result(self, state: Project) -> R:
        """Return the result of the poller."""
        return self._result(state)

    def id(self, state: Project) -> str:
        """Return the id of the project."""
        return state.id

    def resume_hint(self, state: Project) -> str:
        """Return the call that resumes the import."""
        return f"resume_import({state.id!r})"

    async def _send(self) -> Project:
        return await self._operations.import_project(self._token, name=self._name)

    async def _remember(self) -> None:
        self._before = {project.id for project in await self._operations.get_projects()}

    async def _find(self) -> Project | None:
        """Return the new project if this import may have created exactly one, else None."""
        new = [
            project
            for project in await self._operations.get_projects()
            if project.id not in self._before
        ]
        candidates = [project for project in new if self._may_be_imported(project)]
        return candidates[0] if len(candidates) == 1 else None

    def _may_be_imported(self, project: Project) -> bool:
        if self._name is not None:
            return re.fullmatch(rf"{re.escape(self._name)}( \(\d+\))?", project.name) is not None
        return True


def _poll_result(project: Project, retry_after: float | None = None) -> PollResult[Project]:
    end: Literal["", "done", "failed"] = "done"
    if project.status == ProjectStatus.FAILED:
        end = "failed"
    elif project.status is not None and project.status != ProjectStatus.SUCCEEDED:
        end = ""
    reason = (
        "the service gives no reason; export the project again and import it with the new token"
        if end == "failed"
        else ""
    )
    return PollResult(
        project,
        str(project.status or ProjectStatus.SUCCEEDED),
        end,
        reason,
        retry_after=retry_after,
    )
