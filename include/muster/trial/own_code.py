"""Errors of a workload's own functions: reported with the line that raised, without the whole traceback."""

from __future__ import annotations

import inspect
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muster.errors import MusterError
from muster.workload.functions import PREFIX
from muster.workload.spec import Workload


class OwnCodeFailed(MusterError):
    """Raised when a workload's own function raises: with its file, line and text."""

    def __init__(self, function: Callable[..., Any], error: Exception) -> None:
        file = inspect.getsourcefile(inspect.unwrap(function)) or "?"
        place = place_of(error, file) or file
        super().__init__(f"function '{function.__name__}' raised {type(error).__name__}: {error}\n  {place}")


def place_of(error: BaseException, *own: str) -> str | None:
    """Return the last place in one's `own` files or folders that an error came through: file, line, function, text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(own)]
    if not frames:
        return None
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}, in {last.name}: {last.line}"


def estimator_files(workload: Workload) -> tuple[str, ...]:
    """Return the files, or folders of packages, that the workload's own estimators are loaded from."""
    names = {step.name.partition(":")[0].partition(".")[0] for step in workload.steps if ":" in step.name}
    loaded = [sys.modules[name or PREFIX + workload.name].__file__ or "" for name in names]
    return tuple(file.removesuffix("__init__.py") for file in loaded if file)
