"""Fits by weight: the models that scikit-learn fits with `sample_weight`, and who cannot be fitted so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from muster import groups
from muster.errors import WorkloadError
from muster.models.loading import load
from muster.storage.files import Files
from muster.training.bucket import train_bucket
from muster.training.estimator import without_weights
from muster.training.fit import FitPlan, fit_group
from muster.training.outcome import Outcome
from muster.training.run_name import run_name
from muster.workload.spec import Workload
from tests.training.conftest import DECLARED, context_of

WEIGHED = {"columns": {**DECLARED["columns"], "fares": "float"}, "weight": "fares"}  # type: ignore[dict-item]
RANDOM = np.random.default_rng(1)
LABELS = np.arange(60) % 2.0
FEATURES = RANDOM.normal(size=(60, 2)) + LABELS[:, None]
WEIGHTS = 10 ** RANDOM.uniform(-2, 1, 60)
LOGISTIC = "sklearn.linear_model.LogisticRegression"


def fitted(outcome: Outcome) -> Any:
    [fit] = outcome.fits
    assert fit.state == "trained", fit
    return load(zstandard.ZstdDecompressor().decompress(fit.model), ())


@pytest.mark.parametrize(
    ("steps", "alone"),
    [
        (LOGISTIC, LogisticRegression()),
        (["sklearn.preprocessing.StandardScaler", LOGISTIC], make_pipeline(StandardScaler(), LogisticRegression())),
        (
            ["sklearn.impute.SimpleImputer", ":logistic"],
            make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()),
        ),
    ],
    ids=["bare", "pipeline", "a pipeline as the last step of one"],
)
def test_weights_reach_what_learns_at_the_end(make_plan: Callable[..., FitPlan], steps: Any, alone: Any) -> None:
    outcome = fit_group(make_plan(algorithms={"one": steps}, **WEIGHED), "a", FEATURES, LABELS, weights=WEIGHTS)
    name = f"{alone.steps[-1][0]}__sample_weight" if hasattr(alone, "steps") else "sample_weight"
    expected = alone.fit(FEATURES, LABELS, **{name: WEIGHTS}).predict_proba(FEATURES)
    np.testing.assert_allclose(fitted(outcome).predict_proba(FEATURES), expected, rtol=1e-12)
    assert not np.allclose(expected, alone.fit(FEATURES, LABELS).predict_proba(FEATURES))
    assert outcome.prior == pytest.approx(WEIGHTS[LABELS == 1].sum() / WEIGHTS.sum())
    assert (outcome.rows, outcome.learnt, outcome.positives) == (60, 60, 30)


def test_rows_without_a_label_keep_the_others_at_their_weights(make_plan: Callable[..., FitPlan]) -> None:
    labels = np.where(np.arange(60) % 3 == 0, np.nan, FEATURES[:, 0] * 3)
    outcome_of = {"regression": {"column": "delay"}}
    plan = make_plan(algorithms={"one": "sklearn.linear_model.Ridge"}, outcome=outcome_of, **WEIGHED)
    known = np.isfinite(labels)
    expected = Ridge().fit(FEATURES[known], labels[known], WEIGHTS[known])
    actual = fitted(fit_group(plan, "a", FEATURES, labels, weights=WEIGHTS))
    np.testing.assert_allclose(actual.coef_, expected.coef_, rtol=1e-12)


def test_an_outlier_detector_learns_by_weight_from_all_rows(make_plan: Callable[..., FitPlan]) -> None:
    forest = {"sklearn.ensemble.IsolationForest": {"n_estimators": 5}}
    plan = make_plan(algorithms={"one": forest}, **WEIGHED)
    labels = np.where(np.arange(60) < 50, np.nan, LABELS)
    actual = fitted(fit_group(plan, "a", FEATURES, labels, weights=WEIGHTS))
    seed = groups.seed("one:a", 0) % 2**31
    expected = IsolationForest(n_estimators=5, random_state=seed).fit(FEATURES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(actual.score_samples(FEATURES), expected.score_samples(FEATURES), rtol=1e-12)


def test_a_bucket_gives_each_group_its_own_rows_weights(
    make_plan: Callable[..., FitPlan], group_rows: Callable[..., pa.Table], folder: Path
) -> None:
    rows = pa.concat_tables([group_rows("a"), group_rows("b")])
    rows = rows.append_column("sample_weight", pa.array(np.concatenate([WEIGHTS, WEIGHTS[::-1]])))
    outcomes = train_bucket(make_plan(**WEIGHED), rows, 0, Files(str(folder)), "shards").to_pylist()
    by_hand = [WEIGHTS[LABELS == 1].sum() / WEIGHTS.sum(), WEIGHTS[::-1][LABELS == 1].sum() / WEIGHTS.sum()]
    assert [outcome["prior"] for outcome in outcomes] == pytest.approx(by_hand, rel=1e-12)


@pytest.mark.parametrize(
    ("steps", "name"),
    [
        ("sklearn.neighbors.KNeighborsClassifier", "sklearn.neighbors.KNeighborsClassifier"),
        (["sklearn.preprocessing.StandardScaler", "sklearn.neighbors.KNeighborsClassifier"], "KNeighborsClassifier"),
        ({"sklearn.neighbors.LocalOutlierFactor": {"novelty": True}}, "LocalOutlierFactor"),
    ],
)
def test_who_takes_no_weight_is_refused_before_any_group_is_fitted(
    make_plan: Callable[..., FitPlan], steps: Any, name: str
) -> None:
    with pytest.raises(WorkloadError) as refused:
        make_plan(algorithms={"one": steps}, **WEIGHED)
    [(path, problem)] = refused.value.problems
    assert path.startswith("algorithms.one.")
    assert name in problem
    assert "its 'fit' takes no 'sample_weight', but 'weight: fares' is declared; name an estimator that" in problem
    assert make_plan(algorithms={"one": steps})


@pytest.mark.parametrize("around", [CalibratedClassifierCV, AdaBoostClassifier, BaggingClassifier])
def test_a_part_that_takes_no_weight_is_named(around: Any) -> None:
    """scikit-learn fits it without, and warns, or fails for every group."""
    inner = make_pipeline(StandardScaler(), LogisticRegression())
    assert without_weights(around(inner)) == "'fit' of its 'estimator'"
    assert without_weights(around(LogisticRegression())) is None
    assert without_weights(around()) is None
    assert without_weights(make_pipeline(StandardScaler(), around(LogisticRegression()))) is None


def test_a_weight_is_another_run_and_none_is_the_run_of_before(declare: Callable[..., Workload], folder: Path) -> None:
    def name(**changes: Any) -> str:
        return run_name(context_of(declare(**changes), folder).at("2024-02-05"), {})

    assert len({name(), name(**WEIGHED), name(**WEIGHED | {"weight": None})}) == 2
