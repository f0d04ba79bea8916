"""What to do about it: advice for a refused request, and the cause and fix of each status an image can come back with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .operation_spec import Operation

__all__ = ["STATUS_HELP", "VAGUE_STATUSES", "StatusHelp", "advice_for", "status_help"]


class StatusHelp(NamedTuple):
    """Why an image came back with a status, and what to do."""

    cause: str
    fix: str


STATUS_HELP: dict[str, StatusHelp] = {
    "OK": StatusHelp("the image is in the project", ""),
    "OKDuplicate": StatusHelp(
        "the project has an image with the same content already",
        "nothing: that image stands for this one",
    ),
    "ErrorSource": StatusHelp(
        "the service could not fetch or read the image",
        "check that the URL opens without signing in, and that it is the picture itself",
    ),
    "ErrorImageFormat": StatusHelp(
        "the service cannot read it as an image", "give a whole JPEG, PNG, GIF or BMP file"
    ),
    "ErrorImageSize": StatusHelp(
        "the image is larger than the service takes", "bring the file to 6 MB or less"
    ),
    "ErrorImageDimensions": StatusHelp(
        "a side of the image is too long, or one side is too long for the other",
        "keep sides to 10,240 pixels and to 25 times each other",
    ),
    "ErrorStorage": StatusHelp(
        "the service failed to store the image", "upload it again; this passes"
    ),
    "ErrorLimitExceed": StatusHelp(
        "the project has as many images as its tier allows",
        "delete images or move up: F0 has 5,000 a project, S0 100,000",
    ),
    "ErrorTagLimitExceed": StatusHelp(
        "the image would have more tags than allowed", "give it fewer tags: 100 is the most"
    ),
    "ErrorRegionLimitExceed": StatusHelp(
        "the image would have more regions than allowed", "give it fewer regions: 300 is the most"
    ),
    "ErrorNegativeAndRegularTagOnSameImage": StatusHelp(
        "the image has a negative tag and another one",
        "give it the negative tag alone, or leave that out",
    ),
    "ErrorInvalidTag": StatusHelp(
        "a tag of the image is not one of this project, or does not fit it",
        "list the tags of the project",
    ),
    "ErrorInvalidRegion": StatusHelp(
        "a region is not within the image",
        "give left, top, width, height as fractions that stay within 0 to 1",
    ),
    "ErrorUnknown": StatusHelp(
        "the service does not say why",
        "upload it again, in smaller company; if it fails alone, look at the file",
    ),
    "ErrorImageNotFound": StatusHelp(
        "the project has no such image", "it may have been deleted: list the images"
    ),
}
"""By the service's status of an image."""

VAGUE_STATUSES = frozenset({"ErrorUnknown", "ErrorStorage"})
"""Statuses that may be the fault of the image's company, and worth sending again in a smaller one."""


def status_help(status: str) -> StatusHelp:
    """The cause and the fix of a status, also of one this package does not know."""
    known = STATUS_HELP.get(status)
    if known is not None:
        return known
    return StatusHelp(
        f'the service answered "{status}", which this package does not know',
        "see Microsoft's reference of the API version",
    )


_BY_CODE = {
    "BadRequestProjectNameNotUnique": "Choose another name, or use the project that has it.",
    "BadRequestTagNameNotUnique": "The project has a tag of this name: list the tags and use it.",
    "BadRequestIterationNameNotUnique": "Choose another name for the iteration.",
    "BadRequestExceedProjectLimit": "Delete a project or move to a larger tier: F0 has 2 projects, S0 100.",
    "BadRequestExceedTagPerProjectLimit": "Delete tags or move to a larger tier: F0 has 50 tags a project, S0 500.",
    "BadRequestExceedIterationPerProjectLimit": "Delete an iteration that is not published: 20 is the most a project can have.",
    "BadRequestExceedTagPerImageLimit": "Give each image fewer tags: 100 is the most.",
    "BadRequestExceededQuota": "The tier's quota is used up: delete what is not needed, or move to a larger tier.",
    "BadRequestExceededBatchSize": "Send at most 64 images and 20 tags in one call; upload_images does so for you.",
    "BadRequestImageExceededCount": "The project has as many images as its tier allows: F0 has 5,000, S0 100,000.",
    "BadRequestImageBatch": "The service found no usable image in the call: check the files, and that tags are given by id.",
    "BadRequestImageSizeBytes": "An image is too large: 6 MB is the most for training, 4 MB for prediction.",
    "BadRequestImageFormat": "Give whole JPEG, PNG, GIF or BMP files.",
    "BadRequestImageUrl": "Check that the URL opens without signing in, and that it is the picture itself.",
    "BadRequestImageRegions": "Keep every region within 0 to 1, and use regions in object detection projects alone.",
    "BadRequestImageTags": "Check that every tag id is one of this project.",
    "BadRequestNegativeAndRegularTagOnSameImage": "Give an image the negative tag alone, or leave that out.",
    "BadRequestMultipleNegativeTag": "A project has at most one negative tag.",
    "BadRequestImageMetadataKey": "Keep metadata to 10 pairs with keys of at most 128 characters.",
    "BadRequestImageMetadataValue": "Keep metadata values to 256 characters.",
    "BadRequestProjectUnknownDomain": "List the domains: get_domains() has the ids this resource knows.",
    "BadRequestTrainingNotNeeded": "Nothing has changed since the last training: change images or tags, or force the training.",
    "BadRequestTrainingValidationFailed": "Training needs at least two tags with 5 images each (15 each for object detection).",
    "BadRequestClassificationTrainingValidationFailed": "Training needs at least two tags with 5 images each.",
    "BadRequestMultiClassClassificationTrainingValidationFailed": "Training needs at least two tags with 5 images each.",
    "BadRequestMultiLabelClassificationTrainingValidationFailed": "Training needs at least two tags with 5 images each.",
    "BadRequestDetectionTrainingValidationFailed": "Training needs at least 15 images with a region of each tag.",
    "BadRequestTrainingAlreadyInProgress": "Wait for the training that is under way.",
    "BadRequestIterationIsPublished": "Unpublish the iteration first.",
    "BadRequestIterationNotPublished": "Publish the iteration first.",
    "BadRequestIterationIsNotTrained": "Wait until the iteration's status is Completed.",
    "BadRequestInvalidPublishName": "Choose another name to publish under: it is taken, or has characters that a URL may not.",
    "BadRequestInvalidPublishTarget": "Give the id of the prediction resource, from its Properties page (VISION_PREDICTION_RESOURCE_ID).",
    "BadRequestExportAlreadyInProgress": "Wait for the export that is under way: get_exports() shows it.",
    "BadRequestInvalidImportToken": "Export the project again and give the token it answers with, whole and at once.",
    "BadRequestTrainingNotNeededButTrainingPipelineUpdated": "Only the service itself has changed: force the training.",
    "BadRequestReservedBudgetInHoursNotEnoughForAdvancedTraining": "Give advanced training a budget of at least one hour.",
    "BadRequestDomainNotSupportedForAdvancedTraining": "Leave out the budget, or choose another domain.",
    "BadRequestExportPlatformNotSupportedForAdvancedTraining": "Change the project's export platforms, or train without a budget.",
    "BadRequestRetiredDomainNotSupportedForTraining": "The domain is retired: move the project to an enabled one.",
    "BadRequestDetectionTrainingNotAllowNegativeTag": "Object detection knows no negative tag: delete it, or make it regular.",
    "BadRequestInvalidEmailAddress": "Give one whole e-mail address, or leave it out.",
    "BadRequestCustomBaseModelIterationStatusNotCompleted": "Wait until the iteration to begin from is Completed.",
    "BadRequestCustomBaseModelDomainNotCompatible": "Begin from an iteration of the same domain.",
    "BadRequestExportValidationFailed": "Its `exportable_to` says what an iteration exports for: only compact domains do.",
    "BadRequestExportWhileTraining": "Wait until the training is completed, then export the project.",
    "BadRequestProjectUnsupportedExportPlatform": "The domain's `exportable_platforms` say for which it can be exported.",
    "BadRequestIterationName": "Give the iteration a name of 1 to 256 characters.",
    "BadRequestWorkspaceCannotBeModified": "This iteration is the workspace, not yet trained: train the project first.",
    "BadRequestWorkspaceNotDeletable": "This iteration is the workspace: it cannot be deleted. Delete images in place of it.",
    "BadRequestUnpublishFailed": "Try again later; if it stays so, publish the iteration again with overwrite, and then unpublish it.",
    "BadRequestPredictionInvalidQueryParameters": "Begin the query again without its token: tokens grow old, and belong to one question.",
    "BadRequestPredictionTagsExceededCount": "Ask for at most 2 tags at a time.",
    "BadRequestPredictionIdsExceededCount": "Delete at most 64 predictions in one call; delete_predictions does so for you.",
    "BadRequestPredictionIdsMissing": "Give at least one id of a prediction.",
    "BadRequestPredictionResultsExceededCount": "Ask for fewer results a page.",
    "BadRequestInvalidArtifactUri": "Give the relative address exactly as the service wrote it.",
    "BadRequestInvalidIds": "Give ids of the form 12345678-1234-1234-1234-123456789abc, of this project.",
    "BadRequestNotSupported": "The project is of the other kind: classification, or object detection.",
    "BadRequestImageStream": "The service could not read the picture: give a whole JPEG, PNG, GIF or BMP file.",
    "BadRequestImageDimensions": "Keep the sides of a picture to 10,240 pixels.",
    "BadRequestImageAspectRatio": "Keep the longer side of a picture to 25 times the shorter.",
    "NotFoundProjectDefaultIteration": "Train the project first, or say which iteration is meant.",
    "NotFoundIterationPerformance": "The iteration has no figures (yet): wait until its status is Completed.",
    "BadRequestSubscriptionApi": "The key is of another kind of resource than this operation needs.",
    "ForbiddenDRModeEnabled": "The project is in disaster recovery mode and cannot be changed.",
    "NotFoundProject": "The resource of this key has no such project: list_projects() shows those it has.",
    "NotFoundTag": "The project has no such tag: list_tags() shows those it has.",
    "NotFoundImage": "The project has no such image: it may have been deleted.",
    "NotFoundIteration": "The project has no such iteration, or nothing published under that name: list_iterations() shows what it has.",
    "NotFoundDomain": "List the domains: get_domains() has the ids this resource knows.",
}


def advice_for(row: Operation, status: int, code: str, headers: Mapping[str, str]) -> str:
    """What to do about an error of the service, in a sentence or two; "" where there is nothing to say."""
    known = _BY_CODE.get(code)
    if known is not None:
        return known
    kind = row.api.upper()
    if status == 401:
        other = "prediction" if row.api == "Training" else "training"
        return (
            f"Check the key and the endpoint (VISION_{kind}_KEY and VISION_{kind}_ENDPOINT): both stand on the page "
            f'"Keys and Endpoint" of the {row.api.lower()} resource in the Azure portal, and the key of a {other} resource does not do. '
            "A resource that has reached its limit of projects is said to answer so too."
        )
    if status == 403:
        return "The key or identity is known but may not do this: look at its role, and at the resource's network rules."
    if status == 404:
        if not code.startswith("NotFound") and not headers.get("apim-request-id"):
            return (
                f"If every call ends so, the endpoint is wrong: VISION_{kind}_ENDPOINT is the bare address on the resource's page, such as "
                "https://NAME.cognitiveservices.azure.com, without a path."
            )
        return (
            "Check the ids; what they named may have been deleted, or belong to another resource."
        )
    if status == 429:
        return "The tier's calls a second are used up: wait, or move to a larger tier (F0 allows 2 to 10, S0 10)."
    if status in (408, 413):
        return (
            "The body is too much for the service at once: send fewer or smaller images in a call."
        )
    if status in (414, 431):
        return "The URL is too long for the service: give fewer ids in a call."
    if status >= 500:
        return (
            "The fault is the service's: try again later; its state is on https://status.azure.com."
        )
    return ""
