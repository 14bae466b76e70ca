"""Rolling back from Airflow's own page: the form, the look, the move; whole and one group; and all as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.conftest import RunningStack
from tests.e2e.conftest import Read
from tests.e2e.rest import WORKLOAD, Airflow, Json, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def run(airflow: Airflow, **conf: Any) -> Json:
    """Fill in the form, wait for the run to end and return it."""
    body = {"logical_date": None, "conf": {"workload": WORKLOAD, "why": "an end-to-end test", **conf}}
    started = airflow.ask("POST", "/dags/rollback/dagRuns", json=body)["dag_run_id"]

    def over() -> Json | None:
        dag_run = airflow.get(f"/dags/rollback/dagRuns/{started}")
        return dag_run if dag_run["state"] in ("success", "failed") else None

    return wait_for(over, "rollback", 300)


def task(airflow: Airflow, of: Json, name: str, what: str = "") -> Json:
    return airflow.get(f"/dags/rollback/dagRuns/{of['dag_run_id']}/taskInstances/{name}{what}")


def difference(airflow: Airflow, of: Json) -> Json:
    """Return what `compare` found."""
    value = task(airflow, of, "compare", "/xcomEntries/return_value")["value"]
    comparison: Json = json.loads(value) if isinstance(value, str) else value
    return comparison


def champion(registry: MlflowClient) -> str:
    return str(registry.get_model_version_by_alias(WORKLOAD, "Champion").version)


def test_the_form_refuses_what_cannot_be_meant(airflow: Airflow, running_stack: RunningStack) -> None:
    for conf in ({"workload": "../nowhere"}, {"version": "one"}, {"why": ""}):
        with pytest.raises(AssertionError, match="400"):
            run(airflow, **conf)


def test_whole_and_by_group_and_forward_again(airflow: Airflow, registry: MlflowClient, read: Read) -> None:
    newest, journalled = champion(registry), len(read("alias_journal"))
    origins = read("alias_journal").sort_values("at")["from_version"].tolist()

    look = run(airflow)
    assert look["state"] == "success"
    assert task(airflow, look, "roll_back")["state"] == "skipped"
    comparison = difference(airflow, look)
    assert (comparison["from_version"], comparison["to_version"]) == (newest, origins[-1])
    assert (champion(registry), len(read("alias_journal"))) == (newest, journalled)

    whole = run(airflow, dry_run=False, version=origins[-1])
    assert task(airflow, whole, "roll_back")["state"] == "success"
    assert champion(registry) == origins[-1]
    assert run(airflow, dry_run=False, version=newest)["state"] == "success"
    assert champion(registry) == newest

    group = next(row["group"] for row in comparison["shown"] if row["change"] == "changes")
    assert run(airflow, dry_run=False, groups=[group])["state"] == "success"
    new_version = champion(registry)
    assert int(new_version) > int(newest)
    assert run(airflow, dry_run=False, version=newest, groups=[group])["state"] == "success"  # the same pack again
    assert champion(registry) == newest

    moves = read("alias_journal").sort_values("at").tail(4)
    assert moves["to_version"].tolist() == [origins[-1], newest, new_version, newest]
    assert set(moves["cause"]) == {"rollback"}
    assert moves["who"].str.len().min() > 0
    assert {json.loads(evidence)["why"] for evidence in moves["evidence"]} == {"an end-to-end test"}
