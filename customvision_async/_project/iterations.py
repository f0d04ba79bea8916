"""The iterations of a project: train, evaluate and publish them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from .. import limits
from .._operations import Operations
from .._paging import AsyncItemPaged, one_page, skip_pages
from .._polling import (
    AsyncLROPoller,
    Polling,
    PollingMethod,
    PollResult,
    StartOnce,
    may_have_taken_effect,
)
from .._transport.base import Meter
from .._versions import ApiVersion
from .._wire.request import id_of
from ..errors import BadRequestError, DecodeError, LimitExceeded, ServiceError, TransportError
from ..models import (
    CustomBaseModelInfo,
    ImagePerformance,
    Iteration,
    IterationPerformance,
    TrainingType,
)
from ..models.inputs import TagLike
from .base import IterationLike, ProjectBase, as_tags

__all__ = ["IterationMethods"]

_FAILED = frozenset({"failed", "canceled", "cancelled"})
_IDLE = frozenset({"", "new"})
"""Statuses of the workspace, an untrained iteration that v1.x and v2.x list."""


class IterationMethods(ProjectBase):
    """The methods of :class:`~customvision_async.ProjectClient` on iterations."""

    def list_iterations(self) -> AsyncItemPaged[Iteration]:
        """List the iterations, including those in training, in a single page."""
        return AsyncItemPaged(lambda: one_page(lambda: self.operations.get_iterations(self.id)))

    async def get_iteration(self, iteration: IterationLike) -> Iteration:
        """Return the current state of an iteration."""
        return await self.operations.get_iteration(self.id, iteration)

    async def update_iteration(
        self, iteration: IterationLike, *, name: str | None = None, is_default: bool | None = None
    ) -> Iteration:
        """Update an iteration and return it. Properties that are None stay unchanged.

        Args:
            iteration: Iteration to update.
            name: New name.
            is_default: Whether to make it the default iteration (until v2.2, which has no
                publishing).
        """
        if name is None and self.operations.version >= ApiVersion.V3_0:
            # These versions require the name.
            name = (await self.get_iteration(iteration)).name
        return await self.operations.update_iteration(
            self.id, iteration, name, is_default=is_default
        )

    async def delete_iteration(self, iteration: IterationLike) -> None:
        """Delete an iteration.

        Raises:
            BadRequestError: With code BadRequestIterationIsPublished: unpublish it first.
        """
        await self.operations.delete_iteration(self.id, iteration)

    # --- training

    def begin_training(
        self,
        *,
        budget_hours: int | None = None,
        training_type: TrainingType | str | None = None,
        selected_tags: Iterable[TagLike] = (),
        force: bool | None = None,
        notification_email: str | None = None,
        base_model: Iteration | CustomBaseModelInfo | None = None,
        wait: bool = True,
        polling: Polling | None = None,
    ) -> AsyncLROPoller[Iteration, Iteration]:
        """Train the project on its current images.

        Await the poller to get the trained iteration::

            iteration = await project.begin_training()

        If a response is lost, the iterations are listed to find out whether the training has
        started, so it is never started twice.

        Args:
            budget_hours: Maximum hours of computing time for advanced training, which is billed by
                the hour (since v3.0).
            training_type: "Regular" (quick) or "Advanced". Defaults to "Advanced" if there is a
                budget.
            selected_tags: Train only on these tags (since v3.2). Defaults to all tags.
            force: Train although nothing has changed since the last training.
            notification_email: Address that the service notifies at the end.
            base_model: Trained iteration to start from (since v3.4-preview).
            wait: Whether awaiting the poller waits for the end of the training, not only its start.
            polling: How often to poll.

        Raises (when awaited):
            BadRequestError: The service refused to train. Codes: BadRequestTrainingNotNeeded
                (nothing has changed, see `force`), those that end in TrainingValidationFailed (too
                few images or tags), BadRequestTrainingAlreadyInProgress, and others.
            OperationFailed: The training failed. Its `state` is the iteration.
        """
        tags = as_tags(selected_tags)
        if training_type is None and budget_hours:
            training_type = TrainingType.ADVANCED
        find_tags = self._tags_once(tags)

        async def send() -> Iteration:
            return await self.operations.train_project(
                self.id,
                training_type=training_type,
                reserved_budget_in_hours=budget_hours,
                force_train=force,
                notification_email_address=notification_email,
                selected_tags=await find_tags() if tags else None,
                custom_base_model_info=_base(self.id, base_model),
            )

        return AsyncLROPoller(_Training(self.operations, self.id, send=send), polling, wait=wait)

    def resume_training(
        self, iteration: IterationLike, *, polling: Polling | None = None
    ) -> AsyncLROPoller[Iteration, Iteration]:
        """Resume waiting for a training that was started earlier, here or in another program.

        The `id` of the earlier poller is the id of the iteration.
        """
        return AsyncLROPoller(
            _Training(self.operations, self.id, iteration=id_of(iteration, "iteration")), polling
        )

    # --- performance

    async def get_iteration_performance(
        self,
        iteration: IterationLike,
        *,
        threshold: float | None = None,
        overlap_threshold: float | None = None,
    ) -> IterationPerformance:
        """Return the precision and recall of a trained iteration, in total and for each tag.

        The values are from 0 to 1.

        Args:
            iteration: Iteration to evaluate.
            threshold: Minimum probability of a prediction. Defaults to that of the service, and to
                0.5 in v1.2.
            overlap_threshold: Minimum overlap of the boxes of a correct detection (for object
                detection, since v2.0).
        """
        if threshold is None and self.operations.version < ApiVersion.V2_0:
            threshold = 0.5
        return await self.operations.get_iteration_performance(
            self.id, iteration, threshold=threshold, overlap_threshold=overlap_threshold
        )

    def list_image_performances(
        self,
        iteration: IterationLike,
        *,
        tags: Iterable[TagLike] = (),
        order: Literal["newest", "oldest"] = "newest",
        page_size: int = limits.MAX_PAGE_SIZE.value,
    ) -> AsyncItemPaged[ImagePerformance]:
        """List the performance of an iteration on each image of its training set (since v2.0).

        Args:
            iteration: Iteration to evaluate.
            tags: List only images with one of these tags, up to 20.
            order: Order by the creation time of the images.
            page_size: Images per page.

        Raises:
            LimitExceeded: There are too many tags, or `page_size` is above 256.
        """
        iteration_id, wanted = id_of(iteration, "iteration"), as_tags(tags)
        find = self._tags_once(wanted)
        if page_size > limits.MAX_PAGE_SIZE.value:
            raise LimitExceeded(limits.MAX_PAGE_SIZE, page_size)
        if order not in ("newest", "oldest"):
            raise ValueError(f"order must be 'newest' or 'oldest', not {order!r}")

        async def fetch(take: int, skip: int) -> list[ImagePerformance]:
            tag_ids = await find() if wanted else None
            return await self.operations.get_image_performances(
                self.id,
                iteration_id,
                tag_ids=tag_ids,
                order_by=order.capitalize(),
                take=take,
                skip=skip,
            )

        async def count() -> int:
            return await self.operations.get_image_performance_count(
                self.id, iteration_id, tag_ids=await find() if wanted else None
            )

        return AsyncItemPaged(
            lambda: skip_pages(
                fetch,
                lambda image: image.id,
                size=page_size,
                ahead=self._concurrency.prefetch_pages,
                count=count,
            )
        )

    async def count_image_performances(
        self, iteration: IterationLike, *, tags: Iterable[TagLike] = ()
    ) -> int:
        """Return the number of images that :meth:`list_image_performances` lists."""
        wanted = as_tags(tags)
        tag_ids = await self._tags_once(wanted)() if wanted else None
        return await self.operations.get_image_performance_count(
            self.id, iteration, tag_ids=tag_ids
        )

    # --- publishing

    async def publish_iteration(
        self,
        iteration: IterationLike,
        name: str,
        prediction_resource_id: str | None = None,
        *,
        overwrite: bool | None = None,
    ) -> None:
        """Publish a trained iteration under a name for the prediction API (since v3.0).

        If a response is lost, the iteration is read to find out whether it has been published.

        Args:
            iteration: Iteration to publish.
            name: Name to publish under, unique in the project.
            prediction_resource_id: Azure id of the prediction resource ("/subscriptions/..."), from
                its Properties page. Defaults to that of the client.
            overwrite: Whether to take the name from the iteration that has it (since v3.3).

        Raises:
            BadRequestError: The iteration is not trained, the name is taken or not allowed, or
                there is no such resource. See its `code`.
            LookupError: No prediction resource is given or known.
        """
        resource = prediction_resource_id or self._prediction_resource_id
        if not resource:
            raise LookupError(
                "no prediction resource; give prediction_resource_id, the id on the Properties page"
                " of the resource in the Azure portal, or set VISION_PREDICTION_RESOURCE_ID and"
                " create the client with from_env()"
            )
        in_doubt = False
        for last in (False, True):
            try:
                await self.operations.publish_iteration(
                    self.id, iteration, name, resource, overwrite=overwrite
                )
                return
            except (TransportError, DecodeError, ServiceError) as error:
                in_doubt = in_doubt or may_have_taken_effect(error)
                if not in_doubt:
                    raise
                if (await self.get_iteration(iteration)).publish_name == name:
                    return
                if last or not may_have_taken_effect(error):
                    raise

    async def unpublish_iteration(self, iteration: IterationLike) -> None:
        """Unpublish an iteration (since v3.0).

        Raises:
            BadRequestError: With code BadRequestIterationNotPublished: it is not published.
        """
        meter = Meter()
        try:
            await self.operations.unpublish_iteration(self.id, iteration, meter=meter)
        except BadRequestError as error:
            # An earlier attempt, whose response was lost, may have unpublished it.
            if not (meter.in_doubt and error.code == "BadRequestIterationNotPublished"):
                raise


class _Training(PollingMethod[Iteration, Iteration]):
    """Start a training with `send`, or resume one by the id of its `iteration`."""

    operation = "TrainProject"

    def __init__(
        self,
        operations: Operations,
        project_id: str,
        *,
        send: Callable[[], Awaitable[Iteration]] | None = None,
        iteration: str = "",
    ) -> None:
        self._operations = operations
        self._project_id = project_id
        self._iteration = iteration
        self._before: dict[str, str] = {}
        self._start = None if send is None else StartOnce(send, self._remember, self._find)

    async def begin(self) -> PollResult[Iteration]:
        """Start the training, or get the one to resume."""
        return (
            _poll_result(await self._start())
            if self._start is not None
            else await self._get(self._iteration)
        )

    async def poll(self, state: Iteration) -> PollResult[Iteration]:
        """Poll the iteration."""
        return await self._get(state.id)

    async def _get(self, iteration: str) -> PollResult[Iteration]:
        meter = Meter()
        found = await self._operations.get_iteration(self._project_id, iteration, meter=meter)
        return _poll_result(found, meter.retry_after)

    def result(self, state: Iteration) -> Iteration:
        """Return the trained iteration."""
        return state

    def id(self, state: Iteration) -> str:
        """Return the id of the iteration."""
        return state.id

    def resume_hint(self, state: Iteration) -> str:
        """Return the call that resumes the training."""
        return f"resume_training({state.id!r})"

    async def _remember(self) -> None:
        self._before = {
            iteration.id: (iteration.status or "").lower()
            for iteration in await self._operations.get_iterations(self._project_id)
        }

    async def _find(self) -> Iteration | None:
        """Return the iteration that has started to train since, or None.

        It is new, or it was the workspace before. A project trains one iteration at a time, so
        there is no other.
        """
        iterations = await self._operations.get_iterations(self._project_id)
        started = [
            iteration
            for iteration in iterations
            if self._before.get(iteration.id, "") in _IDLE
            and (iteration.status or "").lower() not in _IDLE
        ]
        return max(started, key=_last_modified, default=None)


def _poll_result(iteration: Iteration, retry_after: float | None = None) -> PollResult[Iteration]:
    status = iteration.status or "Training"
    end: Literal["", "done", "failed"] = ""
    if status.lower() in _FAILED:
        end = "failed"
    elif status.lower() == "completed" or iteration.trained_at is not None:
        # The service sets trained_at at the end of the training.
        end = "done"
    reason = (
        iteration.training_error_details
        or "the service gives no reason; the portal may, on the page of the iteration"
    )
    return PollResult(
        iteration, status, end, reason if end == "failed" else "", retry_after=retry_after
    )


def _last_modified(iteration: Iteration) -> float:
    return iteration.last_modified.timestamp() if iteration.last_modified else 0.0


def _base(
    project_id: str, base: Iteration | CustomBaseModelInfo | None
) -> CustomBaseModelInfo | None:
    if base is None or isinstance(base, CustomBaseModelInfo):
        return base
    return CustomBaseModelInfo(project_id=base.project_id or project_id, iteration_id=base.id)
