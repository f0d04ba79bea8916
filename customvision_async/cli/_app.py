"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App, Group

from . import projects, tags
from ._exit import HELP
from .demo import demo
from .emulator import emulator
from .images import delete, list_images, tag, untag
from .upload import upload

__all__ = ["app"]

_ABOUT = """Move images into, inside and out of Azure Custom Vision, any number at a time.

Endpoint and key come from VISION_TRAINING_ENDPOINT and VISION_TRAINING_KEY, or from a file with --env-file.
--emulator runs any command against an embedded emulator instead."""

app = App(name="customvision", help=_ABOUT, help_epilogue=HELP, help_format="plaintext", version=lambda: version("customvision_async"))
app.command(upload, group=Group("Images", sort_key=1))
for _command, _name in ((list_images, "list"), (tag, "tag"), (untag, "untag"), (delete, "delete")):
    app.command(_command, name=_name, group="Images")
app.command(projects.app, group=Group("Projects", sort_key=2))
app.command(tags.app, group="Projects")
app.command(emulator, group=Group("Without the service", sort_key=3))
app.command(demo, group="Without the service")
