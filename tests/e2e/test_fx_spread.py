"""`./muster up --workload fx_spread` in the home of the flights: without a label, from bad quotes to alerts."""

from __future__ import annotations

import json

import mlflow
import numpy as np
import pandas as pd
import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from muster import groups
from muster.evaluation.volume import with_points
from muster.workload.load import load_workload
from muster.workload.windows import partition_windows
from muster_local import PROJECT
from tests.conftest import RunningStack
from tests.e2e.rest import STAGES
from tests.valves import volume_by_definition

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("fx")]
FX = load_workload(PROJECT / "include" / "workloads" / "fx_spread.yaml")
FIRST = FX.schedule.demo[0]
COLUMNS = list(FX.features.columns)


def table(stack: RunningStack, name: str) -> pd.DataFrame:
    rows: pd.DataFrame = DeltaTable(stack.home / "store" / "tables" / FX.name / name).to_pyarrow_table().to_pandas()
    return rows


@pytest.fixture(scope="module")
def decisions(fx_spread_up: str, running_stack: RunningStack) -> pd.DataFrame:
    return table(running_stack, "decisions").set_index("group")


@pytest.fixture(scope="module")
def alerts(fx_spread_up: str, running_stack: RunningStack) -> pd.DataFrame:
    """The slice's predictions, each with what was planted in the quote."""
    planted = table(running_stack, "observations")[["row_id", "anomaly"]]
    return table(running_stack, "predictions").merge(planted, on="row_id")


def test_a_partition_passes_all_stages_beside_the_flights(fx_spread_up: str, running_stack: RunningStack) -> None:
    assert f"{FX.name} {FIRST}" in fx_spread_up
    workloads = json.loads(running_stack.muster("status", "--json").stdout)["workloads"]
    reached = {one["workload"]: one["partitions"] for one in workloads}
    assert reached[FX.name] == dict.fromkeys(STAGES, str(FIRST))
    assert set(reached["flight_delays"]) == set(STAGES)


def test_bad_quotes_lie_in_quarantine_with_their_reasons(fx_spread_up: str, running_stack: RunningStack) -> None:
    reasons = table(running_stack, "quarantine")["reason"].value_counts()
    assert set(reasons.index) == {"crossed", "stale", "repeats a row"}
    assert reasons.min() > 100


def test_every_pair_is_judged_without_labels_and_nearly_all_beat_the_spread_itself(decisions: pd.DataFrame) -> None:
    assert len(decisions) == 48
    assert (decisions["verdict"] == "promote").mean() > 0.8
    assert decisions["reason"].str.contains("judged without labels").all()
    assert set(decisions["metric"]) == {"mass_volume"}
    assert decisions["positives"].isna().all()
    assert decisions["candidate_score"].mean() < decisions["baseline_score"].mean() - 0.05
    assert decisions["chance_score"].to_numpy() == pytest.approx(0.95)


def test_figures_of_a_pair_are_those_of_a_forest_fitted_here(
    decisions: pd.DataFrame, alerts: pd.DataFrame, running_stack: RunningStack
) -> None:
    pair, windows = "EUR/USD", partition_windows(FX, FIRST)
    features = table(running_stack, "features")
    own = features[features["group"] == pair].sort_values(["time", "row_id"])
    own = own.assign(day=pd.to_datetime(own["date"]).dt.date)
    train, evaluate, score = (
        own[(own["day"] >= days.start) & (own["day"] < days.stop)]
        for days in (windows.train, windows.evaluate, windows.score)
    )
    seed = groups.seed(f"forest:{pair}", FX.seed) % 2**31
    forest = IsolationForest(n_estimators=100, contamination=0.02, random_state=seed).fit(train[COLUMNS].to_numpy())
    asked = with_points(evaluate[COLUMNS].to_numpy(), groups.seed(f"points:{pair}", FX.seed))
    scores = -forest.decision_function(asked)
    decision, rows = decisions.loc[pair], len(evaluate)
    volume = volume_by_definition(scores[:rows], scores[rows:])
    assert decision["candidate_score"] == pytest.approx(volume, abs=1e-4)
    assert decision["baseline_score"] == pytest.approx(volume_by_definition(asked[:rows, 0], asked[rows:, 0]), abs=1e-4)
    assert decision["alerts"] == pytest.approx((scores[:rows] > 0).mean(), rel=1e-12)
    positive, alert = evaluate["label"].to_numpy() == 1, scores[:rows] > 0
    counts = {"labelled": rows, "positives": positive.sum(), "alerts": alert.sum(), "caught": (positive & alert).sum()}
    assert json.loads(decision["report"]) == counts
    mine = alerts[alerts["group"] == pair].set_index("row_id")["score"]
    np.testing.assert_allclose(mine.loc[score["row_id"]], -forest.decision_function(score[COLUMNS].to_numpy()))


def test_the_planted_anomalies_tell_how_good_the_alerts_are(alerts: pd.DataFrame) -> None:
    assert alerts["group"].nunique() == 48
    own = alerts[alerts["fallback"].isna()]
    planted, alert = own["anomaly"] > 0, own["score"] > 0
    precision, recall = precision_score(planted, alert), recall_score(planted, alert)
    assert alert.mean() == pytest.approx(0.02, abs=0.01)
    assert precision > 0.4  # by chance 0.02
    assert recall > 0.4
    assert (
        own.groupby("group")[["anomaly", "score"]]
        .apply(lambda of: roc_auc_score(of["anomaly"] > 0, of["score"]))
        .mean()
        > 0.88
    )


def test_each_pair_is_a_registered_model_with_a_champion_and_its_predictions_say_which(
    decisions: pd.DataFrame, alerts: pd.DataFrame, running_stack: RunningStack, registry: MlflowClient
) -> None:
    moves = table(running_stack, "alias_journal").sort_values("at").groupby("group").last()
    assert set(moves.index) == set(decisions[decisions["verdict"] == "promote"].index)
    champion = registry.get_model_version_by_alias("fx_spread_EURUSD", "Champion")
    assert (champion.version, champion.tags["muster.group"]) == (moves.loc["EUR/USD", "to_version"], "EUR/USD")
    loaded = mlflow.pyfunc.load_model("models:/fx_spread_EURUSD@Champion")
    assert loaded.metadata.signature.inputs.input_names() == COLUMNS
    features = table(running_stack, "features")
    rows = features[(features["group"] == "EUR/USD") & (features["partition"] == str(FIRST))].set_index("row_id")
    predictions = alerts[alerts["group"] == "EUR/USD"].set_index("row_id")
    assert set(predictions["model_version"]) == {champion.version}
    scores = loaded.predict(rows[COLUMNS])["score"]
    np.testing.assert_array_equal(scores.loc[predictions.index], predictions["score"])
