"""A program that runs the 2018 SDK (0.1.0: Training v1.2, Prediction v1.1) for
test_official_sdk_v1.

It runs in a process of its own with that SDK on its path. It takes an endpoint, the keys and three
images, calls every operation of the SDK, and prints its observations as one JSON object.
"""

from __future__ import annotations

import base64
import io
import json
import sys
import time
from typing import Any

from azure.cognitiveservices.vision.customvision.prediction.prediction_endpoint import (
    PredictionEndpoint,
)
from azure.cognitiveservices.vision.customvision.training import models as m
from azure.cognitiveservices.vision.customvision.training.training_api import TrainingApi

COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"


class Recorded:
    """A client that records the operations that were called."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self.client, name)

    def not_called(self) -> list[str]:
        """Return the operations that were not called."""
        all_of_them = {
            name
            for name, value in vars(type(self.client)).items()
            if callable(value) and not name.startswith("_")
        }
        return sorted(all_of_them - self.called)


def main() -> None:
    """Call everything that the SDK has."""
    given = json.load(sys.stdin)
    contents = [base64.b64decode(content) for content in given["images"]]
    training = Recorded(
        TrainingApi(
            given["training_key"], base_url=f"{given['endpoint']}/customvision/v1.2/Training"
        )
    )
    prediction = Recorded(
        PredictionEndpoint(
            given["prediction_key"], base_url=f"{given['endpoint']}/customvision/v1.1/Prediction"
        )
    )
    seen: dict[str, Any] = {}
    account = training.get_account_info()
    seen["account"] = [bool(account.quotas), account.quotas.projects.total > 0]
    domains = training.get_domains()
    seen["domain"] = training.get_domain(domains[0].id).name == domains[0].name
    project = training.create_project("First", description="2018", domain_id=COMPACT)
    seen["project"] = [
        project.name,
        training.get_project(project.id).description,
        len(training.get_projects()),
    ]
    seen["renamed"] = training.update_project(
        project.id, m.Project(name="First of all", description="2018")
    ).name
    p = project.id
    apple, pear = (
        training.create_tag(p, "apple"),
        training.create_tag(p, "pear", description="green"),
    )
    seen["tag"] = [
        training.get_tag(p, apple.id).name,
        training.update_tag(p, pear.id, name="quince").name,
    ]

    files = training.create_images_from_files(
        p,
        images=[
            m.ImageFileCreateEntry(name=f"{n}.jpg", contents=content)
            for n, content in enumerate(contents[:12])
        ],
        tag_ids=[apple.id],
    )
    data = training.create_images_from_data(p, io.BytesIO(contents[12]), tag_ids=[pear.id])
    seen["uploaded"] = [
        files.is_batch_successful,
        data.is_batch_successful,
        sorted(result.source_url for result in files.images)[:2],
    ]
    page = training.get_tagged_images(p, tag_ids=[apple.id], take=5, skip=2)
    seen["page"] = [len(page), page[0].width > 0, page[0].image_uri.startswith("http")]
    urls = training.create_images_from_urls(
        p, images=[m.ImageUrlCreateEntry(url=page[0].image_uri)]
    )
    seen["urls"] = urls.images[0].status  # a duplicate
    images = [result.image.id for result in files.images]
    pairs = training.post_image_tags(
        p, tags=[m.ImageTagCreateEntry(image_id=image, tag_id=pear.id) for image in images[:6]]
    )
    seen["pairs"] = len(pairs.created)
    training.delete_image_tags(p, images[:1], [apple.id, pear.id])
    seen["untagged"] = [image.id == images[0] for image in training.get_untagged_images(p)]
    tags = training.get_tags(p)
    seen["tags"] = [
        sorted((tag.name, tag.image_count) for tag in tags.tags),
        tags.total_tagged_images,
        tags.total_untagged_images,
    ]

    iteration = training.train_project(p)
    for _ in range(300):
        if (found := training.get_iteration(p, iteration.id)).status == "Completed":
            break
        time.sleep(0.02)
    seen["trained"] = [found.status, len(training.get_iterations(p))]
    seen["default"] = training.update_iteration(
        p, iteration.id, name="Chosen", is_default=True
    ).is_default
    seen["performance"] = (
        0 <= training.get_iteration_performance(p, iteration.id, 0.5).precision <= 1
    )
    seen["export"] = training.export_iteration(p, iteration.id, "TensorFlow").platform
    seen["exports"] = len(training.get_exports(p, iteration.id))
    quick = training.quick_test_image(p, io.BytesIO(contents[0]), iteration_id=iteration.id)
    seen["quick"] = sorted(score.tag for score in quick.predictions)
    seen["quick_url"] = len(
        training.quick_test_image_url(
            p, iteration_id=iteration.id, url=page[0].image_uri
        ).predictions
    )

    scores = prediction.predict_image(
        p, io.BytesIO(contents[13]), iteration_id=iteration.id, application="old"
    ).predictions
    seen["predicted"] = sorted(score.tag for score in scores)
    prediction.predict_image_with_no_store(p, io.BytesIO(contents[13]), iteration_id=iteration.id)
    prediction.predict_image_url(p, iteration_id=iteration.id, url=page[0].image_uri)
    prediction.predict_image_url_with_no_store(p, iteration_id=iteration.id, url=page[0].image_uri)
    stored = training.query_prediction_results(
        p, m.PredictionQueryToken(max_count=10, order_by="Newest", application="old")
    )
    seen["stored"] = len(stored.results)
    made = training.create_images_from_predictions(
        p, images=[m.ImageIdCreateEntry(id=stored.results[0].id)], tag_ids=[pear.id]
    )
    seen["from_prediction"] = made.images[0].status
    training.delete_prediction(p, [stored.results[0].id])

    training.delete_images(p, images)
    training.delete_tag(p, pear.id)
    training.update_iteration(p, iteration.id, name="Chosen", is_default=False)
    training.delete_iteration(p, iteration.id)
    training.delete_project(p)
    seen["left"] = len(training.get_projects())
    seen["not_called"] = training.not_called() + prediction.not_called()
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main()
