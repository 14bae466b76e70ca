"""The code that a workload's own functions are made of: what they use of their file, and of one's own modules."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from muster.workload.algorithm import Step
from muster.workload.functions import FunctionNotFound
from muster.workload.own_modules import OwnModule, is_own, module_file, own_modules, with_packages
from muster.workload.spec import Workload

_NAME = re.compile(r"[^\W\d]\w*")


def code_digest(workload: Workload, folder: Path, reference: str) -> str:
    """Return a digest of the function `reference` and of all code of one's own that it uses; nothing of it is run.

    That is: what the function names in its module, also within a text (`rows.query("kg > @LIMIT")`), and what that
    names, and whole modules that any of it imports, if they are one's own. Comments, blank lines and the file's other
    functions make no difference. Packages that were installed from elsewhere do not count, nor do files that the
    function reads, nor what it names by a text that is put together while it runs.

    Raises:
        FunctionNotFound: when the file that defines it is missing, or is no Python.
    """
    module, _, name = reference.rpartition(":")
    file = _file(workload, folder, module)
    if file is None:  # a package without source: the name is all there is
        return hashlib.sha256(reference.encode()).hexdigest()
    try:
        tree = ast.parse(file.read_bytes(), str(file))
        used = _used(tree, name)
        own = own_modules([*_packages(module), *used, *_imported_unnamed(tree, used)], module)
        modules = [f"{own_name}: {ast.dump(ast.parse(text))}" for own_name, (_, text) in sorted(own.items())]
    except (OSError, SyntaxError, ValueError) as error:
        raise FunctionNotFound(reference, str(file), str(error)) from error
    return hashlib.sha256("\n".join([reference, *map(ast.dump, used), *modules]).encode()).hexdigest()


def step_code(step: Step) -> str | None:
    """Return the reference by which `code_digest` knows a step's own code; None for a class of an installed library."""
    if ":" in step.name:
        return step.name
    module, _, name = step.name.rpartition(".")
    return f"{module}:{name}" if module and is_own(module) else None


def workload_modules(workload: Workload, folder: Path, loads: Iterable[str] = ()) -> dict[str, OwnModule]:
    """Return, by name, every module of one's own that the workload's functions and models are made of.

    `loads` is what earlier models may name that are opened too: the YAML may declare other algorithms by now.

    The workload's own file is none of them: it is no module that could be imported. What is no Python is left out:
    nobody can run it.
    """
    references = [workload.features.function, *filter(None, map(step_code, workload.steps))]
    named = {reference.rpartition(":")[0] for reference in references}
    allowed = {name.partition(":")[0] for name in (*workload.pack.allowed_imports, *loads)}
    named |= {name for name in allowed if is_own(name)}
    modules: dict[str, OwnModule] = {}
    for module in named:
        with contextlib.suppress(OSError, SyntaxError, ValueError):
            file = _file(workload, folder, module)
            imports: list[ast.AST] = [_import(module)] if module else []
            modules |= own_modules([*imports, *([ast.parse(file.read_bytes())] if file else [])], module)
    return modules


def _file(workload: Workload, folder: Path, module: str) -> Path | None:
    return module_file(module) if module else folder / f"{workload.name}.py"


def _import(*modules: str) -> ast.Import:
    return ast.Import([ast.alias(name) for name in modules])


def _packages(module: str) -> list[ast.Import]:
    """Return the imports that an import of `module` begins with: of the packages that it is in."""
    return [_import(package) for package in with_packages(module)[:-1]]


def _used(tree: ast.Module, name: str) -> list[ast.stmt]:
    """Return the statements of a module that bind `name` or what those use, in the module's order.

    A statement that does more than to bind names (a call, a loop) may change anything, so it always counts. A name in a
    text does not count as an import's: `date` is sooner a column.
    """
    binds = {number: _bound(statement) for number, statement in enumerate(tree.body)}
    imported = {name for number, bound in binds.items() if _is_import(tree.body[number]) for name in bound or ()}
    names, used = {name}, set[int]()
    while True:
        chosen = {number for number, bound in binds.items() if bound is None or bound & names}
        if chosen == used:
            return [tree.body[number] for number in sorted(used)]
        used = chosen
        for number in used:
            names |= _named(tree.body[number]) | (_named_in_texts(tree.body[number]) - imported)


def _imported_unnamed(tree: ast.Module, used: list[ast.stmt]) -> list[ast.stmt]:
    """Return the imports of which the module's code uses no name: they are there for what the imported module does.

    Those too that a text of `used` may mean.
    """
    named = _named(tree) - {name for statement in used for name in _named_in_texts(statement)}
    return [statement for statement in tree.body if _is_import(statement) and not named & (_bound(statement) or set())]


def _is_import(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Import | ast.ImportFrom)


def _named(node: ast.AST) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name)}


def _named_in_texts(node: ast.AST) -> set[str]:
    """Return what may be a name within texts, `kg > @LIMIT`; not those that stand alone, as a function's docs do."""
    alone = {id(item.value) for item in ast.walk(node) if isinstance(item, ast.Expr)}
    texts = [item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and id(item) not in alone]
    return {name for text in texts if isinstance(text, str) for name in _NAME.findall(text)}


def _bound(statement: ast.stmt) -> set[str] | None:
    """Return the names that a statement at the top of a module binds; None where it does more than that."""
    if _calls(statement):
        return None
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return {statement.name}
        case ast.Import() | ast.ImportFrom():
            names = {alias.asname or alias.name.partition(".")[0] for alias in statement.names}
            return None if "*" in names else names
        case ast.Assign() | ast.AnnAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            plain = all(isinstance(target, ast.Name) for target in targets)
            return {target.id for target in targets if isinstance(target, ast.Name)} if plain else None
        case ast.Expr(value=ast.Constant()):  # a text
            return set()
        case _:  # `+=` among them: it may change what another name stands for
            return None


def _calls(node: ast.AST) -> bool:
    """Tell whether something is called, or bound in passing, when a statement is run: not in a function's body.

    A decorator is called, and a class's bases: they may keep a list of what is derived from them.
    """
    match node:
        case ast.Call() | ast.NamedExpr() | ast.Await():
            return True
        case ast.ClassDef() if node.bases or node.keywords or node.decorator_list:
            return True
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return bool(node.decorator_list) or _calls(node.args)
        case ast.Lambda():
            return _calls(node.args)
        case _:
            return any(map(_calls, ast.iter_child_nodes(node)))
