"""What holds for every family of estimators, through the one way that groups are trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from muster.models.loading import decode
from muster.models.scores import scores
from muster.storage.files import Files
from muster.training.bucket import train_bucket
from muster.training.fit import FitPlan

FAMILIES = {
    "logistic regression": "sklearn.linear_model.LogisticRegression",
    "stochastic gradient descent": {"sklearn.linear_model.SGDClassifier": {"loss": "hinge"}},
    "support vectors": "sklearn.svm.SVC",
    "neighbours": {"sklearn.neighbors.KNeighborsClassifier": {"n_neighbors": 3}},
    "naive Bayes": "sklearn.naive_bayes.GaussianNB",
    "a tree": "sklearn.tree.DecisionTreeClassifier",
    "a forest": {"sklearn.ensemble.RandomForestClassifier": {"n_estimators": 5}},
    "gradient boosting": {"sklearn.ensemble.HistGradientBoostingClassifier": {"max_iter": 5}},
    "LightGBM": {"lightgbm.LGBMClassifier": {"n_estimators": 5, "min_child_samples": 5, "verbose": -1}},
    "XGBoost": {"xgboost.XGBClassifier": {"n_estimators": 5}},
    "XGBoost's forests in a pipeline": ["sklearn.preprocessing.StandardScaler", "xgboost.XGBRFClassifier"],
    "a stack": ":stack",
    "an estimator of one's own": "tests.training.own.Threshold",
    "outliers": {"sklearn.ensemble.IsolationForest": {"n_estimators": 5}},
    "a constant": "sklearn.dummy.DummyClassifier",
    "a pipeline": ["sklearn.impute.SimpleImputer", "sklearn.preprocessing.StandardScaler", ":logistic"],
    "a function of one's own": {":logistic": {"strength": 0.1}},
}
LABELS_UNUSED = {"outliers", "a constant"}


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bucket(group_rows: Callable[..., pa.Table]) -> pa.Table:
    """Return two groups that can be trained and, between them, one that cannot."""
    return pa.concat_tables([group_rows("a"), group_rows("b", noise=[np.inf] * 60), group_rows("c")])


def train(plan: FitPlan, rows: pa.Table, folder: Path) -> list[dict[str, Any]]:
    """Return each group's state, and where its only model is stored."""
    outcomes = train_bucket(plan, rows, 0, Files(str(folder)), "shards").select(["group", "state", "fits"]).to_pylist()
    return [{**fit, **row, "seconds": None} for row in outcomes for fit in row.pop("fits")]


def test_the_model_that_is_read_back_scores_positives_higher(
    family: str,
    make_plan: Callable[..., FitPlan],
    bucket: pa.Table,
    group_rows: Callable[..., pa.Table],
    tmp_path: Path,
) -> None:
    plan = make_plan(algorithms={"one": FAMILIES[family]})
    first = train(plan, bucket, tmp_path)[0]
    data = Files(str(tmp_path)).read(first["shard"], first["offset"], first["length"])
    rows = group_rows("a")
    model = decode(data, first["sha256"], "a", "", plan.allowed_imports)
    predicted = scores(model, np.column_stack([rows["signal"], rows["noise"]]))
    assert predicted.shape == (60,)
    assert np.isfinite(predicted).all()
    if family not in LABELS_UNUSED:
        assert predicted[1::2].mean() > predicted[::2].mean()


def test_a_group_that_cannot_be_trained_stops_no_other(
    family: str, make_plan: Callable[..., FitPlan], bucket: pa.Table, tmp_path: Path
) -> None:
    outcomes = train(make_plan(algorithms={"one": FAMILIES[family]}), bucket, tmp_path)
    assert [row["state"] for row in outcomes] == ["trained", "failed", "trained"]


def test_again_gives_the_same_bytes(
    family: str, make_plan: Callable[..., FitPlan], bucket: pa.Table, tmp_path: Path
) -> None:
    plan = make_plan(algorithms={"one": FAMILIES[family]})
    assert train(plan, bucket, tmp_path) == train(plan, bucket, tmp_path)


def test_alone_gives_the_same_bytes_as_among_others(
    family: str,
    make_plan: Callable[..., FitPlan],
    bucket: pa.Table,
    group_rows: Callable[..., pa.Table],
    tmp_path: Path,
) -> None:
    plan = make_plan(algorithms={"one": FAMILIES[family]})
    among, alone = train(plan, bucket, tmp_path)[2], train(plan, group_rows("c"), tmp_path)[0]
    assert among["sha256"] == alone["sha256"]
