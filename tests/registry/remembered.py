"""What many tests begin with, made once a process: tables, and what the fake MLflow then holds."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.server import handlers

from tests.registry import fake

STORES = ("_tracking_store", "_model_registry_store")
NUMBERS = "_numbers"
"""What numbers experiments: never again the same, since each has a folder of artifacts."""


@dataclass(frozen=True)
class Past:
    """A line as it was when its history had been made."""

    name: str
    files: Path
    """A copy of the line's folder, and of its experiment's artifacts."""
    stores: dict[str, dict[str, Any]]
    result: Any


_pasts: dict[str, Past] = {}


def remembered(line: Any, history: Callable[..., Any], *arguments: Any) -> Any:
    """Make an untouched line's history and return what that returns; or put the line where an equal one was before.

    The arguments are those of `history` beside the line: values whose `repr` says all of them.

    The real server's content cannot be put back: there it is made each time.
    """
    artifacts = fake.ARTIFACTS_OF.get(os.environ.get("MUSTER_MLFLOW_URI", ""))
    if artifacts is None:
        return history(line, *arguments)
    key = f"{history.__module__}.{history.__qualname__}{arguments} of {line.declared} at {artifacts}"
    if key not in _pasts:
        _pasts[key] = _made(line, lambda: history(line, *arguments), artifacts)
    else:
        _put_back(line, _pasts[key], artifacts)
    return copy.deepcopy(_pasts[key].result)


def _made(line: Any, history: Callable[[], Any], artifacts: Path) -> Past:
    _fill({name: vars(type(getattr(handlers, name))()) for name in STORES})
    result = history()
    files = Path(tempfile.mkdtemp(prefix="past-", dir=artifacts.parent.parent))  # not in the home: tests search it
    shutil.copytree(line.root, files / "store", ignore=shutil.ignore_patterns("tmp"))
    for experiment in _experiments(line.name):
        shutil.copytree(artifacts / experiment, files / "artifacts" / experiment)
    return Past(line.name, files, {name: copy.deepcopy(_content(name)) for name in STORES}, result)


def _put_back(line: Any, past: Past, artifacts: Path) -> None:
    line.name = past.name
    shutil.copytree(past.files / "store", line.root, dirs_exist_ok=True)
    _fill(copy.deepcopy(past.stores))
    for experiment in _experiments(line.name):
        shutil.rmtree(artifacts / experiment, ignore_errors=True)
        shutil.copytree(past.files / "artifacts" / experiment, artifacts / experiment)


def _fill(content: dict[str, dict[str, Any]]) -> None:
    """Put content in the place of what the fake holds: no test needs what one before it has left there."""
    for name, held in content.items():
        vars(getattr(handlers, name)).update({key: value for key, value in held.items() if key != NUMBERS})


def _content(name: str) -> dict[str, Any]:
    return {key: value for key, value in vars(getattr(handlers, name)).items() if key != NUMBERS}


def _experiments(name: str) -> list[str]:
    experiment = handlers._tracking_store.get_experiment_by_name(name)
    return [] if experiment is None else [experiment.experiment_id]
