"""A workload's own functions: loaded from the Python file beside its YAML, or from an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from muster.errors import MusterError
from muster.workload.spec import Workload

PREFIX = "muster_workload_"
"""Before the name of a workload's file in `sys.modules`, so that it shadows nothing."""


class FunctionNotFound(MusterError):
    """Raised when a workload names a function that is not there."""

    def __init__(self, reference: str, looked_in: str, problem: str) -> None:
        super().__init__(f"no function '{reference}': looked in {looked_in}: {problem}")


def own_module(workload: Workload, folder: Path) -> ModuleType:
    """Return the module of `<folder>/<workload>.py`, loaded once a process.

    Raises:
        FunctionNotFound: when the file is missing or raises.
    """
    path, module_name = folder / f"{workload.name}.py", PREFIX + workload.name
    loaded = sys.modules.get(module_name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FunctionNotFound(workload.name, str(path), "there is no such file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[module_name]
        raise FunctionNotFound(workload.name, str(path), f"{type(error).__name__}: {error}") from error
    return module


def function(workload: Workload, folder: Path, reference: str) -> Callable[..., Any]:
    """Return the function that `name` (in the workload's own file) or `module:name` refers to.

    Raises:
        FunctionNotFound: saying where it was looked for.
    """
    module_name, _, attribute = reference.rpartition(":")
    try:
        module = importlib.import_module(module_name) if module_name else own_module(workload, folder)
    except ImportError as error:
        raise FunctionNotFound(reference, module_name, str(error)) from error
    own_function = getattr(module, attribute, None)
    if not callable(own_function):
        raise FunctionNotFound(reference, str(module.__file__), f"it defines no function '{attribute}'")
    return own_function  # type: ignore[no-any-return]
