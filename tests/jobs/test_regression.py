"""A number as the outcome, from landed files to predictions: every figure as pandas and scikit-learn have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from muster.storage.store import Store
from muster_jobs import evaluate, features, ingest, promote, score, train
from tests.jobs.conftest import MakeJob
from tests.parcels import PARTITION, Parcels

pytestmark = [pytest.mark.spark, pytest.mark.slow]
STAGES = (ingest, features, train, evaluate, promote, score)


@pytest.mark.parametrize(
    "parcels",
    [
        Parcels("rmse", "prior", "", "pack"),
        Parcels("mae", "median", "log1p", "per_group"),
        Parcels("rmse", "prior", "", "pack", "fares"),
        Parcels("mae", "median", "log1p", "per_group", "fares"),
    ],
    ids=lambda parcels: parcels.name,
)
def test_scores_verdicts_and_answers_are_those_of_an_independent_computation(
    make_job: MakeJob, registry_settings: str, tmp_path: Path, parcels: Parcels
) -> None:
    yaml, store = parcels.declare(tmp_path), Store(str(tmp_path), parcels.name)
    parcels.land(store)
    results = {}
    for stage in STAGES:
        name = stage.__name__.rpartition(".")[2]
        results[name] = stage.run(make_job(name, yaml, PARTITION, tmp_path))
    parcels.check(store)
    refused = store.open("quarantine")
    reasons = set(refused.to_pandas()["reason"]) if refused else set()
    assert reasons == (
        {f"{parcels.weight}: no weight, which is a number above 0, 1e100 at most"} if parcels.weight else set()
    )
    assert (results["train"]["rows"], "positives" in results["train"]) == (448, False)
