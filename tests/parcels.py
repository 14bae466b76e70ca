"""Parcels whose minutes are predicted: a workload by YAML alone, its files, and its figures by scikit-learn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

from muster.storage.store import Store
from tests.landed import land_days

DECLARED = """
keys: [depot]
time: at
unique: [id]
columns: {{id: string, depot: string, at: timestamp, kg: float, minutes: "float?"{column}}}
outcome: {{regression: {{column: minutes{transform}}}}}
registry: {registry}
{declared_weight}
features: {{columns: [kg, hour], buckets: 2}}
algorithms:
  ridge: [sklearn.preprocessing.StandardScaler, {{sklearn.linear_model.Ridge: {{alpha: 0.5}}}}]
  stump: {{sklearn.tree.DecisionTreeRegressor: {{max_depth: 1}}}}
windows: {{train: 28, evaluate: 14}}
gate: {{metric: {metric}, baseline: {baseline}}}
predictions: {{columns: [depot, id, at, minutes]}}
schedule: {{start: 2024-01-01, every: 7}}
"""
OWN = """
def features(rows):
    return rows.assign(hour=rows["at"].dt.hour)[["kg", "hour"]]
"""
PARTITION = date(2024, 2, 19)
JUDGED_FROM, TRAINED_FROM = PARTITION - timedelta(days=14), PARTITION - timedelta(days=42)
SCORED_TO = PARTITION + timedelta(days=7)


def observed() -> pd.DataFrame:
    """Return nine weeks of parcels: `heavy` takes longer by weight, `idle` at random, `new` has no past."""
    random, fares, parts = np.random.default_rng(0), np.random.default_rng(1), []
    for day in range(63):
        at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        for depot in ("heavy", "idle", *(["new"] if day > 51 else [])):
            kg, hour = random.uniform(1, 9, 8), random.integers(0, 24, 8)
            minutes = random.gamma(4, 3, 8) + (5 * kg if depot == "heavy" else 0)
            ids = [f"{depot}-{day}-{number}" for number in range(8)]
            columns = {"id": ids, "depot": depot, "at": at + pd.to_timedelta(hour, "h"), "kg": kg, "minutes": minutes}
            parts.append(pd.DataFrame(columns).assign(fares=10 ** fares.uniform(-1, 1, 8)))
    return pd.concat(parts, ignore_index=True)


@dataclass(frozen=True)
class Parcels:
    """The workload, declared in one of a few ways."""

    metric: str
    baseline: str
    transform: str
    registry: str
    weight: str = ""
    """The column that says how much a row counts; there is none where all count alike."""

    @property
    def name(self) -> str:
        return f"parcels_by_{self.metric}{self.weight and '_and_' + self.weight}"

    def declare(self, folder: Path) -> Path:
        """Write its files; return the YAML's."""
        weight = (
            {"column": f", {self.weight}: float", "declared_weight": f"weight: {self.weight}"} if self.weight else {}
        )
        sections = {
            "transform": self.transform and f", transform: {self.transform}",
            "column": "",
            "declared_weight": "",
        }
        text = DECLARED.format(**vars(self) | sections | weight)
        (folder / f"{self.name}.yaml").write_text(text, encoding="utf-8")
        (folder / f"{self.name}.py").write_text(OWN, encoding="utf-8")
        return folder / f"{self.name}.yaml"

    def land(self, store: Store) -> None:
        """Deliver its files; where rows have weights, also some whose weight is none: they are refused."""
        rows = observed()
        if self.weight:
            none = rows[rows.index % 8 == 0].assign(id=lambda refused: "none-" + refused["id"], fares=0.0)
            rows = pd.concat([rows, none]).rename(columns={"fares": self.weight})
        land_days(store, rows if self.weight else rows.drop(columns="fares"))

    def check(self, store: Store) -> None:
        """Compare what the tables say after all stages with pandas and scikit-learn."""
        tables = {name: frame(store, name) for name in ("decisions", "models", "predictions")}
        self._check_decisions(tables["decisions"].set_index("group"))
        self._check_model(tables["models"].set_index(["group", "algorithm"]).loc[("heavy", "ridge")])
        self._check_predictions(tables["predictions"])

    def _check_decisions(self, decisions: pd.DataFrame) -> None:
        value = root_mean_squared_error if self.metric == "rmse" else mean_absolute_error
        labels, heavy = self.held_out["minutes"], decisions.loc["heavy"]
        constant = self.mean if self.metric == "rmse" else self.median
        weight = {"sample_weight": self.held_out["fares"]} if self.weight else {}
        assert (heavy["verdict"], heavy["algorithm"], heavy["metric"]) == ("promote", "ridge", self.metric)
        assert heavy["candidate_score"] == pytest.approx(value(labels, self.answers(self.held_out), **weight), rel=1e-9)
        assert heavy["baseline_score"] == pytest.approx(
            value(labels, np.full(len(labels), constant), **weight), rel=1e-9
        )
        assert heavy["chance_score"] == pytest.approx(heavy["baseline_score"], rel=1e-12)
        assert (heavy["rows"], heavy["clusters"], bool(pd.isna(heavy["positives"]))) == (112, 14, True)
        assert decisions.loc["idle", "verdict"] == "reject"

    def _check_model(self, model: pd.Series) -> None:
        labels, known = self.learnt["minutes"], json.loads(model["target"])
        assert (model["rows"], bool(pd.isna(model["positives"]))) == (len(labels), True)
        spread = np.sqrt(np.average((labels - self.mean) ** 2, weights=self.weights(self.learnt)))
        assert model["prior"] == known["mean"] == pytest.approx(self.mean, rel=1e-12)
        assert known["std"] == pytest.approx(spread, rel=1e-9)
        assert (known["median"], known["last"]) == (self.median, labels.iloc[-1])

    def _check_predictions(self, predictions: pd.DataFrame) -> None:
        slice_rows = between("heavy", PARTITION, SCORED_TO)
        mine = predictions["group"] == "heavy"
        assert sorted(predictions[mine]["score"]) == pytest.approx(sorted(self.answers(slice_rows)), rel=1e-9)
        others = predictions[~mine]
        assert set(others["group"]) == {"idle", "new"}
        assert set(others["fallback"]) == {"no model: prior"}
        assert others["score"].to_numpy() == pytest.approx(self.mean, rel=1e-12)
        check_carried(predictions, ["depot", "id", "at", "minutes"])

    @cached_property
    def learnt(self) -> pd.DataFrame:
        return between("heavy", TRAINED_FROM, JUDGED_FROM)

    @cached_property
    def held_out(self) -> pd.DataFrame:
        return between("heavy", JUDGED_FROM, PARTITION)

    def weights(self, rows: pd.DataFrame) -> np.ndarray | None:
        """Return how much each row counts."""
        return rows["fares"].to_numpy() if self.weight else None

    @property
    def mean(self) -> float:
        """Of the training rows' minutes."""
        return float(np.average(self.learnt["minutes"], weights=self.weights(self.learnt)))

    @property
    def median(self) -> float:
        """Of the training rows' minutes: by weight, the least that has half of it at or below."""
        ordered = self.learnt.sort_values("minutes")
        if not self.weight:
            return float(ordered["minutes"].median())
        return float(ordered["minutes"][ordered["fares"].cumsum() >= ordered["fares"].sum() / 2].iloc[0])

    def answers(self, rows: pd.DataFrame) -> np.ndarray:
        """Return what the declared ridge says of rows, fitted here."""
        learnt, weights = self.learnt[["kg", "hour"]].to_numpy(), self.weights(self.learnt)
        mean, spread = learnt.mean(axis=0), learnt.std(axis=0)
        target = np.log1p(self.learnt["minutes"]) if self.transform else self.learnt["minutes"]
        fitted = Ridge(alpha=0.5).fit((learnt - mean) / spread, target, weights)
        answers: np.ndarray = fitted.predict((rows[["kg", "hour"]].to_numpy() - mean) / spread)
        return np.expm1(answers) if self.transform else answers


MINUTES = Parcels("mae", "median", "log1p", "pack")
"""A workload of the running stack."""


def between(depot: str, start: date, stop: date) -> pd.DataFrame:
    """Return a depot's rows of some days, in order of time."""
    rows = observed()
    own = rows[(rows["depot"] == depot) & (rows["at"] >= str(start)) & (rows["at"] < str(stop))]
    return own.assign(hour=own["at"].dt.hour).sort_values(["at", "id"])


def check_carried(predictions: pd.DataFrame, columns: list[str]) -> None:
    """Check that predictions, one a row of the slice, have these columns of it, as they were landed."""
    rows = observed()
    landed = rows[(rows["at"] >= str(PARTITION)) & (rows["at"] < str(SCORED_TO))].assign(
        at=lambda those: those["at"].dt.tz_localize("UTC")
    )
    mine, theirs = (one.sort_values("id", ignore_index=True)[columns] for one in (predictions, landed))
    pd.testing.assert_frame_equal(mine, theirs, check_dtype=False)


def frame(store: Store, name: str) -> pd.DataFrame:
    table = store.open(name)
    assert table is not None
    frame: pd.DataFrame = table.to_pandas()
    return frame
