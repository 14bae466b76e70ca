"""A workload's own functions: loaded from the Python file beside its YAML, or from an installed module."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from muster.errors import MusterError, let_through
from muster.workload.own_modules import module_file, with_packages
from muster.workload.spec import Workload

PREFIX = "muster_workload_"
"""Before the name of a workload's file in `sys.modules`, so that it shadows nothing."""
_TEXT = "__text__"
"""The name under which a loaded module keeps the text that it was made of."""


class FunctionNotFound(MusterError):
    """Raised when a workload names a function that is not there."""

    def __init__(self, reference: str, looked_in: str, problem: str) -> None:
        super().__init__(f"no function '{reference}': looked in {looked_in}: {problem}")


class NotImportable(FunctionNotFound):
    """Raised when a file raises while it is imported, or ends the process: nobody knows what it defines."""

    def __init__(self, file: str, error: BaseException) -> None:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        if isinstance(error, SyntaxError) and error.filename == file:
            lines.append(error.lineno)
        line = f", line {lines[-1]}," if lines else ""
        MusterError.__init__(self, f"'{file}'{line} cannot be imported: {type(error).__name__}: {error}")


def own_module(workload: Workload, folder: Path) -> ModuleType:
    """Return the module of `<folder>/<workload>.py`, loaded once a process, and again when the file was changed.

    Raises:
        FunctionNotFound: when the file is missing.
        NotImportable: when it raises, or ends the process.
    """
    path, module_name = folder / f"{workload.name}.py", PREFIX + workload.name
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or not path.is_file():
        raise FunctionNotFound(workload.name, str(path), "there is no such file")
    text = path.read_bytes()
    loaded = sys.modules.get(module_name)
    if loaded is not None and (loaded.__file__, getattr(loaded, _TEXT, None)) == (str(path), text):
        return loaded
    module = importlib.util.module_from_spec(spec)
    setattr(module, _TEXT, text)
    sys.modules[module_name] = module
    try:
        # Not by the loader: what it cached counts as fresh where a change left the file's size and second as they were.
        exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - the workload's own code
    except BaseException as error:
        let_through(error)
        del sys.modules[module_name]
        raise NotImportable(str(path), error) from error
    return module


def imported_module(name: str) -> ModuleType:
    """Import a module, its packages first, as Python does.

    Raises:
        ImportError: when there is none.
        NotImportable: when its file, or that of a package, raises or ends the process.
    """
    for package in with_packages(name):
        try:
            module = importlib.import_module(package)
        except BaseException as error:
            let_through(error)
            file = module_file(package)
            if file is None and isinstance(error, ImportError):
                raise
            raise NotImportable(str(file or package), error) from error
    return module


def function(workload: Workload, folder: Path, reference: str) -> Callable[..., Any]:
    """Return the function that `name` (in the workload's own file) or `module:name` refers to.

    Raises:
        FunctionNotFound: saying where it was looked for.
        NotImportable: when the file that it is in raises, or ends the process.
    """
    module_name, _, attribute = reference.rpartition(":")
    try:
        module = imported_module(module_name) if module_name else own_module(workload, folder)
    except ImportError as error:
        raise FunctionNotFound(reference, module_name, str(error)) from error
    own_function = getattr(module, attribute, None)
    if not callable(own_function):
        raise FunctionNotFound(reference, str(module.__file__), f"it defines no function '{attribute}'")
    return own_function  # type: ignore[no-any-return]
