"""`ingest` waits for its data where the workload declares `freshness`, and in a DAG of one's own."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from muster.workload.load import load_workload
from muster_local import PROJECT
from tests.plugins.airflow_task import WORKLOAD, context_of, declare

os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".pytest_cache" / "airflow"))

from airflow.sdk import DAG
from airflow.serialization.serialized_objects import DagSerialization

from muster_airflow.dags import workload_dags
from muster_airflow.sensors.freshness import DataFreshnessSensor


@pytest.fixture
def ingest(tmp_path: Path) -> Any:
    path = declare(tmp_path)
    path.write_text(f"{WORKLOAD}freshness: {{wait_hours: 6, late: go_on}}\n", encoding="utf-8")
    return workload_dags(load_workload(path), path)[0]


def test_the_task_that_waits_stands_before_ingest_and_has_no_outlet(ingest: Any) -> None:
    assert [task.task_id for task in ingest.topological_sort()] == ["await_data", "ingest"]
    waits = ingest.get_task("await_data")
    assert (waits.downstream_task_ids, waits.outlets, waits.owner, waits.retries) == ({"ingest"}, [], "muster", 1)
    assert "6 hours" in waits.doc_md
    assert "lets `ingest` take what is there" in waits.doc_md
    assert "When it fails" in waits.doc_md


def test_it_can_be_stored_and_is_a_sensor(ingest: Any) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(ingest))
    assert stored.get_task("await_data").template_fields == ["workload", "partition"]
    assert DagSerialization.to_dict(ingest)["dag"]["tasks"][0]["__var"]["_is_sensor"] is True


@pytest.mark.parametrize(("pushed", "told"), [("2024-02-08,2024-02-09", "2024-02-08,2024-02-09"), ("", ""), (None, "")])
def test_ingest_is_told_the_days_without_which_to_go_on(ingest: Any, pushed: str | None, told: str) -> None:
    task, context = ingest.get_task("ingest"), context_of()

    class Pulled:
        def xcom_pull(self, task_ids: str, key: str) -> str | None:
            assert (task_ids, key) == ("await_data", "missing")
            return pushed

    rendered = task.render_template(task.job_options, {**context, "ti": Pulled()})
    assert rendered == {"without": told}


def test_without_the_section_nothing_waits(tmp_path: Path) -> None:
    path = declare(tmp_path)
    dag: Any = workload_dags(load_workload(path), path)[0]
    assert dag.task_ids == ["ingest"]
    assert dag.get_task("ingest").job_options is None


def test_the_example_of_a_dag_of_ones_own_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(# A report on.*?)```", page, re.DOTALL)
    space: dict[str, Any] = {}
    exec(compile(example, "example.py", "exec"), space)
    (dag,) = (value for value in space.values() if isinstance(value, DAG))
    assert isinstance(dag.get_task("await_data"), DataFreshnessSensor)
    assert dag.get_task("await_data").downstream_task_ids == {"report"}
    assert DagSerialization.from_dict(DagSerialization.to_dict(dag))
