"""The jobs, done with Microsoft's SDK in threads, as its users do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from azure.cognitiveservices.vision.customvision.training import CustomVisionTrainingClient
from azure.cognitiveservices.vision.customvision.training.models import (
    ImageFileCreateBatch,
    ImageFileCreateEntry,
    ImageTagCreateEntry,
    Region,
)
from msrest.authentication import ApiKeyCredentials

from .worker import PROJECT, TAG, Meter, Task

__all__ = ["delete", "listing", "tag", "upload", "upload_regions"]


_Client: Any = CustomVisionTrainingClient
_Entry: Any = ImageFileCreateEntry


def _client(task: Task) -> Any:
    client = _Client(task.endpoint, ApiKeyCredentials(in_headers={"Training-key": "0" * 32}))
    if task.ca is not None:
        client.config.connection.verify = task.ca
    client.get_tags(PROJECT)
    return client


def _in_threads(
    task: Task, send: Callable[[Sequence[Any]], int], items: Sequence[Any], batch: int
) -> int:
    parts = [items[start : start + batch] for start in range(0, len(items), batch)]
    with ThreadPoolExecutor(task.threads) as pool:
        return sum(pool.map(send, parts))


def upload(task: Task) -> dict[str, float]:
    """Upload a folder."""
    return _upload(task, lambda path: _Entry(name=path.name, contents=path.read_bytes()))


def upload_regions(task: Task) -> dict[str, float]:
    """Upload a folder with a region on each image."""
    return _upload(
        task,
        lambda path: _Entry(
            name=path.name,
            contents=path.read_bytes(),
            regions=[Region(tag_id=TAG, left=0.1, top=0.2, width=0.3, height=0.4)],
        ),
    )


def _upload(task: Task, entry: Callable[[Path], Any]) -> dict[str, float]:
    client = _client(task)

    def send(paths: Sequence[Path]) -> int:
        summary = client.create_images_from_files(
            PROJECT, ImageFileCreateBatch(images=[entry(path) for path in paths])
        )
        return sum(result.status == "OK" for result in summary.images)

    with Meter() as meter:
        paths = sorted(Path(task.folder).rglob("*.jpg"))
        done = _in_threads(task, send, paths, task.batch)
    assert done == task.count
    return meter.counted(done)


def listing(task: Task) -> dict[str, float]:
    """List every image, page by page. Threads would gain nothing."""
    client = _client(task)
    done = 0
    with Meter() as meter:
        while page := client.get_images(PROJECT, take=256, skip=done):
            done += sum(bool(image.id) for image in page)
    assert done == task.count
    return meter.counted(done)


def delete(task: Task) -> dict[str, float]:
    """Delete images by id, 256 per request."""
    client, ids = _client(task), task.ids()

    def send(part: Sequence[str]) -> int:
        client.delete_images(PROJECT, image_ids=part)
        return len(part)

    with Meter() as meter:
        done = _in_threads(task, send, ids, 256)
    return meter.counted(done)


def tag(task: Task) -> dict[str, float]:
    """Put one tag on each image, 128 per request."""
    client, ids = _client(task), task.ids()

    def send(part: Sequence[str]) -> int:
        pairs = [ImageTagCreateEntry(image_id=one, tag_id=TAG) for one in part]
        return len(client.create_image_tags(PROJECT, tags=pairs).created)

    with Meter() as meter:
        done = _in_threads(task, send, ids, 128)
    assert done == task.count
    return meter.counted(done)
