"""An answer is on the scale of its model, whoever gives it and whichever other groups are asked beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from deltalake import DeltaTable, write_deltalake
from sklearn.ensemble import IsolationForest

from muster.champions.opened import scorers
from muster.models.scores import scores
from tests.promotion.conftest import A, B, Registry

pytestmark = pytest.mark.slow
ROW = np.array([[1.0, 0.0, 0.5]])
NEW = "NEW,X"
FOREST = IsolationForest(n_estimators=5, random_state=0).fit(np.random.default_rng(0).normal(size=(64, 3)))
OUTLIERS = float(scores(FOREST, ROW)[0])
BOTH = {
    "algorithms": {
        "forest": "sklearn.ensemble.IsolationForest",
        "logistic": "sklearn.linear_model.LogisticRegression",
    }
}
NO_SCORE, SHARE = (None, "no model: no score"), (0.5, "no model: baseline")


def promote(registry: Registry, models: Mapping[str, tuple[str, Any]]) -> None:
    """Promote a model of an algorithm for each group; the slice has rows of a group without any, too."""
    registry.declared |= BOTH
    registry.features(registry.first, [{"group": group, "a": 1.0, "b": 0.0, "record": 0.5} for group in (A, B, NEW)])
    run = registry.train(registry.first, {group: {name: model} for group, (name, model) in models.items()})
    chosen = {group: name for group, (name, _) in models.items()}
    registry.decide(registry.first, run, dict.fromkeys(models, "promote"), chosen=chosen)
    registry.promote(registry.first)


def answer(registry: Registry, group: str, *beside: str) -> tuple[float | None, str | None]:
    """Return a group's score and why it is not its own model's, from what is opened for it and others."""
    champions = scorers(registry.at(registry.second))
    assert champions is not None
    with champions.open([group, *beside]) as opened:
        answers = opened.reader(1 << 20).answer([group], ROW, lambda _: "")
    score = float(answers.score[0])
    return None if np.isnan(score) else round(score, 9), answers.fallback[0]


CHAMPIONS: Mapping[str, tuple[dict[str, tuple[str, Any]], object]] = {
    "that give probabilities": ({A: ("logistic", 1.0), B: ("logistic", 2.0)}, SHARE),
    "that give none": ({A: ("forest", FOREST), B: ("forest", FOREST)}, NO_SCORE),
    "of both kinds": ({A: ("forest", FOREST), B: ("logistic", 1.0)}, NO_SCORE),
    "of one name and both kinds": ({A: ("logistic", FOREST), B: ("logistic", 1.0)}, NO_SCORE),
}


@pytest.mark.parametrize(("models", "due"), CHAMPIONS.values(), ids=CHAMPIONS)
def test_a_group_without_a_model_has_one_answer_whoever_is_asked_beside_it(
    registry: Registry, models: dict[str, tuple[str, Any]], due: object
) -> None:
    promote(registry, models)
    assert [answer(registry, NEW, *beside) for beside in ((), (A,), (B,), (A, B))] == [due] * 4
    if models[A][1] is FOREST:
        assert answer(registry, A) == (round(OUTLIERS, 9), None)


def test_a_rollback_carries_the_scale_of_the_models_that_it_puts_back(registry: Registry) -> None:
    promote(registry, {A: ("forest", FOREST)})
    run = registry.train(registry.second, {A: {"logistic": 1.0}})
    registry.decide(registry.second, run, {A: "promote"}, registry.judged(A="1"))
    registry.promote(registry.second)
    assert answer(registry, NEW) == SHARE
    registry.roll_back()
    assert answer(registry, NEW) == NO_SCORE


@pytest.mark.parametrize(("algorithm", "model", "due"), [("logistic", 1.0, SHARE), ("forest", FOREST, NO_SCORE)])
def test_of_champions_of_before_it_was_written_down_the_algorithm_tells(
    registry: Registry, algorithm: str, model: Any, due: object
) -> None:
    promote(registry, {A: (algorithm, model)})
    place = registry.store.table("alias_journal")
    rows = DeltaTable(place).to_pyarrow_table()
    evidence = [json.loads(text) for text in rows["evidence"].to_pylist()]
    texts = [json.dumps({name: value for name, value in item.items() if name != "probabilities"}) for item in evidence]
    rows = rows.set_column(rows.schema.get_field_index("evidence"), "evidence", [texts])
    write_deltalake(place, rows, mode="overwrite")
    assert answer(registry, NEW) == due
