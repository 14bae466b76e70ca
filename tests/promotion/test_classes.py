"""Classes through promotion and rollback, with either registry: the shares that answer are those of who is champion."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from muster.champions.journal import evidence_of
from muster.scoring.score import CannotScore, prepare, score_bucket
from muster.storage.delta import replace_rows
from muster.storage.evolution import OtherPredictions, check_predictions
from muster.storage.tables import PREDICTIONS
from tests.promotion.conftest import A, B, Registry

pytestmark = pytest.mark.slow
CLASSES = ["none", "pump", "valve"]
PROBABILITIES = [f"probability_{name}" for name in CLASSES]
COUNTS = {"first": {A: [60, 40, 0], B: [20, 0, 80]}, "second": {A: [0, 100, 0]}}
NEW = "N,X"


def _model(seed: int) -> LogisticRegression:
    random = np.random.default_rng(seed)
    features = random.normal(size=(90, 3))
    return LogisticRegression().fit(features, np.arange(90) % 3)


def _known(counts: dict[str, list[int]]) -> dict[str, Any]:
    return {
        group: {"rows": 100, "positives": None, "prior": None}
        | {"target": json.dumps({"classes": dict(zip(CLASSES, own, strict=True))})}
        for group, own in counts.items()
    }


def _shares(*counts: list[int]) -> list[float]:
    total = np.array(counts).sum(axis=0)
    shares: list[float] = (total / total.sum()).tolist()
    return shares


@pytest.fixture
def parts(registry: Registry) -> Registry:
    """Two weeks of promotions: both groups, then a new model of the first."""
    registry.declared |= {"outcome": {"classes": {"column": "part", "values": CLASSES}}, "gate": {"resample": "row"}}
    registry.declared["columns"] = {"carrier": "string", "origin": "string", "at": "timestamp", "part": "string?"}
    for week in (registry.first, registry.second, registry.third):
        registry.features(week, [{"group": g, "a": 1.0, "b": 0.5, "record": -1.0} for g in (A, B, NEW)])
    registry.known = _known(COUNTS["first"])
    registry.week(registry.first, {A: "promote", B: "promote"}, _model(1))
    registry.promote(registry.first)
    registry.known = _known(COUNTS["second"])
    registry.week(registry.second, {A: "promote"}, _model(2), registry.judged(A="1"))
    registry.promote(registry.second)
    return registry


def _scored(registry: Registry, partition: str) -> dict[str, dict[str, Any]]:
    scoring = prepare(registry.at(partition))
    tables = [score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    rows = pa.concat_tables(tables)
    assert rows.column_names == [*PREDICTIONS.names, "predicted", *PROBABILITIES]
    return {row["group"]: row for row in rows.to_pylist()}


def _probabilities(row: dict[str, Any]) -> list[float]:
    return [row[name] for name in PROBABILITIES]


def test_each_groups_own_model_answers_and_the_champions_shares_where_there_is_none(parts: Registry) -> None:
    rows = _scored(parts, parts.second)
    for group, seed in ((A, 2), (B, 1)):
        [expected] = _model(seed).predict_proba([[1.0, 0.5, -1.0]])
        assert _probabilities(rows[group]) == pytest.approx(expected, abs=1e-12)
        likeliest = int(np.argmax(expected))
        assert (rows[group]["predicted"], rows[group]["score"]) == (CLASSES[likeliest], pytest.approx(max(expected)))
    assert rows[NEW]["fallback"] == "no model: prior"
    assert _probabilities(rows[NEW]) == pytest.approx(_shares([0, 100, 0], [20, 0, 80]), abs=1e-12)
    assert rows[NEW]["predicted"] == "pump"


def test_a_slice_of_before_has_the_shares_of_its_own_time(parts: Registry) -> None:
    rows = _scored(parts, parts.first)
    assert _probabilities(rows[NEW]) == pytest.approx(_shares([60, 40, 0], [20, 0, 80]), abs=1e-12)
    assert rows[NEW]["predicted"] == "none"


@pytest.mark.parametrize("whole", [True, False])
def test_a_rollback_brings_models_and_shares_back_and_its_undoing_too(parts: Registry, whole: bool) -> None:
    groups = () if whole and parts.workload.registry == "pack" else (A,)
    before = _scored(parts, parts.third)
    assert parts.roll_back(groups=groups)["moved"]
    rows = _scored(parts, parts.third)
    [expected] = _model(1).predict_proba([[1.0, 0.5, -1.0]])
    assert _probabilities(rows[A]) == pytest.approx(expected, abs=1e-12)
    assert _probabilities(rows[NEW]) == pytest.approx(_shares([60, 40, 0], [20, 0, 80]), abs=1e-12)
    parts.roll_back("2", () if parts.workload.registry == "pack" else (A,))
    assert [_probabilities(_scored(parts, parts.third)[g]) for g in (A, B, NEW)] == [
        _probabilities(before[g]) for g in (A, B, NEW)
    ]
    if parts.workload.registry == "per_group":
        assert all(json.loads(evidence_of(row)["target"])["classes"] for row in parts.moves)


def test_other_classes_are_another_scale_and_never_answer(parts: Registry) -> None:
    parts.declared["outcome"] = {"classes": {"column": "part", "values": [*CLASSES[:2], "belt"]}}
    with pytest.raises(CannotScore, match="takes other keys, features or classes; train, evaluate and promote first"):
        prepare(parts.at(parts.third))


def test_a_class_of_other_capitals_is_refused_before_anything_is_promoted(parts: Registry) -> None:
    """Its probabilities would be a column that Delta cannot tell from the one that is there."""
    check_predictions(parts.workload, parts.store)
    scoring = prepare(parts.at(parts.third))
    tables = [score_bucket(scoring, bucket) for bucket in sorted(scoring.features.files)]
    replace_rows(parts.store, "predictions", pa.concat_tables(tables), f"partition = '{parts.third}'")
    check_predictions(parts.workload, parts.store)
    parts.declared["outcome"] = {"classes": {"column": "part", "values": [name.upper() for name in CLASSES]}}
    problem = "has a column 'probability_none', and would get 'probability_NONE'; capitals alone tell no two"
    with pytest.raises(OtherPredictions, match=problem):
        check_predictions(parts.workload, parts.store)
    with pytest.raises(OtherPredictions, match=problem):
        prepare(parts.at(parts.third))
