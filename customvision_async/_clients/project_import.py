"""The import of a project, as work that a poller watches."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

from .._operations import Operations
from .._polling import PollingMethod, PollResult, StartOnce
from ..models import Project, ProjectStatus

__all__ = ["ProjectImport"]

R = TypeVar("R")


class ProjectImport(PollingMethod[Project, R], Generic[R]):
    """An import by `token`, or one to be taken up again by the id of the `project` it makes. `result` makes what a person gets of it."""

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
        self._begun = None if project else StartOnce(self._send, self._remember, self._find)

    async def begin(self) -> PollResult[Project]:
        """Begin it, or find it."""
        return (
            _seen(await self._begun())
            if self._begun is not None
            else await self._get(self._project)
        )

    async def look(self, state: Project) -> PollResult[Project]:
        """How it is now."""
        return await self._get(state.id)

    async def _get(self, project: str) -> PollResult[Project]:
        answer = await self._operations.call("GetProject", path={"projectId": project})
        return _seen(answer.value, answer.retry_after)

    def result(self, state: Project) -> R:
        """What a person gets."""
        return self._result(state)

    def id(self, state: Project) -> str:
        """The project's."""
        return state.id

    def again(self, state: Project) -> str:
        """How to take it up."""
        return f"resume_import({state.id!r})"

    async def _send(self) -> Project:
        return await self._operations.import_project(self._token, name=self._name)

    async def _remember(self) -> None:
        self._before = {project.id for project in await self._operations.get_projects()}

    async def _find(self) -> Project | None:
        """The one project that has come since and may be ours: it is being imported, or has the name that was asked for."""
        new = [
            project
            for project in await self._operations.get_projects()
            if project.id not in self._before
        ]
        ours = [project for project in new if self._may_be_ours(project)]
        return ours[0] if len(ours) == 1 else None

    def _may_be_ours(self, project: Project) -> bool:
        if self._name is not None:
            return re.fullmatch(rf"{re.escape(self._name)}( \(\d+\))?", project.name) is not None
        return True


def _seen(project: Project, retry_after: float | None = None) -> PollResult[Project]:
    end: Literal["", "done", "failed"] = "done"
    if project.status == ProjectStatus.FAILED:
        end = "failed"
    elif project.status is not None and project.status != ProjectStatus.SUCCEEDED:
        end = ""
    reason = (
        "the service does not say why; export the project again and import it by the new token"
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
