"""A batch, list or operation that is never awaited warns, as a coroutine does."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from customvision_async import ProjectClient, TrainingClient
from tests.support.command import ROOT

ID = "12345678-1234-1234-1234-123456789abc"

UNUSED: dict[str, Callable[[ProjectClient], object]] = {
    "BatchRun": lambda project: project.delete_images([ID]),
    "AsyncItemPaged": lambda project: project.list_images(),
    "AsyncLROPoller": lambda project: project.begin_training(),
}


def make(name: str) -> Any:
    """Return an object that has to be awaited or iterated over."""
    training = TrainingClient("http://127.0.0.1:9", "key")
    return UNUSED[name](training.get_project_client(ID))


@pytest.mark.parametrize("name", UNUSED)
def test_an_object_that_is_dropped_warns(name: str) -> None:
    """The warning says that nothing was sent."""
    made = [make(name)]
    with pytest.warns(RuntimeWarning, match=rf"{name}.* was never .*: nothing was sent"):
        made.clear()


def test_a_source_that_is_refused_does_not_warn(recwarn: pytest.WarningsRecorder) -> None:
    """The error is enough."""
    project = TrainingClient("http://127.0.0.1:9", "key").get_project_client(ID)
    with pytest.raises(TypeError):
        project.delete_images(ID)
    gc.collect()
    assert not [w for w in recwarn if w.category is RuntimeWarning]


PROGRAM = """
from customvision_async import TrainingClient
project = TrainingClient("http://127.0.0.1:9", "key").get_project_client("{id}")
unused = project.{make}  # the line
del project
del unused
"""


@pytest.mark.parametrize(
    "make", [f'delete_images(["{ID}"])', "list_images()", "begin_delete_all_images()"]
)
def test_the_warning_shows_the_line(make: str, tmp_path: Path) -> None:
    """With ``-X dev -X tracemalloc`` Python shows where the object was created."""
    (tmp_path / "program.py").write_text(PROGRAM.format(id=ID, make=make))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-X", "tracemalloc=10", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ": nothing was sent" in done.stderr
    assert 'program.py", lineno 4' in done.stderr
