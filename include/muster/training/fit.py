"""Fit one group: whatever goes wrong is that group's outcome, never anybody else's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import zstandard

from muster import groups
from muster.context import PartitionContext
from muster.errors import bounded, let_through, reason_of
from muster.models.loading import load
from muster.models.manifest import allowed_imports
from muster.models.reader import gives_probabilities
from muster.models.shards import encode
from muster.training.algorithms import estimator_factories
from muster.training.estimator import EstimatorFactory
from muster.training.outcome import Fit, Outcome, group_outcome
from muster.training.search import best_params
from muster.workload.windows import DateRange

TOO_FEW_ROWS = "too few labelled rows"
TOO_FEW_UNLABELLED = "too few rows"
ONE_CLASS = "one class only"


class InfiniteValues(ValueError):
    """Raised for a group with infinite features: a fit on them fails late or means nothing."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(f"infinite values in {bounded(columns)}")


class FeatureFunctionFailed(ValueError):
    """Raised for a group that the workload's feature function failed for: some of its rows have no features."""

    def __init__(self, error: str) -> None:
        super().__init__(f"the feature function raised {error}")


class MissingColumn(LookupError):
    """Raised for a group whose rows lack a declared feature."""

    def __init__(self, columns: Iterable[str]) -> None:
        super().__init__(f"the features hold no column {bounded(columns)}; run the features stage again")


class NotALabel(ValueError):
    """Raised for a group with a label other than 0 and 1."""

    def __init__(self, label: float) -> None:
        super().__init__(f"the label {label:g} is neither 0 nor 1")


@dataclass(frozen=True)
class FitPlan:
    """What every group of a run is fitted with: algorithms, columns, days. It travels to the executors."""

    factories: tuple[EstimatorFactory, ...]
    columns: tuple[str, ...]
    train: DateRange
    min_rows: int
    seed: int
    metric: str
    """By which a search chooses: the gate's own."""
    allowed_imports: tuple[str, ...]
    """What a stored model may name."""

    @property
    def labelled_only(self) -> bool:
        """Whether no algorithm learns from rows without a label."""
        return all(factory.supervised for factory in self.factories)


class Rows(NamedTuple):
    """Training rows: features (rows, columns of the plan) float64, NaN for unknown; labels (rows,), NaN without one."""

    features: np.ndarray
    labels: np.ndarray


def fit_plan(context: PartitionContext) -> FitPlan:
    """Return the plan of one partition.

    Raises:
        WorkloadError: with every problem of the algorithms.
    """
    workload, factories = context.workload, estimator_factories(context)
    columns, min_rows = workload.features.columns, workload.windows.min_rows
    metric, names = workload.gate.metric, tuple(allowed_imports(workload))
    return FitPlan(factories, columns, context.windows.train, min_rows, workload.seed, metric, names)


def fit_group(
    plan: FitPlan,
    group: str,
    features: np.ndarray,
    labels: np.ndarray,
    missing: Sequence[str] = (),
    feature_error: str | None = None,
) -> Outcome:
    """Fit the group's models, one an algorithm, on its training rows.

    Takes `features` (rows, columns of the plan) float64, NaN for unknown, and `labels` (rows,) of 0 and 1, NaN for
    unknown; in order of time. `missing` are columns of the plan that its data does not have, `feature_error` is what
    the feature function raised for the group. A classifier learns from the labelled rows, an outlier detector from all.
    Raises nothing: every error is the outcome `failed`.
    """
    is_labelled = ~np.isnan(labels)
    all_rows = Rows(features, labels)
    labelled = all_rows if is_labelled.all() else Rows(features[is_labelled], labels[is_labelled])
    fits = [
        _fit(plan, factory, group, labelled if factory.supervised else all_rows, missing, feature_error)
        for factory in plan.factories
    ]
    return group_outcome(fits, len(labelled.labels), int(np.count_nonzero(labels == 1)))


def _fit(
    plan: FitPlan,
    factory: EstimatorFactory,
    group: str,
    rows: Rows,
    missing: Sequence[str],
    feature_error: str | None,
) -> Fit:
    started = perf_counter()
    try:
        if feature_error is not None:
            raise FeatureFunctionFailed(feature_error)
        _check(plan, factory, rows, missing)
        skipped = _skip_reason(plan, factory, rows)
        if skipped:
            return Fit(factory.name, "skipped", skipped, None, perf_counter() - started, None, b"")
        estimator, params, note = new_estimator(plan, factory, group, rows)
        fit_estimator(factory, estimator, rows)
        model, probabilities = encode(estimator), gives_probabilities(estimator)
        load(
            zstandard.ZstdDecompressor().decompress(model), plan.allowed_imports
        )  # what readers would refuse fails here
    except BaseException as error:
        let_through(error)
        seconds = perf_counter() - started
        return Fit(factory.name, "failed", reason_of(error), type(error).__name__, seconds, None, b"")
    seconds = perf_counter() - started
    return Fit(factory.name, "trained", note, None, seconds, params, model, len(rows.labels), probabilities)


def new_estimator(
    plan: FitPlan, factory: EstimatorFactory, group: str, rows: Rows
) -> tuple[Any, str | None, str | None]:
    """Return the group's unfitted estimator, JSON of the parameters that its search chose, and why it chose none."""
    estimator = factory.create(groups.seed(f"{factory.name}:{group}", plan.seed))
    if factory.search is None:
        return estimator, None, None
    params, note = best_params(estimator, factory.search, plan.metric, rows.features, rows.labels, factory.supervised)
    return estimator.set_params(**params), json.dumps(params, sort_keys=True, default=str), note


def fit_estimator(factory: EstimatorFactory, estimator: Any, rows: Rows) -> None:
    """Fit the estimator in place; an outlier detector is shown no label."""
    if factory.supervised:
        estimator.fit(rows.features, rows.labels.astype(np.int64))
    else:
        estimator.fit(rows.features)


def _check(plan: FitPlan, factory: EstimatorFactory, rows: Rows, missing: Sequence[str]) -> None:
    if missing:
        raise MissingColumn(missing)
    invalid = rows.labels[(rows.labels != 0) & (rows.labels != 1)]
    if len(invalid) and factory.supervised:
        raise NotALabel(invalid[0])
    infinite = np.isinf(rows.features)
    if infinite.any():
        raise InfiniteValues(np.array(plan.columns)[infinite.any(axis=0)])


def _skip_reason(plan: FitPlan, factory: EstimatorFactory, rows: Rows) -> str | None:
    count, positives = len(rows.labels), int(np.count_nonzero(rows.labels == 1))
    if count < plan.min_rows:
        return TOO_FEW_ROWS if factory.supervised else TOO_FEW_UNLABELLED
    return ONE_CLASS if factory.supervised and positives in (0, count) else None
