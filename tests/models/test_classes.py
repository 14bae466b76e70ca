"""Answers about classes: a probability each, whoever gives them, a row by itself."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from muster import groups
from muster.models.reader import Pack, UnknownGroups
from muster.models.scores import answer_columns, scores
from tests.packs import pack_of

Line = Any
CLASSES = ["none", "pump", "valve"]
SCALE = f"classes of {json.dumps(CLASSES)}"
NAMED = {f"probability_{name}": name for name in CLASSES}
ROWS = np.random.default_rng(0).normal(size=(300, 3))


def _parent(group: str) -> str:
    return groups.parent_name(["carrier", "origin"], groups.values(group), ["origin"])


def _model(*known: int) -> LogisticRegression:
    labels = np.array(known)[(ROWS[:, : len(known)]).argmax(axis=1)]
    return LogisticRegression().fit(ROWS, labels)


def _target(*counts: int) -> dict[str, Any]:
    of_each = dict(zip(CLASSES, counts, strict=True))
    return {"rows": sum(counts), "positives": None, "prior": None, "target": json.dumps({"classes": of_each})}


def _open(line: Line, models: dict[str, Any], **declared: Any) -> Pack:
    line.declared = {"outcome": {"classes": {"column": "part", "values": CLASSES}}, "gate": {"resample": "row"}}
    columns = {"carrier": "string", "origin": "string", "at": "timestamp", "part": "string?"}
    line.declared |= {"columns": columns, **declared}
    line.known = {"A,X": _target(60, 30, 10), "B,X": _target(100, 0, 0), "*,X": _target(160, 30, 10)}
    return pack_of(line.store, *line.pack(models)[:2])


def test_a_models_columns_stand_where_its_classes_do() -> None:
    known = _model(0, 2)
    given = scores(known, ROWS, SCALE)
    np.testing.assert_array_equal(given[:, [0, 2]], known.predict_proba(ROWS))
    assert not given[:, 1].any()


def test_who_gives_other_columns_than_its_classes_is_refused() -> None:
    model = _model(0, 1, 2)
    model.classes_ = np.array([0, 1])
    with pytest.raises(ValueError, match=r"300 rows of 2 classes gave probabilities of shape \(300, 3\)"):
        scores(model, ROWS, SCALE)


def test_the_likeliest_is_predicted_and_the_first_among_equals() -> None:
    columns = answer_columns(np.array([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4], [np.nan] * 3]), NAMED)
    assert list(columns) == ["score", "predicted", *NAMED]
    assert columns["predicted"].tolist() == ["pump", "none", None]
    np.testing.assert_array_equal(columns["score"], [0.5, 0.4, np.nan])
    np.testing.assert_array_equal(columns["probability_valve"], [0.3, 0.4, np.nan])


def test_a_pack_answers_with_models_of_fewer_classes_and_with_the_pooled_shares(line: Line) -> None:
    few, all_three = _model(0, 1), _model(0, 1, 2)
    pack = _open(line, {"A,X": all_three, "B,X": few})
    assert pack.about["answers"] == NAMED
    answer = pack.answer(["B,X", "N,X", "A,X"], ROWS[:3], _parent)
    np.testing.assert_allclose(answer.score[[0], :2], few.predict_proba(ROWS[:1]), atol=1e-12)
    np.testing.assert_allclose(answer.score[1], [0.8, 0.15, 0.05], atol=1e-12)
    np.testing.assert_allclose(answer.score[[2]], all_three.predict_proba(ROWS[2:3]), atol=1e-12)
    assert answer.score[0, 2] == 0
    assert list(answer.fallback) == [None, "no model: prior", None]


def test_parents_answer_and_their_rows_count_once(line: Line) -> None:
    parent = _model(0, 1, 2)
    models = {"A,X": _model(0, 1), "B,X": _model(0, 1), "*,X": parent}
    pack = _open(line, models, pack={"fallback": {"keys": ["origin"]}})
    answer = pack.answer(["N,X", "N,Y"], ROWS[:2], _parent)
    np.testing.assert_allclose(answer.score, [parent.predict_proba(ROWS[:1])[0], [0.8, 0.15, 0.05]], atol=1e-12)
    assert list(answer.fallback) == ["no model: parent", "no model: prior"]


def test_with_error_nobody_answers_for_a_group_without_a_model(line: Line) -> None:
    pack = _open(line, {"A,X": _model(0, 1, 2)}, pack={"fallback": "error"})
    with pytest.raises(UnknownGroups, match="N,X"):
        pack.answer(["N,X"], ROWS[:1], _parent)


def test_a_failing_model_is_answered_for_row_by_row(line: Line) -> None:
    model, broken = _model(0, 1, 2), _model(0, 1, 2)
    broken.coef_ = broken.coef_[:, :2]
    pack = _open(line, {"A,X": model, "B,X": broken})
    rows = np.array([ROWS[0], [np.nan, 0.0, 0.0], ROWS[1]])
    answer = pack.answer(["A,X", "A,X", "B,X"], rows, _parent)
    np.testing.assert_allclose(answer.score[[0]], model.predict_proba(ROWS[:1]), atol=1e-12)
    np.testing.assert_allclose(answer.score[1:], [[0.8, 0.15, 0.05]] * 2, atol=1e-12)
    assert list(answer.fallback) == [None, "model failed: ValueError", "model failed: ValueError"]
    assert list(answer.origin_run) == [pack.origin_run("A,X"), None, None]


def test_no_rows_answer_depends_on_the_others(line: Line) -> None:
    pack = _open(line, {"A,X": _model(0, 1, 2), "B,X": _model(0, 1)})
    names = ["A,X", "B,X", "N,X"] * 4
    rows = ROWS[:12].copy()
    rows[[3, 7], 1] = np.nan
    together = pack.answer(names, rows, _parent)
    alone = [pack.answer([name], rows[[n]], _parent).score[0] for n, name in enumerate(names)]
    np.testing.assert_array_equal(together.score, alone)
    np.testing.assert_allclose(together.score.sum(axis=1), 1)
