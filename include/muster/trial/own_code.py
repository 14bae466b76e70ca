"""Errors of a workload's own functions: reported with the line that raised, without the whole traceback."""

from __future__ import annotations

import traceback
from pathlib import Path

from muster.errors import MusterError, bounded
from muster.workload.code import workload_modules
from muster.workload.spec import Workload


class OwnCodeFailed(MusterError):
    """Raised when a workload's own function raises: with its file, line and text."""

    def __init__(self, reference: str, error: BaseException, files: tuple[str, ...]) -> None:
        place = place_of(error, *files) or bounded(Path(file).name for file in files)
        super().__init__(f"function '{reference}' raised {type(error).__name__}: {error}\n  {place}")


def place_of(error: BaseException, *own: str) -> str | None:
    """Return the last place in one's `own` files that an error came through: file, line, function, text."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in own]
    if not frames:
        return None
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}, in {last.name}: {last.line}"


def own_files(workload: Workload, folder: Path) -> tuple[str, ...]:
    """Return the files of all code of one's own that the workload's functions and estimators are made of."""
    modules = workload_modules(workload, folder).values()
    return (str(folder / f"{workload.name}.py"), *(module.file for module in modules))
