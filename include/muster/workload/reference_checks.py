"""What a YAML names by a reference: functions of its own file or of a module, found without running either."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from muster.workload.bounded_yaml import NotReadable, read_bounded
from muster.workload.wording import Problem


def reference(path: str, name: str, file: Path) -> Iterator[Problem]:
    """Check `name` (a function of `file`) or `module:name`, without running either."""
    module, _, attribute = name.rpartition(":")
    if module:
        if not installed(module):
            yield path, f"'{name}': no module '{module}' is installed"
    elif not file.is_file():
        yield path, f"'{attribute}': there is no file '{file.name}' beside the YAML to define it"
    else:
        yield from _definition(path, attribute, file)


def _definition(path: str, name: str, file: Path) -> Iterator[Problem]:
    try:
        body = ast.parse(read_bounded(file)).body
    except NotReadable as error:
        yield path, f"'{name}': '{file.name}' {error}"
        return
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        yield path, f"'{name}': '{file.name}' is no Python: {error or type(error).__name__}{line}"
        return
    defined = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    defined |= {alias.asname or alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    if name not in defined:
        yield path, f"'{name}': '{file.name}' defines no such function"


def installed(module: str) -> bool:
    """Tell whether a module, or the package that it is of, is there to import; nothing is imported."""
    top = module.split(".")[0]
    try:
        return top.isidentifier() and importlib.util.find_spec(top) is not None
    except ValueError:  # a module without a spec, as `__main__` may be
        return False
