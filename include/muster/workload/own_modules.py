"""Which modules are one's own, and which of them some code imports: told from their text, nothing of it is run."""

from __future__ import annotations

import ast
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from muster.errors import let_through

MUSTER = ("muster", "muster_jobs", "muster_airflow", "muster_local")
"""Its own packages say by themselves when what they make is another (`features/made_from.py`)."""

LIBRARIES = (
    *("catboost", "jax", "keras", "lightgbm", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "tensorflow", "torch"),
    "xgboost",
)
"""Nobody's own, even where a function of theirs is named."""


class OwnModule(NamedTuple):
    """A module of one's own as it is now."""

    file: str
    text: bytes


def own_modules(nodes: Iterable[ast.AST], module: str) -> dict[str, OwnModule]:
    """Return, by name, every module of one's own that `nodes` of `module` import, and that those import.

    Packages count with the modules in them that are imported: Python runs their `__init__.py` first.
    """
    own: dict[str, OwnModule] = {}
    waiting = imported(nodes, module)
    while waiting:
        name = waiting.pop()
        file = module_file(name) if name not in own and is_own(name, module) else None
        if file is not None:
            own[name] = OwnModule(str(file), file.read_bytes())
            waiting |= imported([ast.parse(own[name].text, own[name].file)], name)
    return own


def imported(nodes: Iterable[ast.AST], module: str) -> set[str]:
    """Return the modules that are imported anywhere within `nodes` of `module`, and the packages that they are in."""
    names: set[str] = set()
    for node in (item for root in nodes for item in ast.walk(root)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, module)
            names.update([source, *(f"{source}.{alias.name}" for alias in node.names)])
        elif isinstance(node, ast.Call) and (named := _imported_by_text(node, module)):
            names.add(named)
    return {package for name in names for package in with_packages(name)} - {""}


def _imported_by_text(call: ast.Call, module: str) -> str | None:
    """Return the module of `import_module("a.b")`, `import_module(".b", "a")`, `__import__("a.b")`; else None."""
    if getattr(call.func, "attr", getattr(call.func, "id", "")) not in ("import_module", "__import__"):
        return None
    given = dict(zip(("name", "package"), call.args, strict=False)) | {item.arg: item.value for item in call.keywords}
    name, package = (getattr(given.get(argument), "value", None) for argument in ("name", "package"))
    if not isinstance(name, str):  # put together while it runs
        return None
    rest = name.lstrip(".")
    if rest and not all(map(str.isidentifier, rest.split("."))):
        return None
    beside = f"{package}.any" if isinstance(package, str) else module  # else it is `__package__`
    return _absolute(ast.ImportFrom(rest or None, [], len(name) - len(rest)), beside)


def with_packages(module: str) -> list[str]:
    """Return `a`, `a.b`, `a.b.c` for `a.b.c`."""
    parts = module.split(".")
    return [".".join(parts[: number + 1]) for number in range(len(parts))]


def is_own(module: str, root: str = "") -> bool:
    """Tell whether a module is of the package of `root`, or lies where nothing is installed."""
    top = module.partition(".")[0]
    if top in (*MUSTER, *LIBRARIES) or top in sys.stdlib_module_names:
        return False
    if root and top == root.partition(".")[0]:
        return True
    file = module_file(module)
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return (
        file is not None
        and not {"site-packages", "dist-packages"}.intersection(file.parts)
        and not any(file.is_relative_to(place) for place in installed if place)
    )


def module_file(module: str) -> Path | None:
    """Return the source file of a module without importing more than its packages; None without one.

    There is none to find where a package raises, or ends the process: whoever imports the module is told.
    """
    try:
        spec = importlib.util.find_spec(module)
    except BaseException as error:
        let_through(error)
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    file = module_file(module)
    parts = module.split(".") if file is not None and file.name == "__init__.py" else module.split(".")[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])
