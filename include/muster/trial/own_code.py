"""Errors of a workload's own functions: told with the line that raised, not with the whole traceback."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muster.errors import MusterError


class OwnCodeFailed(MusterError):
    """Raised when a workload's own function raises: with its file, line and text."""

    def __init__(self, function: Callable[..., Any], error: Exception) -> None:
        file = inspect.getsourcefile(inspect.unwrap(function)) or "?"
        place = place_of(error, file) or file
        super().__init__(f"function '{function.__name__}' raised {type(error).__name__}: {error}\n  {place}")


def place_of(error: BaseException, file: str) -> str | None:
    """Return the last place in `file` that an error came through, `<file>:<line>, in <function>: <text>`."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    if not frames:
        return None
    last = frames[-1]
    return f"{Path(file).name}:{last.lineno}, in {last.name}: {last.line}"
