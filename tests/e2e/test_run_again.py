"""Running a partition again, through Airflow, leaves the same rows, the same version and the same alias."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest
from deltalake import DeltaTable
from mlflow import MlflowClient

from tests.e2e.conftest import Read
from tests.e2e.expected import Week
from tests.e2e.rest import STAGES, WORKLOAD, Airflow, Json, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
TABLES = ("features", "ledger", "models", "decisions", "predictions")
OF_THE_RUN = ["seconds", "scored_at", "features_version"]
"""Columns that tell when a row was made, or from which version of an equal table."""


def rows(read: Read, week: Week) -> dict[str, pd.DataFrame]:
    """Return a partition's rows of every table, without what tells one run from the next."""
    first = {name: read(name, week.partition).drop(columns=OF_THE_RUN, errors="ignore") for name in TABLES}
    observed = read("observations")
    first["observations"] = observed[(observed["date"] >= week.day) & (observed["date"] < week.ends)]
    first["alias_journal"] = read("alias_journal")
    return {name: table.sort_values([*table.columns[:6]], ignore_index=True) for name, table in first.items()}


def test_a_second_run_of_every_stage_leaves_the_same_rows_version_and_alias(
    airflow: Airflow,
    registry: MlflowClient,
    read: Read,
    open_table: Callable[[str], DeltaTable],
    weeks: tuple[Week, Week],
) -> None:
    week = weeks[-1]
    before, table_versions = rows(read, week), {name: open_table(name).version() for name in TABLES}
    versions = {version.version for version in registry.search_model_versions(f"name = '{WORKLOAD}'")}
    champion = registry.get_model_version_by_alias(WORKLOAD, "Champion").version
    earlier_runs = {stage: airflow.runs(stage, week.partition) for stage in STAGES}

    airflow.trigger("ingest", week.partition)
    runs = {stage: airflow.wait_for_run(stage, week.partition, earlier_runs[stage]) for stage in STAGES}

    assert {stage: run["state"] for stage, run in runs.items()} == dict.fromkeys(STAGES, "success")
    assert all(open_table(name).version() > version for name, version in table_versions.items())
    for name, table in rows(read, week).items():
        pd.testing.assert_frame_equal(table, before[name], obj=name, check_exact=True)
    assert {version.version for version in registry.search_model_versions(f"name = '{WORKLOAD}'")} == versions
    assert registry.get_model_version_by_alias(WORKLOAD, "Champion").version == champion


def test_a_cleared_task_that_had_succeeded_runs_and_leaves_the_same_rows(
    airflow: Airflow, read: Read, open_table: Callable[[str], DeltaTable], weeks: tuple[Week, Week]
) -> None:
    week = weeks[0]  # whose champion was followed by another since
    before, version = rows(read, week), open_table("predictions").version()
    run = airflow.runs("score", week.partition)[-1]
    tries = airflow.task(run)["try_number"]
    body = {"dry_run": False, "dag_run_id": run["dag_run_id"], "task_ids": ["score"], "only_failed": False}

    airflow.ask("POST", f"/dags/{run['dag_id']}/clearTaskInstances", json=body)

    def over() -> Json | None:
        task = airflow.task(run)
        return task if task["try_number"] > tries and task["state"] in ("success", "failed") else None

    assert wait_for(over, "the cleared task", 300)["state"] == "success"
    assert open_table("predictions").version() == version + 1
    for name, table in rows(read, week).items():
        pd.testing.assert_frame_equal(table, before[name], obj=name, check_exact=True)
