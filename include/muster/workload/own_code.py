"""Errors of a workload's own functions: reported with the line that raised, without the whole traceback."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from muster.errors import MusterError, bounded, let_through
from muster.workload.code import workload_modules
from muster.workload.own_modules import module_file
from muster.workload.spec import Workload


class OwnCodeFailed(MusterError):
    """Raised when a workload's own function raises: with its file, line and text."""

    def __init__(self, reference: str, error: BaseException, files: tuple[str, ...]) -> None:
        place = place_of(error, *files) or bounded(Path(file).name for file in files)
        super().__init__(f"function '{reference}' raised {type(error).__name__}: {error}\n  {place}")


@contextmanager
def own_code(workload: Workload, folder: Path, reference: str) -> Iterator[None]:
    """Run what calls the workload's own function `reference`.

    Raises:
        OwnCodeFailed: when it raises anything but an error of Muster's, or ends the process.
    """
    try:
        yield
    except MusterError:
        raise
    except BaseException as error:
        let_through(error)
        raise OwnCodeFailed(reference, error, own_files(workload, folder)) from error


@contextmanager
def exit_raised() -> Iterator[None]:
    """Have `os._exit` raise SystemExit for as long: to end with code 0 and no word would look as if all were well.

    A process that one's own code has forked ends as it wants to: those of multiprocessing do it in this way.
    """
    exit_now, process = os._exit, os.getpid()

    def told(status: int) -> NoReturn:
        if os.getpid() != process:
            exit_now(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = told
    try:
        yield
    finally:
        os._exit = exit_now


def place_of(error: BaseException, *own: str) -> str | None:
    """Return the last place that an error came through: file, line, function, text. Of one's `own` files, if given."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not own or frame.filename in own]
    if not frames:
        return None
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno}, in {last.name}: {last.line}"


def own_files(workload: Workload, folder: Path) -> tuple[str, ...]:
    """Return the files of all code of one's own that the workload's functions and estimators are made of."""
    modules = workload_modules(workload, folder).values()
    landing = module_file(workload.landing.rpartition(":")[0]) if ":" in workload.landing else None
    own = (str(folder / f"{workload.name}.py"), *(module.file for module in modules))
    return own if landing is None else (*own, str(landing))
