"""A workload to train, and the rows of one bucket, made by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from muster import groups
from muster.context import Context
from muster.storage.store import Store
from muster.storage.tables import features_schema
from muster.training.fit import FitPlan, fit_plan
from muster.workload.spec import Workload

PARTITION = "2024-02-05"
TRAIN_FROM, CUTOFF = date(2024, 1, 15), date(2024, 1, 29)
DECLARED = {
    "name": "made",
    "keys": ["place"],
    "time": "at",
    "columns": {"place": "string", "at": "timestamp", "delay": "float?"},
    "unique": ["place", "at"],
    "label": {"column": "delay", "above": 0},
    "features": {"columns": ["signal", "noise"], "buckets": 4},
    "algorithms": {"logistic": "sklearn.linear_model.LogisticRegression"},
    "windows": {"train": 14, "evaluate": 7},
    "schedule": {"start": "2024-01-01"},
}
OWN_FILE = """
import functools
import os
import sys
import threading

import numpy
from lightgbm import LGBMClassifier
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from tests.training.own import Threshold


def logistic(strength=1.0):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength))


def leaving():
    sys.exit(0)


def bad_threshold():
    return make_pipeline(Threshold(), LogisticRegression(C=-1))


def boosted():
    return make_pipeline(StandardScaler(), LGBMClassifier(n_estimators=5, verbose=-1))


def stack():
    return StackingClassifier([("one", GaussianNB()), ("two", LogisticRegression())], cv=2)


def not_an_estimator():
    return "logistic"


def double(values):
    return 2 * values


def doubling():
    return make_pipeline(FunctionTransformer(double), LogisticRegression())


def averaging():
    return make_pipeline(FunctionTransformer(numpy.average), LogisticRegression())


def shelling():
    return make_pipeline(FunctionTransformer(os.system), LogisticRegression())


def locked():
    model = LogisticRegression()
    model.lock = threading.Lock()
    return model
"""


@pytest.fixture
def declare() -> Callable[..., Workload]:
    """Return the workload, with sections changed."""

    def changed(**changes: Any) -> Workload:
        former = {name: section for name, section in DECLARED.items() if name != "label" or "outcome" not in changes}
        return Workload.model_validate(former | changes)

    return changed


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of workloads with the own Python file of `made`."""
    (tmp_path / "made.py").write_text(OWN_FILE)
    return tmp_path


def context_of(workload: Workload, folder: Path) -> Context:
    """Return the context of a workload that reads no table."""
    return Context(workload, folder, Store(str(folder / "store"), workload.name))


@pytest.fixture
def make_plan(declare: Callable[..., Workload], folder: Path) -> Callable[..., FitPlan]:
    """Return the plan of the workload with sections changed."""

    def make(**changes: Any) -> FitPlan:
        workload = declare(**changes)
        return fit_plan(context_of(workload, folder).at(PARTITION))

    return make


@pytest.fixture
def group_rows() -> Callable[..., pa.Table]:
    """Return rows of one group, `signal` telling the label; any column replaced by the values given."""

    def make(group: str, rows: int = 60, first: date = TRAIN_FROM, days: int = 14, **columns: Any) -> pa.Table:
        random = np.random.default_rng(groups.seed(group, 0))
        labels = np.arange(rows) % 2.0
        when = [first + timedelta(days=number * days // max(rows, 1)) for number in range(rows)]
        defaults = {
            "group": [group] * rows,
            "parent": [False] * rows,
            "feature_error": [None] * rows,
            "row_id": [f"{group}-{number:05d}" for number in range(rows)],
            "time": [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in when],
            "date": when,
            "label": labels,
            "signal": random.normal(size=rows) + labels,
            "noise": random.normal(size=rows),
            "partition": [(day - timedelta(days=day.weekday())).isoformat() for day in when],
            "bucket": [0] * rows,
        }
        return pa.table(defaults | columns, schema=features_schema(Workload.model_validate(DECLARED)))

    return make
