"""The operations on iterations: train, performance, publish, export."""

from __future__ import annotations

from collections.abc import Iterable
from types import NoneType

from msgspec import UNSET

from .._transport.base import Meter
from .._versions import ApiVersion
from .._wire.operation_spec import require
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
    """The operations on iterations."""

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
        meter: Meter | None = None,
    ) -> Iteration:
        """Start a training, and return the iteration, which has the status "Training".

        The first four options need v3.0, `selected_tags` (train on these tags only) v3.2, and
        `custom_base_model_info` v3.4-preview.
        """
        query = {
            "trainingType": training_type,
            "reservedBudgetInHours": reserved_budget_in_hours,
            "forceTrain": force_train,
            "notificationEmailAddress": notification_email_address,
        }
        content = None
        if selected_tags is not None or custom_base_model_info is not None:
            if custom_base_model_info is not None:
                what = "custom_base_model_info of TrainProject"
                require(self.version, ApiVersion.V3_4_PREVIEW, what, "TrainProject")
            tags = tuple(ids_of(selected_tags or (), "selected_tags"))
            content = self._json(
                TrainingParameters(
                    selected_tags=tags, custom_base_model_info=custom_base_model_info
                )
            )
        return await self._call(
            "TrainProject",
            Iteration,
            path={"projectId": project_id},
            query=query,
            content=content,
            meter=meter,
        )

    async def get_iterations(
        self, project_id: Id, *, meter: Meter | None = None
    ) -> list[Iteration]:
        """Return all iterations of a project."""
        return await self._call(
            "GetIterations", list[Iteration], path={"projectId": project_id}, meter=meter
        )

    async def get_iteration(
        self, project_id: Id, iteration_id: Id, *, meter: Meter | None = None
    ) -> Iteration:
        """Return an iteration."""
        return await self._call(
            "GetIteration", Iteration, path=_path(project_id, iteration_id), meter=meter
        )

    async def update_iteration(
        self,
        project_id: Id,
        iteration_id: Id,
        name: str | None = None,
        *,
        is_default: bool | None = None,
        meter: Meter | None = None,
    ) -> Iteration:
        """Rename an iteration, or make it the default iteration (until v2.2)."""
        if is_default is not None and self.version >= ApiVersion.V3_0:
            message = (
                f"UpdateIteration has no is_default in {self.version}: the last version that has it"
                f" is {ApiVersion.V2_2}; publish instead"
            )
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
        return await self._call(
            "UpdateIteration",
            Iteration,
            path=_path(project_id, iteration_id),
            content=self._json(update),
            meter=meter,
        )

    async def delete_iteration(
        self, project_id: Id, iteration_id: Id, *, meter: Meter | None = None
    ) -> None:
        """Delete an iteration. The service refuses to delete one that is published."""
        await self._call(
            "DeleteIteration", NoneType, path=_path(project_id, iteration_id), meter=meter
        )

    async def get_iteration_performance(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        threshold: float | None = None,
        overlap_threshold: float | None = None,
        meter: Meter | None = None,
    ) -> IterationPerformance:
        """Return the precision and recall of an iteration.

        `threshold` is a probability, which v1.2 requires. `overlap_threshold` is for object
        detection (since v2.0).
        """
        query = {"threshold": threshold, "overlapThreshold": overlap_threshold}
        return await self._call(
            "GetIterationPerformance",
            IterationPerformance,
            path=_path(project_id, iteration_id),
            query=query,
            meter=meter,
        )

    async def get_image_performances(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        tag_ids: Iterable[Id] | None = None,
        order_by: str | None = None,
        take: int | None = None,
        skip: int | None = None,
        meter: Meter | None = None,
    ) -> list[ImagePerformance]:
        """Return a page of the results of an iteration for each image (since v2.0).

        `take` is at most 256 (50 if None), after `skip` images.
        """
        tags = None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None
        query = {"tagIds": tags, "orderBy": order_by, "take": take, "skip": skip}
        return await self._call(
            "GetImagePerformances",
            list[ImagePerformance],
            path=_path(project_id, iteration_id),
            query=query,
            meter=meter,
        )

    async def get_image_performance_count(
        self,
        project_id: Id,
        iteration_id: Id,
        *,
        tag_ids: Iterable[Id] | None = None,
        meter: Meter | None = None,
    ) -> int:
        """Return the number of images that `get_image_performances` lists (since v2.0)."""
        tags = None if tag_ids is None else ids_of(tag_ids, "tag_ids") or None
        return await self._call(
            "GetImagePerformanceCount",
            int,
            path=_path(project_id, iteration_id),
            query={"tagIds": tags},
            meter=meter,
        )

    async def publish_iteration(
        self,
        project_id: Id,
        iteration_id: Id,
        publish_name: str,
        prediction_id: str,
        *,
        overwrite: bool | None = None,
        meter: Meter | None = None,
    ) -> bool:
        """Publish an iteration under a name (since v3.0).

        `prediction_id` is the Azure id of the prediction resource. `overwrite` (since v3.3) takes
        the name from the iteration that has it.
        """
        query = {"publishName": publish_name, "predictionId": prediction_id, "overwrite": overwrite}
        return await self._call(
            "PublishIteration", bool, path=_path(project_id, iteration_id), query=query, meter=meter
        )

    async def unpublish_iteration(
        self, project_id: Id, iteration_id: Id, *, meter: Meter | None = None
    ) -> None:
        """Unpublish an iteration (since v3.0)."""
        await self._call(
            "UnpublishIteration", NoneType, path=_path(project_id, iteration_id), meter=meter
        )

    async def get_exports(
        self, project_id: Id, iteration_id: Id, *, meter: Meter | None = None
    ) -> list[Export]:
        """Return the exports of an iteration, including those in progress."""
        return await self._call(
            "GetExports", list[Export], path=_path(project_id, iteration_id), meter=meter
        )

    async def export_iteration(
        self,
        project_id: Id,
        iteration_id: Id,
        platform: str,
        *,
        flavor: str | None = None,
        meter: Meter | None = None,
    ) -> Export:
        """Start the export of an iteration for a platform (`flavor` since v2.0).

        `get_exports` shows when it is done.
        """
        query = {"platform": platform, "flavor": flavor}
        return await self._call(
            "ExportIteration",
            Export,
            path=_path(project_id, iteration_id),
            query=query,
            meter=meter,
        )


def _path(project_id: Id, iteration_id: Id) -> dict[str, Id]:
    return {"projectId": project_id, "iterationId": iteration_id}
