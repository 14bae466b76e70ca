"""Fit one group: whatever goes wrong is that group's outcome, never anybody else's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, NamedTuple

import numpy as np

from muster import groups
from muster.errors import bounded
from muster.pack.shard import encode
from muster.training.estimator import Recipe, recipe
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, PartitionWindows

State = Literal["trained", "skipped", "failed"]

TOO_FEW_ROWS = "too few labelled rows"
ONE_CLASS = "one class only"
LONGEST_REASON = 300
"""Characters of an error's message that the ledger keeps."""


class InfiniteValues(ValueError):
    """Raised for a group with infinite features: a fit on them fails late or means nothing."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(f"infinite values in {bounded(columns)}")


class MissingColumn(LookupError):
    """Raised for a group whose rows lack a declared feature."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(f"the features hold no column {bounded(columns)}; run the features stage again")


class NotALabel(ValueError):
    """Raised for a group with a label other than 0 and 1."""

    def __init__(self, label: float) -> None:
        super().__init__(f"the label {label:g} is neither 0 nor 1")


@dataclass(frozen=True)
class Plan:
    """What every group of a run is fitted with; it travels to the executors."""

    recipe: Recipe
    columns: tuple[str, ...]
    train: DateRange
    min_rows: int
    seed: int


class Outcome(NamedTuple):
    """How the fit of one group ended."""

    state: State
    reason: str | None
    error_class: str | None
    rows: int
    positives: int
    seconds: float
    model: bytes
    """As stored in a shard; empty unless trained."""


def plan(workload: Workload, windows: PartitionWindows, folder: Path) -> Plan:
    """Return the plan of one partition; `folder` holds the workload's YAML and Python file.

    Raises:
        WorkloadError: with every problem of the estimator.
    """
    chosen = recipe(workload, folder)
    return Plan(chosen, workload.features.columns, windows.train, workload.windows.min_rows, workload.seed)


def fit_group(plan: Plan, group: str, features: np.ndarray, labels: np.ndarray, missing: Sequence[str] = ()) -> Outcome:
    """Fit the group's model on its labelled rows.

    Takes `features` (rows, columns of the plan) float64, NaN for unknown, and `labels` (rows,) of 0 and 1; `missing`
    are columns of the plan that its data does not have. Raises nothing: every error is the outcome `failed`.
    """
    started = perf_counter()
    rows, positives = len(labels), int(np.count_nonzero(labels == 1))
    try:
        _check(plan, features, labels, missing)
        skipped = _skip_reason(plan, rows, positives)
        model = b"" if skipped else _fitted(plan, group, features, labels)
    except (Exception, SystemExit) as error:
        seconds = perf_counter() - started
        return Outcome("failed", reason_of(error), type(error).__name__, rows, positives, seconds, b"")
    state: State = "skipped" if skipped else "trained"
    return Outcome(state, skipped, None, rows, positives, perf_counter() - started, model)


def reason_of(error: BaseException) -> str:
    """Return an error's message as one bounded line of valid Unicode."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = "(no message: it raises as well)"
    text = text.encode(errors="replace").decode() or "(no message)"
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def _check(plan: Plan, features: np.ndarray, labels: np.ndarray, missing: Sequence[str]) -> None:
    if missing:
        raise MissingColumn(missing)
    strange = labels[(labels != 0) & (labels != 1)]
    if len(strange):
        raise NotALabel(strange[0])
    infinite = np.isinf(features)
    if infinite.any():
        raise InfiniteValues(np.array(plan.columns)[infinite.any(axis=0)])


def _skip_reason(plan: Plan, rows: int, positives: int) -> str | None:
    if rows < plan.min_rows:
        return TOO_FEW_ROWS
    return ONE_CLASS if positives in (0, rows) else None


def _fitted(plan: Plan, group: str, features: np.ndarray, labels: np.ndarray) -> bytes:
    estimator = plan.recipe.make(groups.seed(group, plan.seed))
    estimator.fit(features, labels.astype(np.int64))
    return encode(estimator)
