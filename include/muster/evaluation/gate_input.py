"""What the gate gets of each group: its rows to judge on, its models, and the baseline's scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from muster import groups
from muster.evaluation.clusters import Clusters
from muster.evaluation.judgement import HeldOut, Opponent, Rival
from muster.evaluation.metrics import measure_of
from muster.evaluation.verdict import unusable_reason
from muster.evaluation.volume import with_points
from muster.features.files import group_slices
from muster.outcomes.kind import target_of
from muster.outcomes.kinds import kind_of
from muster.storage.tables import RESAMPLE_BY, SAMPLE_WEIGHT
from muster.workload.spec import Gate, Workload

Row = dict[str, Any]


@dataclass(frozen=True)
class EvaluationRows:
    """A group's labelled rows, held out from training: features (rows, columns), and what is judged on."""

    features: NDArray[np.float64]
    held_out: HeldOut


@dataclass(frozen=True)
class GateInput:
    """What the gate gets of a group: its row of the ledger, its evaluation rows, and where its models are stored."""

    ledger_row: Row
    rows: EvaluationRows
    candidates: Mapping[str, Row]
    """The trained models, by algorithm."""
    incumbent: Row | None
    """None when the champion pack has no model of this group: then the baseline is the opponent."""

    @property
    def against(self) -> Opponent:
        """Who the candidate must beat."""
        return "baseline" if self.incumbent is None else "champion"

    def rival(self, workload: Workload, scores: NDArray[np.float64]) -> Rival:
        """Return the opponent, of these scores, with the rule for it: a baseline must always be beaten."""
        gate = workload.gate
        constant = kind_of(workload.outcome).constant(gate, self.prior, self.target)
        old = self.incumbent and is_old(gate, self.ledger_row["partition"], self.incumbent["origin_run"])
        if self.incumbent and (old or gate.rule == "not_worse"):
            return Rival(self.against, scores, constant, "not_worse", gate.margin)
        return Rival(self.against, scores, constant)

    @property
    def prior(self) -> float:
        """The share of positives in the candidates' training rows, or their mean; a half where none had a label."""
        priors = [row["prior"] for row in self.candidates.values() if row["prior"] is not None]
        return float(priors[0]) if priors else 0.5

    @property
    def target(self) -> dict[str, Any]:
        """What else is known of the labels of the candidates' training rows."""
        return next((target_of(row) for row in self.candidates.values() if row.get("target")), {})


def is_old(gate: Gate, partition: str, champion_run: str | None) -> bool:
    """Tell whether a champion's run was trained for a partition more than `gate.max_age` days before this one."""
    if champion_run is None or gate.max_age is None:
        return False
    trained_for = date.fromisoformat(champion_run.rpartition("-")[0])
    return date.fromisoformat(partition) - trained_for > timedelta(days=gate.max_age)


def rows_by_group(workload: Workload, rows: pa.Table) -> dict[str, EvaluationRows]:
    """Divide a bucket's rows to judge on by group; the arrays are views of the bucket's own. Without labels all are."""
    kind = kind_of(workload.outcome)
    usable = rows.filter(pa.array(kind.usable(rows["label"].to_numpy())))
    features = np.column_stack([usable[name].to_numpy() for name in workload.features.columns])
    labels, drawn = usable["label"].to_numpy(), drawn_as_one(workload, usable)

    weights = usable[SAMPLE_WEIGHT].to_numpy() if workload.weight else None

    def clusters(start: int, stop: int) -> Clusters:
        own = None if weights is None else weights[start:stop]
        by_row = workload.gate.resample == "row"
        return Clusters.rows(stop - start, own) if by_row else Clusters.equal(drawn[start:stop], own)

    return {
        group: EvaluationRows(
            features[start:stop],
            HeldOut(labels[start:stop], clusters(start, stop), kind.of_classes, kind.classes),
        )
        for group, start, stop in group_slices(usable)
    }


def asked(workload: Workload, group: str, rows: EvaluationRows) -> EvaluationRows:
    """Return the rows that models are asked of: for a metric about volumes there are points below a group's own."""
    if not measure_of(workload.gate).of_volume:
        return rows
    return replace(rows, features=with_points(rows.features, groups.seed(f"points:{group}", workload.seed)))


def drawn_as_one(workload: Workload, rows: pa.Table) -> NDArray[np.generic]:
    """Return what the rows of one cluster have in common, (rows,): a group's are in the same order whatever others."""
    if workload.resample_by is None:
        days: NDArray[np.generic] = rows["date"].to_numpy()
        return days
    encoded = rows[RESAMPLE_BY].combine_chunks().dictionary_encode()
    place = np.argsort(np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False).astype(str)))
    values: NDArray[np.generic] = place[encoded.indices.to_numpy()]
    return values


def no_rows(workload: Workload) -> EvaluationRows:
    """Return the rows of a group that has none to be judged on."""
    kind = kind_of(workload.outcome)
    nothing = HeldOut(np.empty(0), Clusters.rows(0), kind.of_classes, kind.classes)
    return EvaluationRows(np.empty((0, len(workload.features.columns))), nothing)


def baseline(workload: Workload, inputs: GateInput) -> NDArray[np.float64]:
    """Return the declared baseline's score of each row: higher for likelier positives, or the number predicted.

    A constant is one score for all: the training rows' share of positives, or of each class, or mean (`prior`), or
    their `median` or `last` label, or a number. To a metric of ranks any constant is the same, to the others it is not.
    Rows for which a baseline feature is missing get the median of the group's other rows: nothing is known of them, so
    they are ranked in the middle.
    """
    declared, rows = workload.gate.baseline, inputs.rows
    if declared not in workload.features.columns:
        known = kind_of(workload.outcome).constants(inputs.prior, inputs.target)
        constant = known.get(declared, known["prior"]) if isinstance(declared, str) else declared
        return np.full((len(rows.features), *np.shape(constant)), constant)
    column = rows.features[:, workload.features.columns.index(str(declared))]
    finite = np.isfinite(column)
    return np.where(finite, column, np.median(column[finite]) if finite.any() else inputs.prior)


def baseline_score(workload: Workload, inputs: GateInput) -> float | None:
    """Return the baseline's value of the gate's metric; None where the metric cannot take its scores."""
    measure, scores, held_out = measure_of(workload.gate), baseline(workload, inputs), inputs.rows.held_out
    if unusable_reason(scores, measure) is not None:
        return None
    return measure.value(held_out.labels, scores, held_out.clusters.weights)
