"""What a champion is compared with: how good it was when it was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from muster.evaluation.metric import Measure
from muster.monitoring.moderated import FEWEST
from muster.storage.delta import dataset
from muster.storage.store import Store

Floats = NDArray[np.float64]

COLUMNS = ["run", "group", "metric", "candidate_score", "candidate_spread", "chance_score", "rows", "clusters"]


class Reference(NamedTuple):
    """How good a group's model was when it was judged."""

    score: float
    spread: float | None
    """Its standard error; None where it was not written down."""
    chance: float
    rows: int
    clusters: int


References = Mapping[tuple[str, str], Reference]
"""By group and the run that trained its model."""


def references(store: Store, runs: Iterable[str], metric: str, measure: Measure) -> References:
    """Return what the candidates of some runs were worth on the rows that they were judged on.

    Each is a bit too high: it was chosen for it. See `expected`.
    """
    table = store.open("decisions")
    if table is None:
        return {}
    there = set(pa.schema(table.schema().to_arrow()).names)
    wanted = pc.field("run").isin(sorted(runs)) & pc.is_valid(pc.field("candidate_score"))
    rows = dataset(table).to_table(columns=[name for name in COLUMNS if name in there], filter=wanted)
    known: dict[str, list[dict[str, object]]] = {}
    for row in rows.to_pylist():
        if row["metric"] == metric:
            known.setdefault(row["run"], []).append(row)
    found: dict[tuple[str, str], Reference] = {}
    for run, judged in known.items():
        scores = np.array([row["candidate_score"] for row in judged], dtype=np.float64)
        spreads = np.array([row.get("candidate_spread") for row in judged], dtype=np.float64)
        for row, score, spread in zip(judged, *expected(scores, spreads, measure), strict=True):
            chance = row["chance_score"]
            found[str(row["group"]), run] = Reference(
                float(score),
                None if np.isnan(spread) else float(spread),
                float(score) if chance is None else float(str(chance)),
                int(str(row["rows"])),
                int(str(row["clusters"])),
            )
    return found


def expected(scores: Floats, spreads: Floats, measure: Measure) -> tuple[Floats, Floats]:
    """Return what the candidates of a run may be expected to be worth on other rows, and the standard errors.

    Promoted are those whose score was high, by luck too, so theirs is too high on average (the winner's curse). What is
    expected of a score by all of the run's, promoted or not, does not hang on who was selected (Dawid 1994): it is
    drawn towards the mean of all, the more the less sure it is (Morris 1983; the variance among groups by DerSimonian
    and Laird 1986). Nobody is expected to be better than it was seen to be. Losses are taken as logarithms.
    """
    known = ~np.isnan(spreads) & (spreads > 0)
    if not measure.higher_is_better:
        known &= scores > 0
    if known.sum() < FEWEST:
        return scores, spreads
    values, errors = scores[known], spreads[known]
    if not measure.higher_is_better:
        errors = errors / values
        values = -np.log(values)
    drawn, doubt = _drawn(values, errors)
    fewer = drawn < values
    score, spread = scores.copy(), spreads.copy()
    back = drawn if measure.higher_is_better else np.exp(-drawn)
    score[known] = np.where(fewer, back, scores[known])
    spread[known] = np.where(fewer, doubt * (1 if measure.higher_is_better else back), spreads[known])
    return score, spread


def _drawn(values: Floats, errors: Floats) -> tuple[Floats, Floats]:
    """Return the values drawn towards their mean, and their standard errors then."""
    weights = 1 / errors**2
    mean = np.average(values, weights=weights)
    excess = np.sum(weights * (values - mean) ** 2) - (len(values) - 1)
    among = max(0.0, float(excess / (weights.sum() - (weights**2).sum() / weights.sum())))
    mean = np.average(values, weights=1 / (among + errors**2))
    kept = among / (among + errors**2)
    return mean + kept * (values - mean), errors * np.sqrt(kept)
