"""A program of Microsoft's SDK 0.1.0 (Training v1.2, Prediction v1.1): calls every operation it has, and prints their names.

Two versions of one package do not fit into one interpreter, so ``test_official_sdk_v1.py`` runs this in another, with the old
package first on its path. Arguments: endpoint, training key, prediction key.
"""

from __future__ import annotations

import io
import sys
import time
import warnings
from typing import Any

from PIL import Image

warnings.simplefilter("ignore")  # msrest 0.7 finds much to say about a client of 2018

from azure.cognitiveservices.vision.customvision.prediction.prediction_endpoint import PredictionEndpoint  # noqa: E402
from azure.cognitiveservices.vision.customvision.training import models as m  # noqa: E402
from azure.cognitiveservices.vision.customvision.training.training_api import TrainingApi  # noqa: E402

COMPACT = "0732100f-1a38-4e49-a514-c9b44c697ab5"


class Recorded:
    """A client that remembers which of its operations were called."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        self.called.add(name)
        return getattr(self._client, name)

    def missed(self) -> set[str]:
        """Operations that were not called."""
        kind = type(self._client)
        return {name for name in vars(kind) if callable(getattr(kind, name)) and not name.startswith("_")} - self.called


def drawn(number: int) -> bytes:
    """A picture; another number gives another one."""
    out = io.BytesIO()
    Image.new("RGB", (32, 24), (number * 37 % 256, number * 91 % 256, number)).save(out, "PNG")
    return out.getvalue()


def images(api: Recorded) -> tuple[str, list[str], str]:
    """Projects, tags and the nine image operations. Returns the project, its tags and the address of a picture."""
    assert len(api.get_domains()) == 9
    assert api.get_domain(COMPACT).exportable
    project = api.create_project("Old", description="d", domain_id=COMPACT).id
    assert api.update_project(project, m.Project(name="Older")).name == "Older"
    assert [each.name for each in api.get_projects()] == ["Older"]
    assert api.get_project(project).current_iteration_id
    tags = [api.create_tag(project, name).id for name in ("apple", "pear")]
    assert api.update_tag(project, tags[0], name="Apple").name == "Apple"
    assert api.get_tag(project, tags[0]).name == "Apple"
    entries = [m.ImageFileCreateEntry(name=f"{number}.png", contents=drawn(number), tag_ids=[tags[number % 2]]) for number in range(12)]
    files = api.create_images_from_files(project, images=entries)
    assert files.is_batch_successful
    uri = files.images[0].image.image_uri
    made = api.create_images_from_data(project, io.BytesIO(drawn(50)), tag_ids=tags[:1]).images[0].image
    other = api.create_project("Other").id
    assert api.create_images_from_urls(other, images=[m.ImageUrlCreateEntry(url=uri)]).images[0].status == "OK"
    api.delete_project(other)
    pair = m.ImageTagCreateEntry(image_id=made.id, tag_id=tags[1])
    assert len(api.post_image_tags(project, tags=[pair]).created) == 1
    assert len(api.get_tagged_images(project, tag_ids=tags[1:], take=256)) == 7
    api.delete_image_tags(project, [made.id], tags)
    assert [image.id for image in api.get_untagged_images(project)] == [made.id]
    told = api.get_tags(project)
    assert (told.total_tagged_images, told.total_untagged_images) == (12, 1)
    api.delete_images(project, [made.id])
    assert api.get_account_info().quotas.projects.used == 1
    return project, tags, uri


def models(api: Recorded, prediction: Recorded, project: str, uri: str) -> None:
    """Training, prediction, export."""
    iteration = api.train_project(project).id
    while api.get_iteration(project, iteration).status != "Completed":
        time.sleep(0.01)
    assert api.update_iteration(project, iteration, name="first", is_default=True).is_default
    assert len(api.get_iterations(project)) == 1
    assert 0 < api.get_iteration_performance(project, iteration, 0.5).precision <= 1
    assert api.export_iteration(project, iteration, "TensorFlow").status == "Exporting"
    assert api.get_exports(project, iteration)[0].download_uri
    tested = api.quick_test_image(project, io.BytesIO(drawn(0)))
    assert tested.predictions[0].tag == "Apple"
    assert api.quick_test_image_url(project, url=uri).predictions
    for verb in ("predict_image", "predict_image_with_no_store"):
        assert getattr(prediction, verb)(project, io.BytesIO(drawn(1))).predictions[0].tag == "pear"
    for verb in ("predict_image_url", "predict_image_url_with_no_store"):
        assert getattr(prediction, verb)(project, url=uri).predictions
    stored = api.query_prediction_results(project, m.PredictionQueryToken(order_by="Newest", max_count=10))
    assert len(stored.results) == 4
    fresh = api.quick_test_image(project, io.BytesIO(drawn(77))).id
    kept = api.create_images_from_predictions(project, images=[m.ImageIdCreateEntry(id=fresh)])
    assert kept.images[0].status == "OK"
    api.delete_prediction(project, [result.id for result in stored.results])
    api.delete_iteration(project, iteration)


def main(endpoint: str, training_key: str, prediction_key: str) -> None:
    """Call everything."""
    api = Recorded(TrainingApi(training_key, base_url=f"{endpoint}/customvision/v1.2/Training"))
    prediction = Recorded(PredictionEndpoint(prediction_key, base_url=f"{endpoint}/customvision/v1.1/Prediction"))
    project, tags, uri = images(api)
    models(api, prediction, project, uri)
    api.delete_tag(project, tags[0])
    api.delete_project(project)
    assert not api.missed(), api.missed()
    assert not prediction.missed(), prediction.missed()
    sys.stdout.write(" ".join(sorted(api.called | prediction.called)))


if __name__ == "__main__":
    main(*sys.argv[1:])
