"""The code that a workload's own function is made of: what it uses of its file, and of one's own modules."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from muster.workload.functions import FunctionNotFound
from muster.workload.spec import Workload

MUSTER = ("muster", "muster_jobs", "muster_airflow", "muster_local")
"""Its own packages say by themselves when what they make is another (`features/made_from.py`)."""


def code_digest(workload: Workload, folder: Path, reference: str) -> str:
    """Return a digest of the function `reference` and of all code of one's own that it uses; nothing of it is run.

    That is: what the function names in its module, and what that names, and whole modules that any of it imports, if
    they are one's own. Comments, blank lines and the file's other functions make no difference. Packages that were
    installed from elsewhere do not count, nor do files that the function reads.

    Raises:
        FunctionNotFound: when the file that defines it is missing, or is no Python.
    """
    module, _, name = reference.rpartition(":")
    file = _file(module) if module else folder / f"{workload.name}.py"
    if file is None:  # a package without source: the name is all there is
        return hashlib.sha256(reference.encode()).hexdigest()
    try:
        used = _used(ast.parse(file.read_bytes()), name)
        texts = [reference, *(ast.dump(node) for node in used), *_own_modules(used, module)]
    except (OSError, SyntaxError, ValueError) as error:
        raise FunctionNotFound(reference, str(file), str(error)) from error
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _own_modules(used: Iterable[ast.AST], module: str) -> list[str]:
    """Return the text of every module of one's own that is imported by `used`, and by what that imports, by name."""
    texts: dict[str, str] = {}
    waiting = _imported(used, module)
    while waiting:
        name = waiting.pop()
        file = _file(name) if name not in texts and _is_own(name, module) else None
        if file is not None:
            tree = ast.parse(file.read_bytes())
            texts[name] = ast.dump(tree)
            waiting |= _imported([tree], name)
    return [f"{name}: {text}" for name, text in sorted(texts.items())]


def _used(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements of a module that bind `name` or what those use, in the module's order.

    A statement that does more than to bind names (a call, a loop) may change anything, so it always counts.
    """
    binds = {number: _bound(statement) for number, statement in enumerate(tree.body)}
    names, used = {name}, set[int]()
    while True:
        chosen = {number for number, bound in binds.items() if bound is None or bound & names}
        if chosen == used:
            return [tree.body[number] for number in sorted(used)]
        used = chosen
        names |= {item.id for number in used for item in ast.walk(tree.body[number]) if isinstance(item, ast.Name)}


def _bound(statement: ast.stmt) -> set[str] | None:
    """Return the names that a statement at the top of a module binds; None where it does more than that."""
    match statement:
        case ast.FunctionDef(decorator_list=[]) | ast.AsyncFunctionDef(decorator_list=[]):
            return {statement.name}
        case ast.ClassDef(decorator_list=[]):
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            names = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
            return None if "*" in names else names
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            plain = all(isinstance(target, ast.Name) for target in targets)
            return {target.id for target in targets if isinstance(target, ast.Name)} if plain else None
        case ast.Expr(value=ast.Constant()):  # a text
            return set()
        case _:
            return None


def _imported(nodes: Iterable[ast.AST], module: str) -> set[str]:
    """Return the modules that are imported anywhere within `nodes` of `module`."""
    names: set[str] = set()
    for node in (item for root in nodes for item in ast.walk(root)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(node, module)
            names.update([source, *(f"{source}.{alias.name}" for alias in node.names)])
    return names - {""}


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    file = _file(module)
    parts = module.split(".") if file is not None and file.name == "__init__.py" else module.split(".")[:-1]
    parts = parts[: len(parts) - node.level + 1]
    return ".".join([*parts, *([node.module] if node.module else [])])


def _is_own(module: str, root: str) -> bool:
    """Tell whether a module is of the function's own package, or lies where nothing is installed."""
    top = module.partition(".")[0]
    if root and top == root.partition(".")[0]:
        return True
    file = None if top in sys.stdlib_module_names or top in MUSTER else _file(module)
    installed = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return file is not None and not any(file.is_relative_to(place) for place in installed if place)


def _file(module: str) -> Path | None:
    """Return the source file of a module without importing more than its parents; None without one."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)
