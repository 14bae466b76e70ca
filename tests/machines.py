"""Machines of which a part may fail: a workload of classes, its files, and its figures by pandas and scikit-learn."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from muster.storage.store import Store
from tests.landed import land_days

NAME = "machines"
DECLARED = """
keys: [machine]
time: at
unique: [id]
columns: {{id: string, machine: string, at: timestamp, heat: float, shake: float, component: "string?"}}
outcome: {{classes: {{column: component, values: [none, pump, valve]}}}}
registry: {registry}
features: {{columns: [heat, shake], buckets: 2}}
algorithms:
  logistic: {{sklearn.linear_model.LogisticRegression: {{C: 0.5}}}}
  dull: {{sklearn.dummy.DummyClassifier: {{strategy: uniform}}}}
windows: {{train: 28, evaluate: 14}}
gate: {{resamples: 400}}
schedule: {{start: 2024-01-01, every: 7}}
"""
OWN = """
def features(rows):
    return rows[["heat", "shake"]]
"""
FIRST, SECOND = date(2024, 2, 19), date(2024, 2, 26)
COLUMNS, CLASSES = ["heat", "shake"], ["none", "pump", "valve"]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
MACHINES = ("north", "south", "west")
WRONG = "component: none of the declared classes"


@cache
def observed() -> pd.DataFrame:
    """Return ten weeks of readings: a hot machine has a bad pump, one that shakes a bad valve, `west` never one.

    Some parts are not known, and now and then one landed that is none of the classes. `new` comes too late.
    """
    random, parts = np.random.default_rng(2), []
    for day in range(70):
        at = pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        for machine in (*MACHINES, *(["new"] if day > 51 else [])):
            heat, shake = random.normal(0, 1, 24), random.normal(0, 1, 24)
            pull = np.column_stack([np.full(24, 0.5), 1.5 * heat, 1.5 * shake - (99 if machine == "west" else 0)])
            part = (pull + random.gumbel(size=(24, 3))).argmax(axis=1)
            component = np.array(CLASSES, dtype=object)[part]
            component[random.random(24) < 0.1] = None
            component[random.random(24) < 0.01] = "belt"
            ids = [f"{machine}-{day}-{number}" for number in range(24)]
            columns = {"id": ids, "machine": machine, "at": at + pd.to_timedelta(np.arange(24), "h")}
            parts.append(pd.DataFrame({**columns, "heat": heat, "shake": shake, "component": component}))
    return pd.concat(parts, ignore_index=True)


def declare(folder: Path, registry: str) -> Path:
    """Write the workload's files; return the YAML's."""
    yaml = folder / f"{NAME}.yaml"
    yaml.write_text(DECLARED.format(registry=registry), encoding="utf-8")
    yaml.with_suffix(".py").write_text(OWN, encoding="utf-8")
    return yaml


def land(store: Store) -> None:
    """Deliver the files."""
    land_days(store, observed())


def check(store: Store, partition: date) -> pd.DataFrame:
    """Compare what the tables say of a partition after all stages with pandas and scikit-learn; return predictions."""
    decisions = frame(store, "decisions", partition).set_index("group")
    models = frame(store, "models", partition).set_index(["group", "algorithm"])
    predictions = frame(store, "predictions", partition)
    for machine in MACHINES:
        _check_decision(decisions.loc[machine], machine, partition)
        model = models.loc[(machine, "logistic")]
        assert json.loads(model["target"]) == {"classes": counts([machine], partition)}
        assert pd.isna(model[["positives", "prior"]].astype(object)).all()
    ledger = frame(store, "ledger", partition).set_index("group")
    assert json.loads(ledger.loc["west", "target"])["classes"]["valve"] == 0
    assert partition == FIRST or ledger.loc["new", "state"] == "skipped"
    _check_predictions(predictions, partition)
    return predictions


def _check_decision(decision: pd.Series, machine: str, partition: date) -> None:
    rows = labelled(machine, partition - timedelta(days=14), partition)
    places = rows["component"].map(CLASSES.index).to_numpy()

    def loss(probabilities: np.ndarray) -> Any:
        return pytest.approx(log_loss(places, probabilities, labels=range(3)), abs=1e-9)

    assert (decision["metric"], decision["algorithm"]) == ("log_loss", "logistic")
    assert decision["against"] == ("baseline" if partition == FIRST else "champion")
    assert decision["candidate_score"] == loss(answers(rows, machine, partition))
    knows_nothing = np.tile(shares([(machine, partition)]), (len(rows), 1))
    assert (decision["baseline_score"], decision["chance_score"]) == (loss(knows_nothing), loss(knows_nothing))
    if partition == FIRST:
        assert decision["verdict"] == "promote"
    else:
        assert decision["champion_score"] == loss(answers(rows, machine, FIRST))
    assert json.loads(decision["classes"]) == {name: int((rows["component"] == name).sum()) for name in CLASSES}
    assert (decision["rows"], decision["clusters"], bool(pd.isna(decision["positives"]))) == (len(rows), 14, True)


def _check_predictions(predictions: pd.DataFrame, partition: date) -> None:
    origin = predictions.groupby("group")["origin_run"].first()
    champions = [(machine, date.fromisoformat(origin[machine][:10])) for machine in MACHINES]
    for machine, trained in champions:
        scored = between(machine, partition, partition + timedelta(days=7))
        mine = predictions[predictions["group"] == machine].set_index("row_id").loc[scored["id"]]
        expected = answers(scored, machine, trained)
        np.testing.assert_allclose(mine[PROBABILITIES], expected, rtol=0, atol=1e-9)
        np.testing.assert_allclose(mine["score"], expected.max(axis=1), rtol=0, atol=1e-9)
        assert mine["predicted"].tolist() == [CLASSES[place] for place in expected.argmax(axis=1)]
    new = predictions[predictions["group"] == "new"]
    assert set(new["fallback"]) == {"no model: prior"}
    np.testing.assert_allclose(new[PROBABILITIES], np.tile(shares(champions), (len(new), 1)), rtol=0, atol=1e-9)


def between(machine: str, start: date, stop: date) -> pd.DataFrame:
    """Return a machine's good rows of some days, in order of time."""
    rows = observed()
    own = rows[(rows["machine"] == machine) & (rows["at"] >= str(start)) & (rows["at"] < str(stop))]
    return own[own["component"] != "belt"].sort_values(["at", "id"])


def labelled(machine: str, start: date, stop: date) -> pd.DataFrame:
    """Return those of which the part is known."""
    rows = between(machine, start, stop)
    return rows[rows["component"].notna()]


def refused(start: date, stop: date) -> int:
    """Return how many rows of some days are of no class."""
    rows = observed()
    within = (rows["at"] >= str(start)) & (rows["at"] < str(stop))
    return int((within & (rows["component"] == "belt")).sum())


def learnt(machine: str, partition: date) -> pd.DataFrame:
    """Return a machine's training rows."""
    return labelled(machine, partition - timedelta(days=42), partition - timedelta(days=14))


def counts(machines: Iterable[str], partition: date) -> dict[str, int]:
    """Return how often each class is in the training rows."""
    of = Counter(name for machine in machines for name in learnt(machine, partition)["component"])
    return {name: of[name] for name in CLASSES}


def shares(models: Iterable[tuple[str, date]]) -> np.ndarray:
    """Return the share of each class in the training rows of all these models."""
    total = sum(np.array([*counts([machine], partition).values()]) for machine, partition in models)
    total = np.maximum(total, 1)  # a class that no row is of has the share of one
    of: np.ndarray = total / np.sum(total)
    return of


@cache
def _fitted(machine: str, partition: date) -> LogisticRegression:
    rows = learnt(machine, partition)
    return LogisticRegression(C=0.5).fit(rows[COLUMNS].to_numpy(), rows["component"].map(CLASSES.index).to_numpy())


def answers(rows: pd.DataFrame, machine: str, partition: date) -> np.ndarray:
    """Return what a partition's model, fitted here, says of rows: a probability a class, 0 of one that it never saw."""
    model, of = _fitted(machine, partition), np.zeros((len(rows), 3))
    of[:, model.classes_] = model.predict_proba(rows[COLUMNS].to_numpy())
    return of


def frame(store: Store, name: str, partition: date) -> pd.DataFrame:
    """Return a partition's rows of a table."""
    table = store.open(name)
    assert table is not None
    rows: pd.DataFrame = table.to_pyarrow_table(filters=[("partition", "=", str(partition))]).to_pandas()
    return rows
