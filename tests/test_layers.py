"""The layers of the package, checked by the imports of every module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "customvision_async"
NAME = PACKAGE.name

DATA = {
    "models",
    "errors",
    "limits",
    "_versions",
    "_content",
    "_options",
    "_events",
    "_statuses",
}
"""Pure data, without dependencies."""

GENERAL = {"errors", "limits"}
TRANSPORT = {*GENERAL, "_blocking", "_content", "_options", "_events", "_statuses"}
SHARED = {*DATA, "_batch", "_batching", "_operations", "_wire", "_transport", "_paging", "_polling"}
"""The base of the layers that know both the service and the engine."""

ALLOWED: dict[str, set[str]] = {
    **dict.fromkeys(DATA, DATA),
    "errors": {*DATA, "_batch.report"},  # for type checkers only: the type of BatchError.report
    "_blocking": set(),
    "_wire": DATA,
    "_transport": TRANSPORT,
    "_batch": GENERAL,
    "_paged_iterator": set(),
    "_paging": {*GENERAL, "_paged_iterator"},
    "_polling": {*GENERAL, "_statuses"},
    "_inputs": {*DATA, "_blocking"},
    "_operations": {*DATA, "_inputs", "_wire", "_transport"},
    "_batching": {*DATA, "_batch", "_operations", "_wire", "_transport"},
    "_project": {*SHARED, "_inputs"},
    "_clients": {*SHARED, "_inputs", "_project"},
    "sources": {*DATA, "_blocking", "_inputs", "_paged_iterator"},
    "emulator": {"models", "errors", "limits", "_versions", "_wire.codec"},
    "emulator.plugin": {"", "emulator"},  # pytest fixtures: an emulator, and a client of it
    "cli": {
        "",
        *DATA,
        "_blocking",
        "_clients",
        "_project",
        "_paging",
        "_polling",
        "sources",
        "emulator",
    },
}
"""The modules that each layer may import. Every module belongs to a layer."""

AIOHTTP = {"_transport.aiohttp", "_transport.blob_reader", "_transport.session"}
"""The modules of the client that may import the HTTP library.

One sends requests, another fetches blobs without the key, and the third opens the sessions of both.
"""


def modules() -> list[str]:
    """Return every module without the name of the package. "" is its __init__."""
    names = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def source_of(module: str) -> tuple[Path, bool]:
    """Return the file of a module, and whether it is a package."""
    path = PACKAGE.joinpath(*module.split(".")) if module else PACKAGE
    return (path / "__init__.py", True) if path.is_dir() else (path.with_suffix(".py"), False)


def imports_of(module: str, *, at_run_time: bool = False) -> Iterator[str]:
    """Return the absolute names that a module imports, including lazy imports.

    `at_run_time` leaves out those under TYPE_CHECKING.
    """
    path, is_package = source_of(module)
    here = [NAME, *(module.split(".") if module else [])]
    if not is_package:
        here.pop()
    for node in _nodes(ast.parse(path.read_text(encoding="utf-8")), at_run_time):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join(
                    [*here[: len(here) - node.level + 1], *([node.module] if node.module else [])]
                )
                if node.level
                else node.module or ""
            )
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield full if _is_module(full) else base


def _nodes(tree: ast.AST, at_run_time: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if at_run_time and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _nodes(node, at_run_time)


def _is_module(name: str) -> bool:
    if not name.startswith(NAME + "."):
        return False
    path, _ = source_of(name.removeprefix(NAME + "."))
    return path.exists()


def inner(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    return {
        name.removeprefix(NAME).lstrip(".")
        for name in imports_of(module)
        if name == NAME or name.startswith(NAME + ".")
    }


def within(module: str, layer: str) -> bool:
    """Return whether `module` is `layer` or inside it."""
    return module == layer or (layer != "" and module.startswith(layer + "."))


@pytest.mark.parametrize("module", [name for name in modules() if name not in {"", "__main__"}])
def test_a_module_imports_only_from_the_layers_below_its_own(module: str) -> None:
    """No layer imports from above or beside it, so each can be replaced."""
    layer = module if module in ALLOWED else module.partition(".")[0]
    foreign = {name for name in inner(module) if not within(name, layer)}
    wrong = {
        name for name in foreign if not any(within(name, allowed) for allowed in ALLOWED[layer])
    }
    assert not wrong, f"{module} imports {sorted(wrong)}"


@pytest.mark.parametrize("module", [name for name in modules() if within(name, "_wire")])
def test_the_wire_layer_never_waits(module: str) -> None:
    """_wire has no await and no I/O: it converts values to requests and responses to values."""
    tree = ast.parse(source_of(module)[0].read_text(encoding="utf-8"))
    waits = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith)
    ]
    reached = {name.partition(".")[0] for name in imports_of(module)} & {
        "aiohttp",
        "aiofiles",
        "anyio",
        "asyncio",
        "socket",
        "sqlite3",
    }
    assert not waits
    assert not reached


@pytest.mark.parametrize("module", [name for name in modules() if within(name, "_transport")])
def test_the_transport_names_no_host_of_azure(module: str) -> None:
    """Hosts of endpoints, tokens and blob stores are passed to _transport by the layers above."""
    text = source_of(module)[0].read_text(encoding="utf-8").lower()
    hosts = r"windows\.net|azure\.(?:com|net|us|cn)\b|cloudapi\.|/customvision\b"
    assert not re.findall(hosts, text)


@pytest.mark.parametrize("module", [name for name in modules() if not within(name, "emulator")])
def test_only_transports_import_the_http_library(module: str) -> None:
    """Only few modules import aiohttp, so that it can be replaced."""
    libraries = {name.partition(".")[0] for name in imports_of(module)}
    assert "aiohttp" not in libraries or module in AIOHTTP


@pytest.mark.parametrize(
    "module", [name for name in modules() if name.partition(".")[0] not in {"emulator", "cli"}]
)
def test_the_library_needs_no_extra(module: str) -> None:
    """Importing the library imports no extra. Optional packages are imported lazily."""
    extras = {"cyclopts", "rich", "PIL", "uvloop", "matplotlib", "pytest"}
    libraries = {name.partition(".")[0] for name in imports_of(module, at_run_time=True)}
    assert not libraries & extras


def test_the_command_line_reaches_the_service_through_the_public_clients() -> None:
    """The commands reach the service only as a user's program would."""
    below = {"_operations", "_wire", "_transport", "_batch", "_batching", "_inputs"}
    reached = {name for module in modules() if within(module, "cli") for name in inner(module)}
    assert not {name for name in reached if any(within(name, layer) for layer in below)}
