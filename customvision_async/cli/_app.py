"""The application, with all commands."""

from __future__ import annotations

from importlib.metadata import version

from cyclopts import App, Group, Parameter

from . import projects, tags
from ._exit import HELP
from .demo import demo
from .doctor import doctor
from .emulator import emulator
from .images import delete, list_images, tag, untag
from .upload import upload

__all__ = ["app"]

_ABOUT = """Move images into, inside and out of Azure Custom Vision, any number at a time.

Endpoint and key come from VISION_TRAINING_ENDPOINT and VISION_TRAINING_KEY, or from a file with \
--env-file.
--emulator runs any command against an embedded emulator instead."""

app = App(
    name="customvision",
    help=_ABOUT,
    help_epilogue=HELP,
    help_format="plaintext",
    version=lambda: version("customvision_async"),
    default_parameter=Parameter(negative=(), show_default=False),
)
app.command(
    upload,
    group=Group("Images", sort_key=1),
    usage="Usage: customvision upload PATH... --project NAME_OR_ID [OPTIONS]",
)
app.command(
    list_images,
    name="list",
    group="Images",
    usage="Usage: customvision list --project NAME_OR_ID [OPTIONS]",
)
app.command(
    tag,
    group="Images",
    usage="Usage: customvision tag [IMAGE...] --tag TAG --project NAME_OR_ID [OPTIONS]",
)
app.command(
    untag,
    group="Images",
    usage="Usage: customvision untag [IMAGE...] --tag TAG --project NAME_OR_ID [OPTIONS]",
)
app.command(
    delete,
    group="Images",
    usage="Usage: customvision delete [IMAGE...] --project NAME_OR_ID [OPTIONS]",
)
app.command(projects.app)
app.command(tags.app)
app.command(doctor, group="Projects")
app.command(emulator, group=Group("Without the service", sort_key=3))
app.command(demo, group="Without the service")
