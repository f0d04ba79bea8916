"""The output of ``help()`` for the options."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from typing import Any

import pytest

from customvision_async import Concurrency, Retry, Timeouts


@pytest.mark.parametrize("options", [Retry, Timeouts, Concurrency])
def test_help_explains_every_option_with_its_default(options: Any) -> None:
    """Each option has a description and its default."""
    args = (inspect.getdoc(options) or "").partition("Args:\n")[2].partition("\n\n")[0]
    told = dict(re.findall(r"^    (\w+): (.*?)(?=^    \w|^\w|\Z)", args, re.MULTILINE | re.DOTALL))
    assert list(told) == [field.name for field in fields(options)]
    for field in fields(options):
        default = (
            "16 MB" if field.name == "max_chunk_bytes" else str(field.default).removesuffix(".0")
        )
        assert re.search(rf"\(\"?{re.escape(default)}\b", told[field.name]), (
            f"{field.name}: {told[field.name]}"
        )
