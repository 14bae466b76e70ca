"""Two weeks as an operator sees them: runs, asset events, results and links, over the REST API."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from urllib.parse import urlsplit

import pytest
import requests
from mlflow import MlflowClient

from tests.e2e.expected import Week
from tests.e2e.rest import STAGES, WORKLOAD, Airflow, Json

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
LINKS = {
    "train": {"MLflow run"},
    "evaluate": set(),
    "promote": {"MLflow run", "Model version"},
    "score": {"Model version"},
}


def first_runs(airflow: Airflow, week: Week) -> dict[str, Json]:
    """Return the run of each stage that `./muster up` caused."""
    return {stage: airflow.runs(stage, week.partition)[0] for stage in STAGES}


def events(airflow: Airflow, run: Json) -> list[Json]:
    all_events = airflow.get("/assets/events", source_dag_id=run["dag_id"], limit=100)["asset_events"]
    return [event for event in all_events if event["source_run_id"] == run["dag_run_id"]]


def test_all_six_stages_succeeded_one_after_the_other(airflow: Airflow, week: Week) -> None:
    runs = first_runs(airflow, week)
    assert {stage: run["state"] for stage, run in runs.items()} == dict.fromkeys(STAGES, "success")
    tasks = [airflow.task(run) for run in runs.values()]
    for before, after in pairwise(tasks):
        assert datetime.fromisoformat(after["start_date"]) >= datetime.fromisoformat(before["end_date"])


def test_only_the_first_stage_was_triggered_by_hand(airflow: Airflow, week: Week) -> None:
    kinds = {stage: run["run_type"] for stage, run in first_runs(airflow, week).items()}
    assert kinds == {**dict.fromkeys(STAGES, "asset_triggered"), "ingest": "manual"}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_tells_its_counts_as_xcom_and_on_its_keyed_event(airflow: Airflow, week: Week, stage: str) -> None:
    run = first_runs(airflow, week)[stage]
    result = airflow.task(run, "/xcomEntries/return_value")["value"]
    event = max(events(airflow, run), key=lambda event: event["timestamp"])  # a cleared task sends another
    assert event["partition_key"] == week.partition
    assert event["extra"] == {**result, "backfill": False}
    assert result["seconds"] > 0
    assert result["mlflow_calls"] <= 40


def test_counts_are_those_of_the_flights(airflow: Airflow, week: Week) -> None:
    runs = first_runs(airflow, week)
    results = {stage: airflow.task(run, "/xcomEntries/return_value")["value"] for stage, run in runs.items()}
    states = week.ledger["state"].value_counts()
    assert results["train"]["groups"] == len(week.ledger)
    counts = [results["train"][state] for state in ("trained", "skipped", "failed")]
    assert counts == [*states[["trained", "skipped"]], 0]
    assert results["train"]["reasons"] == week.ledger["reason"].value_counts().to_dict()
    assert results["evaluate"]["groups"] == len(week.ledger)
    assert results["score"]["rows"] == len(week.scored.rows)
    assert results["score"]["groups"] == week.scored.rows["group"].nunique()
    assert results["score"]["features_out_of_date"] == {}
    assert results["promote"]["moved"] is True


def test_log_ends_with_the_counts(airflow: Airflow, week: Week) -> None:
    log = airflow.log(first_runs(airflow, week)["train"])
    assert f"{WORKLOAD}.train  partition {week.partition}" in log
    assert f"{len(week.ledger)}" in log


@pytest.mark.parametrize("stage", LINKS)
def test_links_lead_to_pages_that_are_there(airflow: Airflow, registry: MlflowClient, week: Week, stage: str) -> None:
    urls = airflow.task(first_runs(airflow, week)[stage], "/links")["extra_links"]
    links = {name: url for name, url in urls.items() if url}
    assert LINKS[stage] <= links.keys()
    for name, url in links.items():
        with requests.Session() as session:
            session.trust_env = False
            assert session.get(url, timeout=30).status_code == 200, name
        place = urlsplit(url).fragment.strip("/").split("/")
        if place[0] == "runs":
            assert registry.get_run(place[1]).data.tags["muster.partition"] == week.partition
        elif place[0] == "models":
            assert registry.get_model_version(place[1], place[3]).name == WORKLOAD


def test_one_mlflow_run_a_week_holds_what_train_gate_and_pack_counted(
    airflow: Airflow, registry: MlflowClient, week: Week
) -> None:
    runs = first_runs(airflow, week)
    train = airflow.task(runs["train"], "/xcomEntries/return_value")["value"]
    experiment = registry.get_experiment_by_name(WORKLOAD)
    [run] = registry.search_runs([experiment.experiment_id], f"tags.`muster.partition` = '{week.partition}'")
    assert run.info.run_id == train["mlflow_run_id"]
    assert run.info.status == "FINISHED"
    assert run.data.tags["muster.run"] == train["run"]
    assert run.data.metrics["groups"] == len(week.ledger)
    assert run.data.metrics["rows"] == week.ledger["rows"].sum()
    assert {"gate_promote", "pack_groups"} <= run.data.metrics.keys()
