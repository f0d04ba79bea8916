"""The enums of the service, with the values of all API versions.

All of them accept unknown values. See :class:`OpenEnum`.
"""

from __future__ import annotations

from ._base import OpenEnum

__all__ = [
    "Classifier",
    "DomainType",
    "ExportFlavor",
    "ExportPlatform",
    "ExportStatus",
    "ImageCreateStatus",
    "ImageMetadataUpdateStatus",
    "OrderBy",
    "ProjectStatus",
    "SortBy",
    "TagType",
    "TaggingStatus",
    "TrainingType",
]


class ImageCreateStatus(OpenEnum):
    """The status of one image of a create batch. OK and OK_DUPLICATE are successes."""

    OK = "OK"
    OK_DUPLICATE = "OKDuplicate"
    ERROR_SOURCE = "ErrorSource"
    ERROR_IMAGE_FORMAT = "ErrorImageFormat"
    ERROR_IMAGE_SIZE = "ErrorImageSize"
    ERROR_STORAGE = "ErrorStorage"
    ERROR_LIMIT_EXCEED = "ErrorLimitExceed"
    ERROR_TAG_LIMIT_EXCEED = "ErrorTagLimitExceed"
    ERROR_REGION_LIMIT_EXCEED = "ErrorRegionLimitExceed"
    """Since v2.0."""
    ERROR_NEGATIVE_AND_REGULAR_TAG_ON_SAME_IMAGE = "ErrorNegativeAndRegularTagOnSameImage"
    """Since v2.2."""
    ERROR_IMAGE_DIMENSIONS = "ErrorImageDimensions"
    """Since v3.4-preview."""
    ERROR_INVALID_TAG = "ErrorInvalidTag"
    """Since v3.4-preview."""
    ERROR_INVALID_REGION = "ErrorInvalidRegion"
    """Undocumented, but reported in MicrosoftDocs/azure-docs#96584."""
    ERROR_UNKNOWN = "ErrorUnknown"


class ImageMetadataUpdateStatus(OpenEnum):
    """The status of one image of a metadata update (since v3.3)."""

    OK = "OK"
    ERROR_IMAGE_NOT_FOUND = "ErrorImageNotFound"
    ERROR_LIMIT_EXCEED = "ErrorLimitExceed"
    ERROR_UNKNOWN = "ErrorUnknown"


class Classifier(OpenEnum):
    """The type of a classification project (since v2.1).

    MULTICLASS allows exactly one tag per image, MULTILABEL any number.
    """

    MULTICLASS = "Multiclass"
    MULTILABEL = "Multilabel"


class DomainType(OpenEnum):
    """The task of a domain (since v2.0)."""

    CLASSIFICATION = "Classification"
    OBJECT_DETECTION = "ObjectDetection"


class TagType(OpenEnum):
    """The type of a tag.

    NEGATIVE is for images to which no other tag applies (since v2.2). GENERAL_PRODUCT is for retail
    projects (since v3.3).
    """

    REGULAR = "Regular"
    NEGATIVE = "Negative"
    GENERAL_PRODUCT = "GeneralProduct"


class TrainingType(OpenEnum):
    """The type of a training (since v3.0): REGULAR is quick, ADVANCED uses a time budget."""

    REGULAR = "Regular"
    ADVANCED = "Advanced"


class ProjectStatus(OpenEnum):
    """The status of the import of a project (since v3.2)."""

    SUCCEEDED = "Succeeded"
    IMPORTING = "Importing"
    FAILED = "Failed"


class ExportPlatform(OpenEnum):
    """A target platform for the export of an iteration."""

    CORE_ML = "CoreML"
    TENSOR_FLOW = "TensorFlow"
    DOCKER_FILE = "DockerFile"
    ONNX = "ONNX"
    VAIDK = "VAIDK"
    OPEN_VINO = "OpenVino"


class ExportFlavor(OpenEnum):
    """A variant of an export platform."""

    LINUX = "Linux"
    WINDOWS = "Windows"
    ONNX10 = "ONNX10"
    ONNX12 = "ONNX12"
    ARM = "ARM"
    TENSOR_FLOW_NORMAL = "TensorFlowNormal"
    TENSOR_FLOW_LITE = "TensorFlowLite"


class ExportStatus(OpenEnum):
    """The status of an export."""

    EXPORTING = "Exporting"
    FAILED = "Failed"
    DONE = "Done"


class OrderBy(OpenEnum):
    """The order of a list. SUGGESTED is for stored predictions only."""

    NEWEST = "Newest"
    OLDEST = "Oldest"
    SUGGESTED = "Suggested"


class SortBy(OpenEnum):
    """The order of suggested tags and regions (since v3.1)."""

    UNCERTAINTY_ASCENDING = "UncertaintyAscending"
    UNCERTAINTY_DESCENDING = "UncertaintyDescending"


class TaggingStatus(OpenEnum):
    """A filter for lists and counts of images (since v3.3)."""

    ALL = "All"
    TAGGED = "Tagged"
    UNTAGGED = "Untagged"
