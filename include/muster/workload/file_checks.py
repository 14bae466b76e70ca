"""Functions and classes that a workload names: whether they are there, without running anything."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from muster.workload.bounded_yaml import NotReadable, read_bounded
from muster.workload.spec import Workload
from muster.workload.wording import Problem


def feature_function(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find a feature function that is not there."""
    yield from _reference("features.function", workload.features.function, file)


def landing_function(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find a landing function that is not there."""
    if workload.landing:
        yield from _reference("landing", workload.landing, file)


def algorithms(workload: Workload, file: Path) -> Iterator[Problem]:
    """Find estimators of modules that are not installed, or of functions that are not there."""
    steps = [
        (f"algorithms.{name}.{number}", step)
        for name, algorithm in workload.algorithms.items()
        for number, step in enumerate(algorithm.steps)
    ]
    for path, step in steps:
        if ":" in step.name:
            yield from _reference(path, step.name, file)
        elif "." not in step.name:
            own = f"or ':{step.name}' for a function of '{file.name}'"
            yield path, f"'{step.name}' is no class by its dotted name: sklearn.linear_model.LogisticRegression, {own}"
        elif not _installed(step.name):
            yield path, f"'{step.name}': no module '{step.name.split('.')[0]}' is installed"


def _reference(path: str, reference: str, file: Path) -> Iterator[Problem]:
    """Check `name` (a function of `file`) or `module:name`, without running either."""
    module, _, attribute = reference.rpartition(":")
    if module:
        if not _installed(module):
            yield path, f"'{reference}': no module '{module}' is installed"
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


def _installed(module: str) -> bool:
    top = module.split(".")[0]
    try:
        return top.isidentifier() and importlib.util.find_spec(top) is not None
    except ValueError:  # a module without a spec, as `__main__` may be
        return False


FILE_CHECKS = (feature_function, landing_function, algorithms)
