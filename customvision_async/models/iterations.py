"""Iterations, their performance, and their exports."""

from __future__ import annotations

from datetime import datetime

from msgspec import UNSET, UnsetType

from ._base import Body, Model, make_aware
from .enums import Classifier, ExportFlavor, ExportPlatform, ExportStatus, TrainingType

__all__ = [
    "CustomBaseModelInfo",
    "Export",
    "Iteration",
    "IterationPerformance",
    "IterationUpdate",
    "TagPerformance",
    "TrainingParameters",
]


class CustomBaseModelInfo(Model, frozen=True, kw_only=True):
    """The trained iteration that training starts from (since v3.4-preview)."""

    project_id: str
    iteration_id: str


class Iteration(Model, frozen=True, kw_only=True):
    """An iteration: the result of one training of a project.

    `status` is any string. Known values are "Training", "Completed" and "Failed".
    """

    id: str
    name: str
    status: str | None = None
    created: datetime | None = None
    last_modified: datetime | None = None
    trained_at: datetime | None = None
    project_id: str | None = None
    exportable: bool = False
    exportable_to: tuple[ExportPlatform, ...] = ()
    domain_id: str | None = None
    classification_type: Classifier | None = None
    training_type: TrainingType | None = None
    reserved_budget_in_hours: int = 0
    training_time_in_minutes: int = 0
    publish_name: str | None = None
    original_publish_resource_id: str | None = None
    custom_base_model_info: CustomBaseModelInfo | None = None
    training_error_details: str | None = None
    is_default: bool | None = None
    """In v1.2 to v2.2 only. These versions have a default iteration instead of publishing."""

    def __post_init__(self) -> None:
        make_aware(self, "created", "last_modified", "trained_at")


class IterationUpdate(Body, frozen=True, kw_only=True):
    """Changes to an iteration: its name, and until v2.2 whether it is the default iteration."""

    name: str | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET


class TrainingParameters(Body, frozen=True, kw_only=True):
    """The body of ``train_project``.

    `selected_tags` are the ids of the tags to train on (since v3.2). `custom_base_model_info` is
    the iteration to start from (since v3.4-preview).
    """

    selected_tags: tuple[str, ...] = ()
    custom_base_model_info: CustomBaseModelInfo | None = None


class TagPerformance(Model, frozen=True, kw_only=True):
    """The performance of an iteration on one tag. Values are from 0 to 1."""

    id: str
    name: str = ""
    precision: float = 0.0
    precision_std_deviation: float = 0.0
    recall: float = 0.0
    recall_std_deviation: float = 0.0
    average_precision: float | None = None


class IterationPerformance(Model, frozen=True, kw_only=True):
    """The performance of an iteration. Values are from 0 to 1."""

    precision: float
    recall: float
    per_tag_performance: tuple[TagPerformance, ...] = ()
    precision_std_deviation: float = 0.0
    recall_std_deviation: float = 0.0
    average_precision: float | None = None


class Export(Model, frozen=True, kw_only=True):
    """An export of an iteration for a platform. `download_uri` is set once `status` is DONE."""

    platform: ExportPlatform
    status: ExportStatus
    download_uri: str | None = None
    flavor: ExportFlavor | None = None
    newer_version_available: bool = False
