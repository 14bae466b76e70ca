"""Fit one group: whatever goes wrong is that group's outcome, never anybody else's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import zstandard

from muster import groups
from muster.errors import bounded
from muster.models.loading import load
from muster.models.manifest import allowed_imports
from muster.models.shards import encode
from muster.training.estimator import Recipe, recipes
from muster.training.outcome import Fit, Outcome, outcome, reason_of
from muster.training.search import chosen
from muster.workload.spec import Workload
from muster.workload.windows import DateRange, PartitionWindows

TOO_FEW_ROWS = "too few labelled rows"
TOO_FEW_UNLABELLED = "too few rows"
ONE_CLASS = "one class only"


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

    recipes: tuple[Recipe, ...]
    columns: tuple[str, ...]
    train: DateRange
    min_rows: int
    seed: int
    metric: str
    """By which a search chooses: the gate's own."""
    loads: tuple[str, ...]
    """What a stored model may name."""

    @property
    def labelled_only(self) -> bool:
        """Tell whether no algorithm learns from rows without a label."""
        return all(recipe.supervised for recipe in self.recipes)


class Rows(NamedTuple):
    """Training rows: features (rows, columns of the plan) float64, NaN for unknown; labels (rows,), NaN without one."""

    features: np.ndarray
    labels: np.ndarray


def plan(workload: Workload, windows: PartitionWindows, folder: Path) -> Plan:
    """Return the plan of one partition; `folder` holds the workload's YAML and Python file.

    Raises:
        WorkloadError: with every problem of the algorithms.
    """
    made = recipes(workload, folder)
    columns, min_rows = workload.features.columns, workload.windows.min_rows
    metric, names = workload.gate.metric, tuple(allowed_imports(workload))
    return Plan(made, columns, windows.train, min_rows, workload.seed, metric, names)


def fit_group(plan: Plan, group: str, features: np.ndarray, labels: np.ndarray, missing: Sequence[str] = ()) -> Outcome:
    """Fit the group's models, one an algorithm, on its training rows.

    Takes `features` (rows, columns of the plan) float64, NaN for unknown, and `labels` (rows,) of 0 and 1, NaN for
    unknown; in order of time. `missing` are columns of the plan that its data does not have. A classifier learns from
    the labelled rows, an outlier detector from all. Raises nothing: every error is the outcome `failed`.
    """
    known = ~np.isnan(labels)
    every = Rows(features, labels)
    labelled = every if known.all() else Rows(features[known], labels[known])
    fits = [_fit(plan, recipe, group, labelled if recipe.supervised else every, missing) for recipe in plan.recipes]
    return outcome(fits, len(labelled.labels), int(np.count_nonzero(labels == 1)))


def _fit(plan: Plan, recipe: Recipe, group: str, rows: Rows, missing: Sequence[str]) -> Fit:
    started = perf_counter()
    try:
        _check(plan, recipe, rows, missing)
        skipped = _skip_reason(plan, recipe, rows)
        if skipped:
            return Fit(recipe.name, "skipped", skipped, None, perf_counter() - started, None, b"")
        estimator, params, note = made(plan, recipe, group, rows)
        learn(recipe, estimator, rows)
        model = encode(estimator)
        load(zstandard.ZstdDecompressor().decompress(model), plan.loads)  # what readers would refuse fails here
    except (Exception, SystemExit) as error:
        seconds = perf_counter() - started
        return Fit(recipe.name, "failed", reason_of(error), type(error).__name__, seconds, None, b"")
    return Fit(recipe.name, "trained", note, None, perf_counter() - started, params, model)


def made(plan: Plan, recipe: Recipe, group: str, rows: Rows) -> tuple[Any, str | None, str | None]:
    """Return the group's unfitted estimator, JSON of the parameters that its search chose, and why it chose none."""
    estimator = recipe.make(groups.seed(f"{recipe.name}:{group}", plan.seed))
    if recipe.search is None:
        return estimator, None, None
    params, note = chosen(estimator, recipe.search, plan.metric, rows.features, rows.labels, recipe.supervised)
    return estimator.set_params(**params), json.dumps(params, sort_keys=True, default=str), note


def learn(recipe: Recipe, estimator: Any, rows: Rows) -> None:
    """Fit the estimator in place; an outlier detector is shown no label."""
    if recipe.supervised:
        estimator.fit(rows.features, rows.labels.astype(np.int64))
    else:
        estimator.fit(rows.features)


def _check(plan: Plan, recipe: Recipe, rows: Rows, missing: Sequence[str]) -> None:
    if missing:
        raise MissingColumn(missing)
    strange = rows.labels[(rows.labels != 0) & (rows.labels != 1)]
    if len(strange) and recipe.supervised:
        raise NotALabel(strange[0])
    infinite = np.isinf(rows.features)
    if infinite.any():
        raise InfiniteValues(np.array(plan.columns)[infinite.any(axis=0)])


def _skip_reason(plan: Plan, recipe: Recipe, rows: Rows) -> str | None:
    count, positives = len(rows.labels), int(np.count_nonzero(rows.labels == 1))
    if count < plan.min_rows:
        return TOO_FEW_ROWS if recipe.supervised else TOO_FEW_UNLABELLED
    return ONE_CLASS if recipe.supervised and positives in (0, count) else None
