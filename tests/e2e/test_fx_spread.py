"""`./muster up --workload fx_spread` in the home of the flights: bad quotes set apart, all pairs judged and scored."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient
from sklearn.metrics import roc_auc_score

from muster.workload.load import load_workload
from muster_local import PROJECT
from tests.conftest import RunningStack
from tests.e2e.rest import STAGES

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("fx")]
FX = load_workload(PROJECT / "include" / "workloads" / "fx_spread.yaml")
FIRST, SECOND = (str(day) for day in FX.schedule.demo)


def table(stack: RunningStack, name: str) -> pd.DataFrame:
    rows: pd.DataFrame = DeltaTable(stack.home / "store" / "tables" / FX.name / name).to_pyarrow_table().to_pandas()
    return rows


def test_both_partitions_pass_all_stages_beside_the_flights(fx_spread_up: str, running_stack: RunningStack) -> None:
    assert all(f"{FX.name} {partition}" in fx_spread_up for partition in (FIRST, SECOND))
    workloads = json.loads(running_stack.muster("status", "--json").stdout)["workloads"]
    reached = {one["workload"]: one["partitions"] for one in workloads}
    assert reached[FX.name] == dict.fromkeys(STAGES, SECOND)
    assert set(reached["flight_delays"]) == set(STAGES)


def test_bad_quotes_lie_in_quarantine_with_their_reasons(fx_spread_up: str, running_stack: RunningStack) -> None:
    reasons = table(running_stack, "quarantine")["reason"].value_counts()
    assert set(reasons.index) == {"crossed", "stale", "repeats a row"}
    assert reasons.min() > 100


def test_nearly_every_pair_can_be_judged_and_beats_the_spread_itself(
    fx_spread_up: str, running_stack: RunningStack
) -> None:
    decisions = table(running_stack, "decisions")
    first = decisions[decisions["partition"] == FIRST]
    assert len(first) == 48
    assert (first["verdict"] == "promote").mean() > 0.8
    assert (first["win_rate"] >= 0.9).mean() > 0.9
    assert first["candidate_score"].mean() > first["baseline_score"].mean() + 0.2


def test_scores_tell_anomalies_that_no_model_has_seen(fx_spread_up: str, running_stack: RunningStack) -> None:
    quotes = table(running_stack, "observations")[["row_id", "anomaly"]]
    scored = table(running_stack, "predictions").merge(quotes, on="row_id")
    assert set(scored["partition"]) == {FIRST, SECOND}
    assert scored["group"].nunique() == 48
    own = scored[scored["fallback"].isna()]
    aucs = own.groupby("group")[["anomaly", "score"]].apply(lambda of: roc_auc_score(of["anomaly"] > 0, of["score"]))
    assert len(aucs) > 0.8 * 48
    assert aucs.mean() > 0.88


def test_each_pair_is_a_registered_model_with_a_champion_and_its_predictions_say_which(
    fx_spread_up: str, running_stack: RunningStack, registry: MlflowClient
) -> None:
    moves = table(running_stack, "alias_journal").sort_values("at").groupby("group").last()
    decisions = table(running_stack, "decisions")
    assert set(moves.index) == set(decisions[decisions["verdict"] == "promote"]["group"])
    champion = registry.get_model_version_by_alias("fx_spread_EURUSD", "Champion")
    assert (champion.version, champion.tags["muster.group"]) == (moves.loc["EUR/USD", "to_version"], "EUR/USD")
    loaded = mlflow.pyfunc.load_model("models:/fx_spread_EURUSD@Champion")
    assert loaded.metadata.signature.inputs.input_names() == list(FX.features.columns)
    features, scored = (table(running_stack, name) for name in ("features", "predictions"))
    rows = features[(features["group"] == "EUR/USD") & (features["partition"] == SECOND)].set_index("row_id")
    predictions = scored[(scored["group"] == "EUR/USD") & (scored["partition"] == SECOND)].set_index("row_id")
    assert set(predictions["model_version"]) == {champion.version}
    scores = loaded.predict(rows[list(FX.features.columns)])["score"]
    np.testing.assert_array_equal(scores.loc[predictions.index], predictions["score"])
