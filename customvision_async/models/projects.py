"""Projects, their domains, and the account of v1.2."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec import UNSET, UnsetType, field
from msgspec.structs import force_setattr

from ._base import Body, Model, make_aware
from .enums import Classifier, DomainType, ExportPlatform, ProjectStatus

__all__ = [
    "Account",
    "AccountQuota",
    "ApiKeys",
    "CreateProjectOptions",
    "Domain",
    "ImageProcessingSettings",
    "KeyPair",
    "ModelInformation",
    "PerProjectQuota",
    "Project",
    "ProjectExport",
    "ProjectSettings",
    "ProjectSettingsUpdate",
    "ProjectUpdate",
    "Quota",
]


class ModelInformation(Model, frozen=True, kw_only=True):
    """The description and the estimated size of models of a domain (since v3.4-preview)."""

    description: str = ""
    estimated_model_size_in_megabytes: int | None = None


class Domain(Model, frozen=True, kw_only=True):
    """A base model for training, optimized for a kind of image.

    Iterations of compact domains can be exported.
    """

    id: str
    name: str = ""
    type: DomainType | None = None
    exportable: bool = False
    enabled: bool = True
    exportable_platforms: tuple[ExportPlatform, ...] = ()
    model_information: ModelInformation | None = None


class ImageProcessingSettings(Model, frozen=True, kw_only=True):
    """The augmentation methods that training uses (since v3.1)."""

    augmentation_methods: dict[str, bool] | None = None


class ProjectSettings(Model, frozen=True, kw_only=True):
    """The settings of a project."""

    domain_id: str | None = None
    classification_type: Classifier | None = None
    target_export_platforms: tuple[ExportPlatform, ...] = ()
    use_negative_set: bool | None = None
    detection_parameters: str | None = None
    image_processing_settings: ImageProcessingSettings | None = None
    export_model_container_uri: str | None = None
    notification_queue_uri: str | None = None
    classification: Classifier | None = None
    """The name of this field in v1.2. Read `classification_type`, which has the same value."""

    def __post_init__(self) -> None:
        if self.classification_type is None and self.classification is not None:
            force_setattr(self, "classification_type", self.classification)


class Project(Model, frozen=True, kw_only=True):
    """A project: images, tags, and the iterations trained on them."""

    id: str
    name: str
    description: str | None = None
    settings: ProjectSettings | None = None
    created: datetime | None = None
    last_modified: datetime | None = None
    thumbnail_uri: str | None = None
    dr_mode_enabled: bool | None = None
    status: ProjectStatus | None = None
    current_iteration_id: str | None = None
    """In v1.2 only."""

    def __post_init__(self) -> None:
        make_aware(self, "created", "last_modified")


class ProjectSettingsUpdate(Body, frozen=True, kw_only=True):
    """Changes to the settings of a project. UNSET fields are not sent."""

    domain_id: str | UnsetType = UNSET
    classification_type: Classifier | UnsetType | None = UNSET
    target_export_platforms: tuple[ExportPlatform, ...] | UnsetType = UNSET
    image_processing_settings: ImageProcessingSettings | UnsetType = UNSET


class ProjectUpdate(Body, frozen=True, kw_only=True):
    """Changes to a project. UNSET fields are not sent.

    The specification of v3.x requires all fields except `settings`.
    """

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    settings: ProjectSettingsUpdate | UnsetType = UNSET


class ProjectExport(Model, frozen=True, kw_only=True):
    """The export of a project. Import it into any resource by its `token` (since v3.2)."""

    token: str
    iteration_count: int = 0
    image_count: int = 0
    tag_count: int = 0
    region_count: int = 0
    estimated_import_time_in_ms: int = field(default=0, name="estimatedImportTimeInMS")


class CreateProjectOptions(Body, frozen=True, kw_only=True):
    """The storage for exports and notifications of a new project (since v3.4-preview)."""

    export_model_container_uri: str | UnsetType = UNSET
    notification_queue_uri: str | UnsetType = UNSET


class KeyPair(Model, frozen=True, kw_only=True):
    """Two keys of an account (v1.2). The repr masks them."""

    primary_key: str | None = None
    secondary_key: str | None = None

    def __repr__(self) -> str:
        return "KeyPair(primary_key=..., secondary_key=...)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []


class ApiKeys(Model, frozen=True, kw_only=True):
    """The keys of an account (v1.2)."""

    training_keys: KeyPair | None = None
    prediction_keys: KeyPair | None = None


class Quota(Model, frozen=True, kw_only=True):
    """A quota and its usage (v1.2). `time_until_reset` is the unparsed text of the service."""

    total: int = 0
    used: int = 0
    time_until_reset: str | None = None


class PerProjectQuota(Model, frozen=True, kw_only=True):
    """The quotas of one project (v1.2)."""

    project_id: str
    iterations: Quota | None = None
    images: Quota | None = None
    tags: Quota | None = None


class AccountQuota(Model, frozen=True, kw_only=True):
    """The quotas of an account (v1.2)."""

    tier: str | None = None
    projects: Quota | None = None
    predictions: Quota | None = None
    per_project: tuple[PerProjectQuota, ...] = ()


class Account(Model, frozen=True, kw_only=True):
    """The account of the key (v1.2)."""

    user_name: str | None = None
    email: str | None = None
    keys: ApiKeys | None = None
    quotas: AccountQuota | None = None
