"""The command line on the running stack: quick, right, and without side effects."""

from __future__ import annotations

import csv
import io
import json
import resource

import pytest

from tests.conftest import RunningStack
from tests.e2e.conftest import Read
from tests.e2e.expected import Week
from tests.e2e.rest import STAGES, WORKLOAD, Airflow

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def processor_seconds() -> float:
    """Return what this process's ended children took: unlike the wall clock, it tells little of other load."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_up_told_both_weeks_and_the_addresses(running_stack: RunningStack, weeks: tuple[Week, Week]) -> None:
    for week in weeks:
        states = week.ledger[~week.ledger["parent"]]["state"].value_counts()
        assert f"{WORKLOAD} {week.partition}" in running_stack.up
        assert f"{states['trained']} trained, {states['skipped']} skipped, 0 failed" in running_stack.up
        assert f"{len(week.scored.rows):,}" in running_stack.up
    assert running_stack.settings.airflow_url in running_stack.up
    assert running_stack.settings.mlflow_tracking_uri in running_stack.up


def test_status_tells_healthy_services_and_how_far_the_workload_is(
    running_stack: RunningStack, weeks: tuple[Week, Week]
) -> None:
    status = json.loads(running_stack.muster("status", "--json").stdout)
    assert [service["healthy"] for service in status["services"]] == [True] * 6
    [flights] = [one for one in status["workloads"] if one["workload"] == WORKLOAD]
    assert flights["champion"] == "2"
    assert flights["partitions"] == dict.fromkeys(STAGES, weeks[-1].partition)


def test_show_gives_a_table_as_it_is_within_about_a_second(running_stack: RunningStack, read: Read, week: Week) -> None:
    before = processor_seconds()
    printed = running_stack.muster("show", WORKLOAD, "ledger", "--partition", week.partition, "--format", "csv").stdout
    assert processor_seconds() - before < 3
    shown_rows = {row["group"]: (row["state"], int(row["rows"])) for row in csv.DictReader(io.StringIO(printed))}
    stored = read("ledger", week.partition)
    assert shown_rows == {row.group: (row.state, row.rows) for row in stored.itertuples()}


def test_a_second_up_is_quick_and_changes_nothing(
    running_stack: RunningStack, airflow: Airflow, weeks: tuple[Week, Week]
) -> None:
    def state() -> object:
        services = json.loads(running_stack.muster("status", "--json").stdout)["services"]
        logs = sorted((running_stack.home / "store" / "tables" / WORKLOAD).glob("*/_delta_log/*.json"))
        runs = [airflow.get(f"/dags/{WORKLOAD}.{stage}/dagRuns", limit=1)["total_entries"] for stage in STAGES]
        return [service["pid"] for service in services], logs, runs

    before, used = state(), processor_seconds()
    printed = running_stack.muster("up", timeout=120).stdout
    assert processor_seconds() - used < 30
    assert state() == before
    assert all(f"{WORKLOAD} {week.partition}" in printed for week in weeks)
