"""A folder that many tests begin with: made once a process, copied for each."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

_kept: dict[str, Path] = {}


def fill(folder: Path, what: str, make: Callable[[], object], factory: pytest.TempPathFactory) -> None:
    """Fill a folder with what `make` writes there the first time that `what` is asked for."""
    if what in _kept:
        shutil.copytree(_kept[what], folder, dirs_exist_ok=True)
        return
    make()
    _kept[what] = shutil.copytree(folder, factory.mktemp("kept") / what)
