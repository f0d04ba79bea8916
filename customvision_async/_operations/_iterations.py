"""The operations on iterations: train, look at the performance, publish, export."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from msgspec import UNSET

from .._versions import ApiVersion
from .._wire.request import ids_of
from ..errors import UnsupportedOperation
from ..models import (
    CustomBaseModelInfo,
    Export,
    Id,
    ImagePerformance,
    Iteration,
    IterationPerformance,
    IterationUpdate,
    TrainingParameters,
)
from ._call import Caller

__all__ = ["IterationOperations"]


class IterationOperations(Caller):
    """See the module."""

    async def train_project(
        self,
        project_id: Id,
        *,
        training_type: str | None = None,
        reserved_budget_in_hours: int | None = None,
        force_train: bool | None = None,
        notification_email_address: str | None = None,
        selected_tags: Iterable[Id] | None = None,
        custom_base_model_info: CustomBaseModelInfo | None = None,
    ) -> Iteration:
        """Begin to train; the answer is the iteration, with status "Training".

        The first four need v3.0; `selected_tags` (train on these alone) v3.2; `custom_base_model_info` v3.4-preview.
        """
        query = {
            "trainingType": training_type,
            "reservedBudgetInHours": reserved_budget_in_hours,
            "forceTrain": force_train,
            "notificationEmailAddress": notification_email_address,
        }
        content = None
        if selected_tags is not None or custom_base_model_info is not None:
            self._need(custom_base_model_info, "custom_base_model_info", ApiVersion.V3_4_PREVIEW)
            tags = tuple(ids_of(selected_tags or (), "selected_tags"))
            content = self._json(
                TrainingParameters(
                    selected_tags=tags, custom_base_model_info=custom_base_model_info
                )
            )
        return cast(
            Iteration,
            (
                await self.call(
                    "TrainProject", path={"projectId": project_id}, query=query, content=content
                )
            ).value,
        )

    def _need(self, value: object, what: str, first: ApiVersion) -> None:
        if value is not None and self.version < first:
            message = f"TrainProject has no {what} in {self.version}: the first version that has it is {first}"
            raise UnsupportedOperation(
                message,
                operation="TrainProject",
                version=self.version.value,
                first_version=first.value,
            )

    async def get_iterations(self, project_id: Id) -> list[Iteration]:
        """All iterations of a project."""
        return cast(
            "list[Iteration]",
            (await self.call("GetIterations", path={"projectId": project_id})).value,
        )

    async def get_iteration(self, project_id: Id, iteration_id: Id) -> Iteration:
        """One iteration."""
        return cast(
            Iteration, (await self.call("GetIteration", path=_path(project_id, iteration_id))).value
        )

    async def update_iteration(
        self,
        project_id: Id,
        iteration_id: Id,
        name: str | None = None,
        *,
        is_default: bool | None = None,
    ) -> Iteration:
        """Rename an iteration, or (until v2.2) make it the default one."""
        if is_default is not None and self.version >= ApiVersion.V3_0:
            message = f"UpdateIteration has no is_default in {self.version}: the last version that has it is {ApiVersion.V2_2}; publish instead"
            raise UnsupportedOperation(
                message,
                operation="UpdateIteration",
                version=self.version.value,
                first_version=ApiVersion.V1_2.value,
            )
        update = IterationUpdate(
            name=UNSET if name is None else name,
            is_default=UNSET if is_default is None else is_default,
        )
        answer = await self.call(
            "UpdateIteration", path=_path(project_id, iteration_id), content=self._json(update)
        )
        return cast(Iteration, answer.value)

    async def delete_iteration(self, project_id: Id, iteration_id: Id) -> None:
        """Delete an iteration. One that is published is refused."""
        await self.call("DeleteIteration", path=_path(project_id, iteration_id))

    async def get_iteration_performance(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> IterationPerformance:
        """How good an iteration is, at a probability of `threshold` (v1.2 requires it) and an overlap (v2.0, detection)."""
        query = {"threshold": threshold, "overlapThreshold": overlap_threshold}
        answer = await self.call(
            "GetIterationPerformance", path=_path(project_id, iteration_id), query=query
        )
        return cast(IterationPerformance, answer.value)

    async def get_image_performances(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        tag_ids: Iterable[Id] | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
    ) -> list[ImagePerformance]:
        """A page of how an iteration did on each image (since v2.0): `take` at most 256 (50 unless given), after `skip`."""
        tags = None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None
        query = {"tagIds": tags, "orderBy": order_by, "take": take, "skip": skip}
        answer = await self.call(
            "GetImagePerformances", path=_path(project_id, iteration_id), query=query
        )
        return cast("list[ImagePerformance]", answer.value)

    async def get_image_performance_count(
        self, project_id: Id, iteration_id: Id, *, tag_ids: Iterable[Id] | None = None
    ) -> int:
        """How many images ``get_image_performances`` would find in all (since v2.0)."""
        tags = None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None
        answer = await self.call(
            "GetImagePerformanceCount", path=_path(project_id, iteration_id), query={"tagIds": tags}
        )
        return cast(int, answer.value)

    async def publish_iteration(
        self,
        project_id: Id,
        iteration_id: Id,
        publish_name: str,
        prediction_id: str,
        *,
        overwrite: bool | None = None,
    ) -> bool:
        """Publish an iteration under a name (since v3.0) on the prediction resource with the Azure id `prediction_id`.

        `overwrite` (since v3.3) takes the name from the iteration that has it.
        """
        query = {"publishName": publish_name, "predictionId": prediction_id, "overwrite": overwrite}
        return cast(
            bool,
            (
                await self.call(
                    "PublishIteration", path=_path(project_id, iteration_id), query=query
                )
            ).value,
        )

    async def unpublish_iteration(self, project_id: Id, iteration_id: Id) -> None:
        """Take an iteration out of publication (since v3.0)."""
        await self.call("UnpublishIteration", path=_path(project_id, iteration_id))

    async def get_exports(self, project_id: Id, iteration_id: Id) -> list[Export]:
        """The exports of an iteration, those under way included."""
        return cast(
            "list[Export]",
            (await self.call("GetExports", path=_path(project_id, iteration_id))).value,
        )

    async def export_iteration(
        self, project_id: Id, iteration_id: Id, platform: str, *, flavor: str | None = None
    ) -> Export:
        """Begin to export an iteration for a platform (`flavor` since v2.0); see ``get_exports`` for when it is done."""
        query = {"platform": platform, "flavor": flavor}
        return cast(
            Export,
            (
                await self.call(
                    "ExportIteration", path=_path(project_id, iteration_id), query=query
                )
            ).value,
        )


def _path(project_id: Id, iteration_id: Id) -> dict[str, Id]:
    return {"projectId": project_id, "iterationId": iteration_id}
