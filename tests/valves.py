"""Valves that nobody labels: a workload by YAML alone, its files, and its figures by pandas and scikit-learn."""

from __future__ import annotations

import json
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr
from sklearn.ensemble import IsolationForest

from muster import groups
from muster.evaluation.volume import with_points
from muster.storage.store import Store
from tests.landed import land_days

NAME = "valves"
DECLARED = """
keys: [valve]
time: at
unique: [id]
columns: {{id: string, valve: string, at: timestamp, rig: int, bar: float, flow: float, fault: "bool?"}}
outcome: {outcome}
registry: {registry}
features: {{columns: [bar, flow], buckets: 2}}
algorithms:
  forest: {{sklearn.ensemble.IsolationForest: {{n_estimators: 25, contamination: 0.04, random_state: 7}}}}
  wild: {{sklearn.ensemble.IsolationForest: {{n_estimators: 25, contamination: 0.5, random_state: 7}}}}
windows: {{train: 28, evaluate: 14}}
gate: {{alerts: [0.01, 0.15], agreement: 0.3, resamples: 400, resample: {resample}}}
schedule: {{start: 2024-01-01, every: 7}}
"""
OWN = """
def features(rows):
    return rows[["bar", "flow"]]
"""
FIRST, SECOND = date(2024, 2, 19), date(2024, 2, 26)
COLUMNS = ["bar", "flow"]
RIGS = 9
"""On which valves are tested: drawn as one where there is a report, days where not."""


@cache
def observed() -> pd.DataFrame:
    """Return ten weeks of readings: flow follows pressure but where there is a fault, of which a few days are known."""
    random, parts = np.random.default_rng(1), []
    for day in range(70):
        at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        for valve in ("north", "south", *(["new"] if day > 51 else [])):
            bar, fault = random.normal(5, 1, 24), random.random(24) < 0.04
            flow = np.where(fault, random.uniform(0, 12, 24), 1.2 * bar) + random.normal(0, 0.2, 24)
            ids = [f"{valve}-{day}-{number}" for number in range(24)]
            times = at + pd.to_timedelta(np.arange(24), "h")
            columns = {"id": ids, "valve": valve, "at": times, "rig": (day + np.arange(24)) % RIGS, "bar": bar}
            known = fault.astype(object) if day % 3 == 0 else None
            parts.append(pd.DataFrame({**columns, "flow": flow, "fault": known}))
    return pd.concat(parts, ignore_index=True)


def declare(folder: Path, registry: str, labelled: bool) -> Path:
    """Write the workload's files; return the YAML's."""
    outcome = "{none: {report: {column: fault, equals: [true]}}}" if labelled else "none"
    yaml = folder / f"{NAME}.yaml"
    resample = "rig" if labelled else "day"
    yaml.write_text(DECLARED.format(outcome=outcome, registry=registry, resample=resample), encoding="utf-8")
    yaml.with_suffix(".py").write_text(OWN, encoding="utf-8")
    return yaml


def land(store: Store) -> None:
    """Deliver the files."""
    land_days(store, observed())


def check(store: Store, partition: date, labelled: bool) -> None:
    """Compare what the tables say of a partition after all stages with pandas and scikit-learn."""
    tables = {name: _frame(store, name, partition) for name in ("decisions", "models", "predictions")}
    decisions = tables["decisions"].set_index("group")
    for valve in ("north", "south"):
        _check_decision(decisions.loc[valve], valve, partition, labelled)
        mine = tables["predictions"][tables["predictions"]["group"] == valve]
        scored = between(valve, partition, partition + timedelta(days=7))
        of = {row: score for row, score in zip(scored["id"], answers(scored, valve, FIRST), strict=True)}
        assert dict(zip(mine["row_id"], mine["score"], strict=True)) == pytest.approx(of, rel=1e-9)
    new = tables["predictions"][tables["predictions"]["group"] == "new"]
    assert set(new["fallback"]) == {"no model: no score"}
    assert new["score"].isna().all()
    model = tables["models"].set_index(["group", "algorithm"]).loc[("north", "forest")]
    assert (model["rows"], model["learnt"]) == (28 * 24, 28 * 24)
    assert pd.isna(model[["positives", "prior", "target"]].astype(object)).all()


def _check_decision(decision: pd.Series, valve: str, partition: date, labelled: bool) -> None:
    rows = between(valve, partition - timedelta(days=14), partition)
    scores = answers(rows, valve, partition)
    against = "baseline" if partition == FIRST else "champion"
    assert (decision["algorithm"], decision["metric"], decision["against"]) == ("forest", "mass_volume", against)
    assert decision["reason"].split(", but ")[0].endswith("judged without labels")
    if partition == FIRST:
        assert (decision["verdict"], decision["baseline_score"]) == ("promote", pytest.approx(0.95))
        assert pd.isna(decision["agreement"])
    else:
        before = answers(rows, valve, FIRST)
        assert decision["agreement"] == pytest.approx(spearmanr(scores, before).statistic, rel=1e-9)
        assert decision["champion_score"] == pytest.approx(_volume(rows, valve, FIRST), abs=1e-4)
    assert decision["alerts"] == pytest.approx((scores > 0).mean(), rel=1e-12)
    assert decision["candidate_score"] == pytest.approx(_volume(rows, valve, partition), abs=1e-4)
    assert (decision["rows"], decision["clusters"]) == (14 * 24, RIGS if labelled else 14)
    assert pd.isna(decision["positives"])
    if not labelled:
        assert decision["report"] is None
        return
    known, fault, alerts = rows["fault"].notna(), rows["fault"].eq(True), scores > 0
    counts = {"labelled": known, "positives": fault, "alerts": known & alerts, "caught": fault & alerts}
    assert json.loads(decision["report"]) == {name: int(of.sum()) for name, of in counts.items()}


def between(valve: str, start: date, stop: date) -> pd.DataFrame:
    """Return a valve's rows of some days, in order of time."""
    rows = observed()
    own = rows[(rows["valve"] == valve) & (rows["at"] >= str(start)) & (rows["at"] < str(stop))]
    return own.sort_values(["at", "id"])


@cache
def _fitted(valve: str, partition: date) -> IsolationForest:
    learnt = between(valve, partition - timedelta(days=42), partition - timedelta(days=14))
    return IsolationForest(n_estimators=25, contamination=0.04, random_state=7).fit(learnt[COLUMNS].to_numpy())


def answers(rows: pd.DataFrame, valve: str, partition: date) -> np.ndarray:
    """Return what the forest of a partition says of rows, fitted here: above 0 for its own -1."""
    forest = _fitted(valve, partition)
    scores: np.ndarray = -forest.decision_function(rows[COLUMNS].to_numpy())
    np.testing.assert_array_equal(scores > 0, forest.predict(rows[COLUMNS].to_numpy()) == -1)
    return scores


def _volume(rows: pd.DataFrame, valve: str, partition: date) -> float:
    """Return the mass volume of a partition's forest on some rows and on the points around them."""
    asked = with_points(rows[COLUMNS].to_numpy(), groups.seed(f"points:{valve}", 0))
    scores = -_fitted(valve, partition).decision_function(asked)
    return volume_by_definition(scores[: len(rows)], scores[len(rows) :])


def volume_by_definition(rows: np.ndarray, points: np.ndarray) -> float:
    """Return the mean, over 10,000 shares of 0.9 to 1, of the volume that holds that share of the rows' mass.

    Where rows and points have one score, a share of the rows takes the same share of the points.
    """
    masses = np.linspace(0.9, 1, 10_001)[1:] - 0.000005
    usual = np.sort(rows)[np.ceil(masses * len(rows)).astype(int) - 1]

    def share(of: np.ndarray, side: str) -> np.ndarray:
        return np.searchsorted(np.sort(of), usual, side) / len(of)  # type: ignore[call-overload, no-any-return]

    before, until = share(rows, "left"), share(rows, "right")
    inside, outside = share(points, "left"), share(points, "right")
    return float(np.mean(inside + (masses - before) / (until - before) * (outside - inside)))


def _frame(store: Store, name: str, partition: date) -> pd.DataFrame:
    table = store.open(name)
    assert table is not None
    frame: pd.DataFrame = table.to_pyarrow_table(filters=[("partition", "=", str(partition))]).to_pandas()
    return frame
