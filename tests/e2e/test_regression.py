"""A number as the outcome, by YAML alone, through the six DAGs of the real Airflow."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from muster.storage.store import Store
from tests.conftest import RunningStack
from tests.parcels import MINUTES, PARTITION, SCORED_TO, between

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("fx")]


def test_every_figure_is_that_of_pandas_and_sklearn_and_mlflow_answers_alike(
    minutes_up: str, running_stack: RunningStack, registry: MlflowClient
) -> None:
    MINUTES.check(Store(running_stack.settings.store_root, MINUTES.name))
    assert f"{MINUTES.name} {PARTITION}" in minutes_up

    rows = between("heavy", PARTITION, SCORED_TO)
    asked = pd.DataFrame({"depot": ["heavy"] * len(rows), "kg": rows["kg"].to_numpy(), "hour": rows["hour"].to_numpy()})
    answers = mlflow.pyfunc.load_model(f"models:/{MINUTES.name}@Champion").predict(asked)
    assert answers["score"].to_numpy() == pytest.approx(MINUTES.answers(rows), rel=1e-9)
    tried = running_stack.muster("try", MINUTES.name, "--group", "heavy", "--partition", str(PARTITION)).stdout
    assert "mean" in tried
    assert "positives" not in tried
