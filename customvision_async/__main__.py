"""``python -m customvision_async`` is the ``customvision`` command."""

from .cli import main

main()
