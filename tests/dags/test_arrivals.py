"""A workload that runs what arrives: its seventh DAG, and what starts `ingest` then."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from muster.workload.load import load_workload
from muster.workload.stages import STAGE_NAMES
from muster_local import PROJECT
from tests.plugins.airflow_task import WORKLOAD, declare

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

from airflow.serialization.serialized_objects import DagSerialization

from muster_airflow.dags import workload_dags
from muster_airflow.timetable import KeyedTimetable


@pytest.fixture
def dags(tmp_path: Path) -> dict[str, Any]:
    path = declare(tmp_path)
    path.write_text(f"{WORKLOAD}arrivals: {{look_seconds: 30}}\n", encoding="utf-8")
    return {dag.dag_id: dag for dag in workload_dags(load_workload(path), path)}


def test_its_arrivals_start_ingest_which_still_asks_for_a_key(dags: dict[str, Any]) -> None:
    ingest = dags["made.ingest"]
    assert ingest.timetable.asset_condition.name == "made.arrived"
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(ingest))
    assert stored.timetable.partitioned
    assert (ingest.catchup, ingest.end_date, ingest.max_active_runs) == (False, None, 1)


def test_the_watcher_and_the_clock_wake_the_one_task_that_posts_them(dags: dict[str, Any]) -> None:
    watch = dags["made.watch"]
    source = watch.timetable.asset_condition
    assert source.name == "made.source"
    (watcher,) = source.watchers
    path, arguments = watcher.trigger.serialize()
    assert path.endswith("NewsTrigger")
    assert arguments["every"] == 30
    stored: Any = DagSerialization.from_dict(DagSerialization.to_dict(watch))
    assert stored.timetable.can_be_scheduled
    (task,) = watch.tasks
    assert [asset.name for asset in task.outlets] == ["made.arrived"]
    assert (watch.max_active_runs, watch.catchup) == (1, False)
    assert all("When it fails" in one.doc_md for one in watch.tasks)


def test_a_correction_is_told_once_features_are_built(dags: dict[str, Any]) -> None:
    features, corrected = dags["made.features"].tasks
    assert features.downstream_task_ids == {corrected.task_id}
    assert [asset.name for asset in corrected.outlets] == ["made.corrected"]


def test_without_the_section_all_is_as_it_was(tmp_path: Path) -> None:
    path = declare(tmp_path)
    dags: dict[str, Any] = {dag.dag_id: dag for dag in workload_dags(load_workload(path), path)}
    assert list(dags) == [f"made.{stage}" for stage in (*STAGE_NAMES, "retry")]
    assert isinstance(dags["made.ingest"].timetable, KeyedTimetable)
    assert [len(dag.tasks) for dag in dags.values()][:-1] == [1] * 6
