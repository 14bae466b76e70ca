"""What one group's answers were worth, on the rows whose outcomes are there: and why nothing can be said, where so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from muster import groups
from muster.evaluation.clusters import Clusters
from muster.evaluation.gate_input import drawn_as_one
from muster.evaluation.judgement import HeldOut
from muster.evaluation.metric import Measure
from muster.evaluation.metrics import measure_of
from muster.evaluation.verdict import hold_reason, unusable_reason
from muster.monitoring.degraded import WORSE_BY
from muster.monitoring.outcome import Measured, bias, coverage, measured, slope
from muster.monitoring.reference import References
from muster.monitoring.rows import Watched
from muster.outcomes.kinds import kind_of
from muster.storage.tables import RESAMPLE_BY, SAMPLE_WEIGHT
from muster.workload.monitor import Monitor
from muster.workload.spec import Gate, Workload

Floats = NDArray[np.float64]


def judged_outcome(watched: Watched, group: str, rows: pd.DataFrame, references: References) -> dict[str, Any]:
    """Return what is known of a group's answers: rows of `bucket.MEASURED`, drift left out."""
    workload = watched.workload
    kind, measure = kind_of(workload.outcome), measure_of(workload.gate)
    own = rows["fallback"].isna() & rows["origin_run"].notna()
    known = {
        "rows": len(rows),
        "own": int(own.sum()),
        "gone": int(rows["date"].isna().sum()),
        "fallback": float(1 - own.mean()),
        "origin_run": _commonest(rows["origin_run"]),
        "model_version": _commonest(rows["model_version"]),
    }
    if not kind.supervised:
        return {**known, "state": "unlabelled", "reason": "the outcome is none: drift alone is watched"}
    labelled = rows["date"].notna() & rows["score"].notna() & kind.usable(rows["label"].to_numpy(np.float64))
    known["score_of_all"] = _value(workload, rows[labelled], measure)
    chosen = rows[labelled & own]
    known["labelled"] = len(chosen)
    state, reason = _not_judged(workload, chosen, known, bool(labelled.any()))
    if state:
        return {**known, "state": state, "reason": reason}
    held_out, scores = _held_out(workload, chosen), _scores(workload, chosen)
    days = (chosen["date"].to_numpy("datetime64[D]") - np.datetime64(watched.days.start)).astype(np.intp)
    of_now = measured(held_out, scores, days, watched.length, measure, groups.seed(f"monitor:{group}", workload.seed))
    known |= _calibration(workload, held_out, scores)
    known |= {name: getattr(of_now, name) for name in ("by_cluster", "by_row", "size", "units")}
    known |= {"score": of_now.value, "without_day": of_now.without_day.tolist()}
    if not of_now.known:
        return {**known, "state": "unusable", "reason": "the metric does not vary from row to row"}
    compared = _compared(workload, group, chosen["origin_run"], of_now, references)
    if compared is None:
        return {**known, "state": "no_reference", "reason": "decisions do not say how good the model was when judged"}
    return {**known, **compared, "state": "judged"}


def _commonest(values: pd.Series) -> str | None:
    counts = values.value_counts()
    return None if counts.empty else str(min(counts[counts == counts.max()].index))


def _not_judged(
    workload: Workload, chosen: pd.DataFrame, known: dict[str, Any], labelled: bool
) -> tuple[str | None, str | None]:
    """Return the state of a group whose rows allow no judgement, and why; (None, None) where they do."""
    if known["own"] == 0:
        return "no_own_answers", "no row was answered by the group's own model"
    if not labelled or chosen.empty:
        return "no_labels", "no outcome of a row is there yet"
    reason = hold_reason(gate_of(workload), _held_out(workload, chosen))
    if reason is not None:
        return "too_few_rows", reason
    unusable = unusable_reason(_scores(workload, chosen), measure_of(workload.gate))
    return ("unusable", unusable) if unusable else (None, None)


def gate_of(workload: Workload) -> Gate:
    """Return what rows have to be enough for: the gate's own floors, of rows that which `monitor` declares."""
    monitor, days = workload.monitor or Monitor(), days_of(workload)
    floors = {"min_rows": monitor.min_rows, "min_days": max(2, min(workload.gate.min_days, days))}
    return workload.gate.model_copy(update=floors)


def days_of(workload: Workload) -> int:
    """Return how many scored days are judged together: a week of slices that are shorter, unless declared."""
    every, declared = workload.schedule.every, (workload.monitor or Monitor()).days
    return declared or every * -(-7 // every)


def _held_out(workload: Workload, rows: pd.DataFrame) -> HeldOut:
    kind = kind_of(workload.outcome)
    weights = rows[SAMPLE_WEIGHT].to_numpy(np.float64) if workload.weight else None
    if workload.gate.resample == "row":
        clusters = Clusters.rows(len(rows), weights)
    else:
        names = ["date"] if workload.resample_by is None else [RESAMPLE_BY]
        clusters = Clusters.equal(drawn_as_one(workload, pa.Table.from_pandas(rows[names])), weights)
    return HeldOut(rows["label"].to_numpy(np.float64), clusters, kind.of_classes, kind.classes)


def _scores(workload: Workload, rows: pd.DataFrame) -> Floats:
    names = list(workload.outcome.answers)
    scores: Floats = rows[names].to_numpy(np.float64) if names else rows["score"].to_numpy(np.float64)
    return scores


def _value(workload: Workload, rows: pd.DataFrame, measure: Measure) -> float | None:
    """Return the metric over rows, whoever answered; None where it has no value."""
    if rows.empty:
        return None
    scores = _scores(workload, rows)
    if unusable_reason(scores, measure) is not None:
        return None
    held_out = _held_out(workload, rows)
    value = measure.value(held_out.labels, scores, held_out.clusters.weights)
    return value if np.isfinite(value) else None


def _calibration(workload: Workload, rows: HeldOut, scores: Floats) -> dict[str, float | None]:
    """Return what answers say beside the outcomes: nothing of scores that only rank."""
    weights, labels = rows.clusters.weights, rows.labels.astype(np.float64)
    if rows.of_classes and not ((scores >= 0) & (scores <= 1)).all():
        return {}
    few = rows.of_classes and min(rows.positives or 0, len(rows.labels) - (rows.positives or 0)) < 10
    return {
        "bias": bias(labels, scores, weights),
        "slope": slope(labels, scores, weights) if rows.of_classes and not few else None,
        "coverage": coverage(labels, scores, weights, workload.gate),
    }


def _compared(
    workload: Workload, group: str, runs: pd.Series, of_now: Measured, references: References
) -> dict[str, float] | None:
    """Return what the group's models, each by its rows, were expected to be worth; None where nobody wrote it down."""
    counts = runs.value_counts()
    known = [(references.get((group, str(run))), int(count)) for run, count in counts.items()]
    found = [(reference, count / len(runs)) for reference, count in known if reference is not None]
    if len(found) < len(known):
        return None
    score = sum(share * reference.score for reference, share in found)
    chance = sum(share * reference.chance for reference, share in found)
    variance = sum(
        share**2 * (of_now.by_cluster * len(runs) / reference.rows if spread is None else spread**2)
        for reference, share in found
        for spread in [reference.spread]
    )
    declared = (workload.monitor or Monitor()).worse_by
    return {
        "reference_score": score,
        "reference_variance": variance,
        "reference_freedom": max(1.0, min(reference.clusters for reference, _ in found) - 1.0),
        "margin": WORSE_BY * abs(score - chance) if declared is None else declared,
    }
