"""The iterations of a project: train one, see how good it is, publish it."""

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
"""Statuses of an iteration that is the workspace, not yet trained (v1.x and v2.x list it)."""


class IterationMethods(ProjectBase):
    """The verbs of :class:`~customvision_async.ProjectClient` on iterations."""

    def list_iterations(self) -> AsyncItemPaged[Iteration]:
        """The iterations, those in training included, all at once."""
        return AsyncItemPaged(lambda: one_page(lambda: self.operations.get_iterations(self.id)))

    async def get_iteration(self, iteration: IterationLike) -> Iteration:
        """An iteration as the service has it now."""
        return await self.operations.get_iteration(self.id, iteration)

    async def update_iteration(
        self, iteration: IterationLike, *, name: str | None = None, is_default: bool | None = None
    ) -> Iteration:
        """Rename an iteration, or (until v2.2, which has no publishing) make it the default one.

        What is not given stays.
        """
        if name is None and self.operations.version >= ApiVersion.V3_0:
            name = (await self.get_iteration(iteration)).name  # required in these versions
        return await self.operations.update_iteration(
            self.id, iteration, name, is_default=is_default
        )

    async def delete_iteration(self, iteration: IterationLike) -> None:
        """Delete an iteration.

        Raises:
            BadRequestError: code BadRequestIterationIsPublished while it is published.
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
        """Train on the images as they are now: ``iteration = await project.begin_training()``.

        Args: budget_hours: of computing time, at the most, for advanced training (since v3.0),
            which is billed by the hour. training_type: "Regular" (quick) or "Advanced"; advanced if
            a budget is given. selected_tags: train on these alone (since v3.2); on all unless
            given. force: train although nothing has changed since the last time.
            notification_email: where the service writes to when it is done. base_model: the trained
            iteration to begin from (since v3.4-preview). wait: False, and awaiting the poller
            begins the training and does not wait for its end. polling: how often to look.

        Never begun twice by a lost answer: the iterations before and after tell whether it has
        begun.

        Raises (when awaited): BadRequestError: the service does not train:
            BadRequestTrainingNotNeeded (nothing changed: `force`), codes that end in
                TrainingValidationFailed (too few images or tags),
                BadRequestTrainingAlreadyInProgress, ...
            OperationFailed: the training failed; `state` is the iteration.
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
        """Wait for a training that was begun before, here or elsewhere: the poller's `id` is the
        iteration's.
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
        """How good a trained iteration is: precision and recall, over all and for each tag, as
        fractions.

        Args: iteration: which. threshold: the probability from which on a prediction counts (the
            service's own default unless given; v1.2 has none: 0.5). overlap_threshold: the overlap
            of boxes from which on a detection counts (object detection, since v2.0).
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
        """How an iteration did on each image of its training set (since v2.0): only those with one
        of `tags` (up to 20), if given.

        Raises:
            LimitExceeded: too many tags, or a page over 256.
        """
        which, wanted = id_of(iteration, "iteration"), as_tags(tags)
        find = self._tags_once(wanted)
        if page_size > limits.MAX_PAGE_SIZE.value:
            raise LimitExceeded(limits.MAX_PAGE_SIZE, page_size)
        if order not in ("newest", "oldest"):
            raise ValueError(f"order is 'newest' or 'oldest', not {order!r}")

        async def fetch(take: int, skip: int) -> list[ImagePerformance]:
            tag_ids = await find() if wanted else None
            return await self.operations.get_image_performances(
                self.id, which, tag_ids=tag_ids, order_by=order.capitalize(), take=take, skip=skip
            )

        async def count() -> int:
            return await self.operations.get_image_performance_count(
                self.id, which, tag_ids=await find() if wanted else None
            )

        return AsyncItemPaged(
            lambda: skip_pages(
                fetch,
                lambda one: one.id,
                size=page_size,
                ahead=self._concurrency.prefetch_pages,
                count=count,
            )
        )

    async def count_image_performances(
        self, iteration: IterationLike, *, tags: Iterable[TagLike] = ()
    ) -> int:
        """How many images :meth:`list_image_performances` would give."""
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
        """Publish a trained iteration under `name`, by which the prediction API finds it (since
        v3.0).

        Args: iteration: which. name: unique in the project. prediction_resource_id: the Azure id of
            the prediction resource ("/subscriptions/..."), from its Properties page; that of
                VISION_PREDICTION_RESOURCE_ID unless given, if the client was made by ``from_env``.
            overwrite: take the name from the iteration that has it (since v3.3).

        A lost answer is resolved by looking at the iteration.

        Raises: BadRequestError: not trained yet, a name taken or not allowed, no such resource: see
            its `code`. LookupError: no prediction resource is given or known.
        """
        resource = prediction_resource_id or self._prediction_resource_id
        if not resource:
            raise LookupError(
                "no prediction resource: give prediction_resource_id, the id on the resource's "
                "Properties page in the Azure portal, or set"
                " VISION_PREDICTION_RESOURCE_ID and make the client with from_env()"
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
        """Take an iteration out of publication (since v3.0).

        Raises:
            BadRequestError: code BadRequestIterationNotPublished where it is not published.
        """
        meter = Meter()
        try:
            await self.operations.unpublish_iteration(self.id, iteration, meter=meter)
        except BadRequestError as error:
            if not (
                meter.in_doubt and error.code == "BadRequestIterationNotPublished"
            ):  # an attempt whose answer was lost did it
                raise


class _Training(PollingMethod[Iteration, Iteration]):
    """A training, begun by `send`, or to be taken up again by the id of its iteration."""

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
        self._begun = None if send is None else StartOnce(send, self._remember, self._find)

    async def begin(self) -> PollResult[Iteration]:
        """Begin it, or find it."""
        return (
            _seen(await self._begun())
            if self._begun is not None
            else await self._get(self._iteration)
        )

    async def look(self, state: Iteration) -> PollResult[Iteration]:
        """How it is now."""
        return await self._get(state.id)

    async def _get(self, iteration: str) -> PollResult[Iteration]:
        meter = Meter()
        found = await self._operations.get_iteration(self._project_id, iteration, meter=meter)
        return _seen(found, meter.retry_after)

    def result(self, state: Iteration) -> Iteration:
        """The iteration."""
        return state

    def id(self, state: Iteration) -> str:
        """The iteration's."""
        return state.id

    def again(self, state: Iteration) -> str:
        """How to take it up."""
        return f"resume_training({state.id!r})"

    async def _remember(self) -> None:
        self._before = {
            one.id: (one.status or "").lower()
            for one in await self._operations.get_iterations(self._project_id)
        }

    async def _find(self) -> Iteration | None:
        """The iteration that has come since, or that is the workspace of before.

        A project trains one at a time, so there is no other.
        """
        now = await self._operations.get_iterations(self._project_id)
        new = [
            one
            for one in now
            if self._before.get(one.id, "") in _IDLE and (one.status or "").lower() not in _IDLE
        ]
        return max(
            new,
            key=lambda one: one.last_modified.timestamp() if one.last_modified else 0.0,
            default=None,
        )


def _seen(iteration: Iteration, retry_after: float | None = None) -> PollResult[Iteration]:
    status = iteration.status or "Training"
    end: Literal["", "done", "failed"] = ""
    if status.lower() in _FAILED:
        end = "failed"
    elif (
        status.lower() == "completed" or iteration.trained_at is not None
    ):  # the service dates an iteration when it is trained
        end = "done"
    reason = (
        iteration.training_error_details
        or "the service does not say why; the portal may, on the page of the iteration"
    )
    return PollResult(
        iteration, status, end, reason if end == "failed" else "", retry_after=retry_after
    )


def _base(
    project_id: str, base: Iteration | CustomBaseModelInfo | None
) -> CustomBaseModelInfo | None:
    if base is None or isinstance(base, CustomBaseModelInfo):
        return base
    return CustomBaseModelInfo(project_id=base.project_id or project_id, iteration_id=base.id)
