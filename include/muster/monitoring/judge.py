"""Judge all groups of a partition: which are degraded, which have drifted, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muster.errors import bounded
from muster.evaluation.metrics import measure_of
from muster.groups import WILDCARD
from muster.monitoring.bucket import counted_together, drift_columns
from muster.monitoring.degraded import Each, History, Losses, p_values, together
from muster.monitoring.drift import Drift, assessed, compared
from muster.monitoring.false_alarms import alarms, q_values
from muster.monitoring.rows import Watched
from muster.storage.tables import MONITORING
from muster.workload.monitor import Monitor

Floats = NDArray[np.float64]
Row = dict[str, Any]


class Past(NamedTuple):
    """What `monitoring` has of earlier slices."""

    groups: dict[str, list[tuple[float, float, float]]]
    """Group -> its metric, that one's variance by row, and its rows, slice by slice."""
    losses: list[float]
    """Of all groups together."""


def judge(watched: Watched, measured: pa.Table, past: Past, at: datetime, made_from: str) -> pa.Table:
    """Return the rows of `monitoring`: one a group, and one of all of them together, whose group is `*`.

    `measured`: rows of `bucket.MEASURED` of all buckets, in any order: what comes out does not hang on it.
    """
    groups = measured.filter(pc.is_valid(measured["group"])).sort_by("group")
    counts = measured.filter(pc.is_null(measured["group"]))["counts"]
    shared = {"partition": watched.partition, "at": at, "made_from": made_from, "metric": _metric(watched)}
    rows = groups.select([n for n in groups.column_names if n in MONITORING.names]).to_pylist()
    whole: Row = {"group": WILDCARD, **_summed(rows)}
    _outcomes(watched, groups, rows, whole, past)
    _drifts(watched, groups, counts, rows, whole)
    for row in [whole, *rows]:
        row.update(shared, **_alarm(row))
    return pa.Table.from_pylist([whole, *rows], schema=MONITORING)


def _metric(watched: Watched) -> str | None:
    return None if watched.workload.outcome.none else watched.workload.gate.metric


def _summed(rows: Sequence[Row]) -> Row:
    counts: Row = {name: sum(row[name] or 0 for row in rows) for name in ("rows", "own", "labelled", "gone")}
    return {**counts, "fallback": 1 - counts["own"] / counts["rows"] if counts["rows"] else None}


def _outcomes(watched: Watched, groups: pa.Table, rows: Sequence[Row], whole: Row, past: Past) -> None:
    """Add to the rows what is said of the champions' answers."""
    judged = [place for place, row in enumerate(rows) if row["state"] == "judged"]
    if not judged:
        states = {row["state"] for row in rows}
        state = states.pop() if len(states) == 1 else "too_few_rows"
        whole.update(state=state, reason="no group could be judged")
        return
    table, sign = groups.take(judged), measure_of(watched.workload.gate).sign
    of = {name: table[name].to_numpy().astype(np.float64) for name in _NEEDED}
    loss = sign * (of["reference_score"] - of["score"])
    names = [name for name in Losses._fields if name not in ("loss", "rows")]
    losses = Losses(loss=loss, rows=of["labelled"], **{name: of[name] for name in names})
    p = p_values(losses, _history(table["group"].to_pylist(), past))
    every, monitor = watched.workload.schedule.every, watched.workload.monitor or Monitor()
    q = q_values(p)
    for place, raised, number in zip(judged, alarms(q, monitor, every), range(len(judged)), strict=True):
        values = {"worse_by": loss[number], "p_value": p[number], "q_value": q[number]}
        rows[place].update({name: float(value) for name, value in values.items()}, degraded=bool(raised))
        rows[place]["variance_by_row"] = float(of["by_row"][number])
    without_day = np.stack([np.array(values) for values in table["without_day"].to_pylist()])
    each = Each(of["score"], of["reference_score"], without_day)
    all_of_them = together(losses, each, watched.workload.windows.evaluate, past.losses)
    raised = alarms(q_values(np.array([all_of_them.p_value])), monitor, every)[0]
    whole.update(state="judged", score=all_of_them.value, reference_score=all_of_them.reference, degraded=bool(raised))
    p_value = None if np.isnan(all_of_them.p_value) else all_of_them.p_value
    whole.update(worse_by=all_of_them.loss, p_value=p_value, q_value=p_value)
    if not (biases := table["bias"]).null_count:
        whole["bias"] = float(np.average(biases.to_numpy(), weights=of["labelled"]))


_NEEDED = (
    "score", "reference_score", "margin", "by_cluster", "by_row", "size", "units", "reference_variance",
    "reference_freedom", "labelled",
)  # fmt: skip


def _history(groups: Sequence[str], past: Past) -> History:
    """Return the earlier slices of some groups, the missing ones filled up."""
    longest = max((len(past.groups.get(group, ())) for group in groups), default=0)
    history = np.full((3, len(groups), longest), np.nan)
    for place, group in enumerate(groups):
        for number, values in enumerate(past.groups.get(group, ())):
            history[:, place, number] = values
    return History(*history)


def _drifts(watched: Watched, groups: pa.Table, counts: pa.ChunkedArray, rows: Sequence[Row], whole: Row) -> None:
    """Add to the rows which column drifts most surely, and whether that is an alarm."""
    if not rows:
        return
    monitor = watched.workload.monitor or Monitor()
    total = np.sum([np.array(values, dtype=np.int64) for values in counts.to_pylist()], axis=0)
    parts = [compared(part) for part in counted_together(watched, total)]
    of_all = Drift(*(np.concatenate(values)[np.newaxis] for values in zip(*parts, strict=True)))
    for of, drift, alone in ((rows, Drift(**dict(drift_columns(groups))), False), ([whole], of_all, True)):
        result = assessed(drift, monitor.min_rows, alone=alone)
        q = q_values(result.p_value)
        raised = alarms(q, monitor, watched.workload.schedule.every) & (result.psi > monitor.psi)
        for place, row in enumerate(of):
            row.update(_worst(watched, result.psi[place], result.p_value[place], q[place], drift.distance[place]))
            names = [*watched.columns, "score"]
            row["drifted"] = [names[column] for column in np.flatnonzero(raised[place])]


def _worst(watched: Watched, psi: Floats, p: Floats, q: Floats, distance: Floats) -> Row:
    """Return what is written down of the column that drifts most surely, of those that do so most."""
    if np.isnan(p).all():
        return {}
    column = min(range(len(p)), key=lambda place: (np.inf if np.isnan(p[place]) else q[place], -psi[place]))
    values = {"psi": psi, "distance": distance, "drift_p_value": p, "drift_q_value": q}
    named = {name: float(of[column]) for name, of in values.items()}
    return {"drift_column": [*watched.columns, "score"][column], **named}


def _alarm(row: Row) -> Row:
    """Return whether a row is an alarm, and why, in words."""
    degraded, drifted = row.pop("degraded", False), row.pop("drifted", [])
    why = []
    if degraded:
        sign = f"{row['score']:.4g} where {row['reference_score']:.4g} was to be expected"
        why.append(f"the champion is worse than when it was judged: {sign} (q {row['q_value']:.2g})")
    if drifted:
        most = f"most surely '{row['drift_column']}', PSI {row['psi']:.2f} (q {row['drift_q_value']:.2g})"
        names = bounded((f"'{name}'" for name in drifted), 5)
        why.append(f"other values than it learnt from: {names}; {most}")
    alarm = "both" if degraded and drifted else "degraded" if degraded else "drifted" if drifted else None
    return {"alarm": alarm, "why": "; ".join(why) or None}
