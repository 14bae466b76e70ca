"""A number as the outcome, from landed files to predictions: every figure as pandas and scikit-learn have it."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from muster.features.slices import OtherCarried
from muster.storage.evolution import OtherPredictions
from muster.storage.store import Store
from muster_jobs import evaluate, features, ingest, promote, score, train
from tests.jobs.conftest import MakeJob
from tests.parcels import MINUTES, PARTITION, Parcels, check_carried, frame

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


def test_predictions_have_the_columns_that_are_declared_now(
    make_job: MakeJob, registry_settings: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more, one less, one that no row has yet, and one that nobody can add: written by Spark."""
    monkeypatch.setattr("muster_jobs.job.FEW_ROWS", -1)
    yaml, store = MINUTES.declare(tmp_path), Store(str(tmp_path), MINUTES.name)
    MINUTES.land(store)
    for stage in STAGES:
        stage.run(make_job(stage.__name__.rpartition(".")[2], yaml, PARTITION, tmp_path))
    before = frame(store, "predictions")
    declared = yaml.read_text().replace("[depot, id, at, minutes]", "[id, at, kg, colour]")
    yaml.write_text(declared.replace("kg: float", 'kg: float, colour: "string?"'))
    score.run(make_job("score", yaml, PARTITION, tmp_path))
    after = frame(store, "predictions")
    check_carried(after, ["id", "at", "kg"])
    assert after[["depot", "minutes", "colour"]].isna().all(axis=None)
    answers = [rows.set_index("row_id")["score"].sort_index() for rows in (before, after)]
    pd.testing.assert_series_equal(*answers)
    yaml.write_text(yaml.read_text().replace("kg: float", "kg: int"))
    problem = "has a column 'kg' of type double, and would get it of type int64: declare it as before, or move"
    for stage in (train, score):
        with pytest.raises(OtherPredictions, match=problem):
            stage.run(make_job(stage.__name__.rpartition(".")[2], yaml, PARTITION, tmp_path))


def test_candidates_are_not_judged_by_rows_that_lack_what_is_drawn_by(
    make_job: MakeJob, registry_settings: str, tmp_path: Path
) -> None:
    yaml = MINUTES.declare(tmp_path)
    MINUTES.land(Store(str(tmp_path), MINUTES.name))
    for stage in STAGES[:3]:
        stage.run(make_job(stage.__name__.rpartition(".")[2], yaml, PARTITION, tmp_path))
    yaml.write_text(yaml.read_text().replace("gate: {", "gate: {resample: id, "))
    with pytest.raises(OtherCarried, match=r"gate\.resample"):
        evaluate.run(make_job("evaluate", yaml, PARTITION, tmp_path))
