"""One of three classes, from landed files to MLflow's answers: every figure as pandas and scikit-learn have it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest

from muster.champions.names import model_name
from muster.mlflow.client import connect
from muster.storage.store import Store
from muster_jobs import evaluate, features, ingest, promote, score, train
from tests import machines
from tests.jobs.conftest import MakeJob

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = (ingest, features, train, evaluate, promote, score)
ANSWERS = ["score", "predicted", *machines.PROBABILITIES]


@pytest.fixture
def registry_server(mlflow_server: str) -> str:
    """The real MLflow server: what it hands out is compared too."""
    return mlflow_server


def _answers_of_mlflow(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    connect()
    model: Any = mlflow.pyfunc.load_model(f"models:/{name}@Champion")
    assert model.metadata.signature.outputs.input_names()[-4:] == ["predicted", *machines.PROBABILITIES]
    answers: pd.DataFrame = model.predict(rows)
    return answers


@pytest.mark.parametrize("registry", ["pack", "per_group"])
def test_verdicts_and_probabilities_are_those_of_an_independent_computation(
    make_job: MakeJob, registry_settings: str, tmp_path: Path, registry: str
) -> None:
    yaml, store = machines.declare(tmp_path, registry), Store(str(tmp_path), machines.NAME)
    machines.land(store)
    for partition in (machines.FIRST, machines.SECOND):
        results = {}
        for stage in STAGES:
            name = stage.__name__.rpartition(".")[2]
            results[name] = stage.run(make_job(name, yaml, partition, tmp_path))
        predictions = machines.check(store, partition)
        if partition == machines.FIRST:
            landed = partition - timedelta(days=42), partition + timedelta(days=7)
            assert results["ingest"]["reasons"] == {machines.WRONG: machines.refused(*landed)}
        assert ("positives" in results["train"], results["evaluate"]["metric"]) == (False, "log_loss")
    for machine in ("west", *(["new"] if registry == "pack" else [])):
        asked = machines.between(machine, machines.SECOND, machines.SECOND + timedelta(days=7))
        rows = asked[["machine", *machines.COLUMNS]]
        name = machines.NAME if registry == "pack" else model_name(machines.NAME, machine)
        given = _answers_of_mlflow(name, rows if registry == "pack" else rows[machines.COLUMNS])[ANSWERS]
        own = predictions.set_index("row_id").loc[asked["id"], ANSWERS]
        assert given["predicted"].tolist() == own["predicted"].tolist()
        np.testing.assert_allclose(given.drop(columns="predicted"), own.drop(columns="predicted"), rtol=0, atol=1e-9)
