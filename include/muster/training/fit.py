"""Fit one group: whatever goes wrong is that group's outcome, never anybody else's."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import zstandard

from muster import groups
from muster.context import PartitionContext
from muster.errors import bounded, let_through, reason_of
from muster.models.loading import load
from muster.models.manifest import allowed_imports
from muster.models.scores import gives_probabilities
from muster.models.shards import encode
from muster.outcomes.kind import Kind
from muster.outcomes.kinds import kind_of
from muster.outcomes.weighted import Weights
from muster.training.algorithms import estimator_factories
from muster.training.estimator import EstimatorFactory, weight_parameter
from muster.training.large_groups import NONE, LargeGroups
from muster.training.outcome import STALE, Fit, Known, Outcome, group_outcome
from muster.training.search import ChosenBy, best_params
from muster.workload.spec import Gate
from muster.workload.windows import DateRange

TOO_FEW_ROWS = "too few labelled rows"
TOO_FEW_UNLABELLED = "too few rows"


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


@dataclass(frozen=True)
class FitPlan:
    """What every group of a run is fitted with: algorithms, columns, days. It travels to the executors."""

    factories: tuple[EstimatorFactory, ...]
    columns: tuple[str, ...]
    train: DateRange
    min_rows: int
    seed: int
    gate: Gate
    """By whose metric a search chooses."""
    kind: Kind
    """Of the outcome."""
    allowed_imports: tuple[str, ...]
    """What a stored model may name."""
    stale: Mapping[str, date] = field(default_factory=dict)
    """Groups that are not fitted, as they have had no row for too long, with the day of the last one."""

    large: LargeGroups = NONE
    """Groups with more rows than are to be learnt from."""

    @property
    def labelled_only(self) -> bool:
        """Whether no algorithm learns from rows without a label."""
        return all(factory.supervised for factory in self.factories)


class Rows(NamedTuple):
    """Training rows: features (rows, columns of the plan) float64, NaN for unknown; labels (rows,), NaN without one."""

    features: np.ndarray
    labels: np.ndarray
    weights: Weights = None
    """How much each row counts: (rows,); None where all count alike."""

    def only(self, which: np.ndarray | slice) -> Rows:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[which]
        return Rows(self.features[which], self.labels[which], weights)


def fit_plan(context: PartitionContext) -> FitPlan:
    """Return the plan of one partition.

    Raises:
        WorkloadError: with every problem of the algorithms.
    """
    workload, factories = context.workload, estimator_factories(context)
    columns, min_rows = workload.features.columns, workload.windows.min_rows
    kind, names = kind_of(workload.outcome), tuple(allowed_imports(workload))
    return FitPlan(factories, columns, context.windows.train, min_rows, workload.seed, workload.gate, kind, names)


def fit_group(
    plan: FitPlan,
    group: str,
    features: np.ndarray,
    labels: np.ndarray,
    missing: Sequence[str] = (),
    feature_error: str | None = None,
    weights: Weights = None,
) -> Outcome:
    """Fit the group's models, one an algorithm, on its training rows.

    Takes `features` (rows, columns of the plan) float64, NaN for unknown, and `labels` (rows,), NaN for unknown; in
    order of time. `missing` are columns of the plan that its data does not have, `feature_error` is what the feature
    function raised for the group. `weights`, (rows,), say how much each row counts. An outlier
    detector learns from all rows, any other model from the labelled ones. A group that the plan names as stale is
    skipped. Raises nothing: every error is the outcome `failed`.
    """
    is_labelled = plan.kind.usable(labels)
    all_rows = Rows(features, labels, weights)
    labelled = all_rows if is_labelled.all() else all_rows.only(is_labelled)
    fits = [
        _fit(plan, factory, group, labelled if factory.supervised else all_rows, missing, feature_error)
        for factory in plan.factories
    ]
    return group_outcome(fits, _known(plan, labelled))


def _known(plan: FitPlan, rows: Rows) -> Known:
    labels, weights = rows.labels, rows.weights
    target = plan.kind.target(labels, plan.gate.quantile, weights)
    text = None if target is None else json.dumps(target)
    return Known(len(labels), plan.kind.positives(labels), plan.kind.prior(labels, weights), text)


def _fit(
    plan: FitPlan,
    factory: EstimatorFactory,
    group: str,
    rows: Rows,
    missing: Sequence[str],
    feature_error: str | None,
) -> Fit:
    started = perf_counter()
    if (last := plan.stale.get(group)) is not None:
        return Fit(factory.name, "skipped", f"{STALE}: no observation since {last}", None, 0.0, None, b"")
    try:
        if feature_error is not None:
            raise FeatureFunctionFailed(feature_error)
        plan.large.check(group)
        _check(plan, factory, rows, missing)
        skipped = _skip_reason(plan, factory, rows)
        if skipped:
            return Fit(factory.name, "skipped", skipped, None, perf_counter() - started, None, b"")
        estimator, params, note = new_estimator(plan, factory, group, rows)
        fit_estimator(plan, factory, estimator, rows)
        model, probabilities = encode(estimator), gives_probabilities(estimator)
        load(
            zstandard.ZstdDecompressor().decompress(model), plan.allowed_imports
        )  # what readers would refuse fails here
    except BaseException as error:
        let_through(error)
        seconds = perf_counter() - started
        return Fit(factory.name, "failed", reason_of(error), type(error).__name__, seconds, None, b"")
    seconds = perf_counter() - started
    noted = "; ".join(filter(None, (plan.large.note(group), note))) or None
    return Fit(factory.name, "trained", noted, None, seconds, params, model, len(rows.labels), probabilities)


def new_estimator(
    plan: FitPlan, factory: EstimatorFactory, group: str, rows: Rows
) -> tuple[Any, str | None, str | None]:
    """Return the group's unfitted estimator, JSON of the parameters that its search chose, and why it chose none."""
    estimator = factory.create(groups.seed(f"{factory.name}:{group}", plan.seed))
    if factory.search is None:
        return estimator, None, None
    chosen_by = ChosenBy(plan.gate, plan.kind, factory.supervised)
    params, note = best_params(estimator, factory.search, chosen_by, rows.features, rows.labels)
    return estimator.set_params(**params), json.dumps(params, sort_keys=True, default=str), note


def fit_estimator(plan: FitPlan, factory: EstimatorFactory, estimator: Any, rows: Rows) -> None:
    """Fit the estimator in place, by the rows' weights where they have any; an outlier detector is shown no label."""
    weighed = {} if rows.weights is None else {weight_parameter(estimator): rows.weights}
    if factory.supervised:
        estimator.fit(rows.features, plan.kind.learnt(rows.labels), **weighed)
    else:
        estimator.fit(rows.features, **weighed)


def _check(plan: FitPlan, factory: EstimatorFactory, rows: Rows, missing: Sequence[str]) -> None:
    if missing:
        raise MissingColumn(missing)
    if factory.supervised:
        plan.kind.check(rows.labels)
    infinite = np.isinf(rows.features)
    if infinite.any():
        raise InfiniteValues(np.array(plan.columns)[infinite.any(axis=0)])


def _skip_reason(plan: FitPlan, factory: EstimatorFactory, rows: Rows) -> str | None:
    if len(rows.labels) < plan.min_rows:
        return TOO_FEW_ROWS if factory.supervised else TOO_FEW_UNLABELLED
    return plan.kind.skip_reason(rows.labels) if factory.supervised else None
