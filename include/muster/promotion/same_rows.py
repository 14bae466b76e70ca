"""Scores of a group's model before and after, on the same rows: those on which the gate has judged one of the two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import and_
from typing import Any

import pyarrow.compute as pc

from muster.promotion.difference import Change
from muster.storage.delta import dataset
from muster.storage.store import Store

COLUMNS = ("partition", "group", "run", "champion_run", "metric", "rows", "candidate_score", "champion_score")


def with_scores(store: Store, changed: Sequence[Change]) -> list[Change]:
    """Return the changes with the scores of both models where the gate has compared them.

    The gate has when the one was the candidate and the other the champion; else the two are not comparable.
    """
    judged = _judged(store, {run for change in changed for run in _runs(change)})
    return [replace(change, compared=_compared(change, judged)) for change in changed]


def _runs(change: Change) -> list[str]:
    """Return the runs of both models; nothing where there is one model only."""
    if change.before is None or change.after is None:
        return []
    return [str(change.before["origin_run"]), str(change.after["origin_run"])]


def _judged(store: Store, runs: set[str]) -> Mapping[tuple[str, str, str], Mapping[str, Any]]:
    """Return the decisions of these runs on models of each other, by group, candidate's run and champion's run."""
    delta = store.open("decisions") if runs else None
    if delta is None:
        return {}
    partitions = sorted({run.rpartition("-")[0] for run in runs})
    values = {"partition": partitions, "run": sorted(runs), "champion_run": sorted(runs)}
    wanted = reduce(and_, (pc.field(column).isin(known) for column, known in values.items()))
    rows = dataset(delta).to_table(columns=list(COLUMNS), filter=wanted).sort_by("partition").to_pylist()
    return {(row["group"], row["run"], row["champion_run"]): row for row in rows}


def _compared(change: Change, judged: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> dict[str, Any] | None:
    runs = _runs(change)
    if not runs:
        return None
    before, after = runs
    for candidate, champion, scores in (
        (before, after, ("candidate_score", "champion_score")),
        (after, before, ("champion_score", "candidate_score")),
    ):
        row = judged.get((change.group, candidate, champion))
        if row is not None and row["candidate_score"] is not None and row["champion_score"] is not None:
            about = {name: row[name] for name in ("metric", "partition", "rows")}
            return {"before": row[scores[0]], "after": row[scores[1]], **about}
    return None
